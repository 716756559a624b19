"""The divergence of predicted from wanted probabilities."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar, Literal

import numpy as np

from dlcli.core.arena import Array
from dlcli.core.options import example
from dlcli.nn.loss import losses
from dlcli.nn.losses.elementwise import ElementwiseLoss


@losses.register
@dataclass(eq=False)
class KLDivLoss(ElementwiseLoss):
    """L = mean over the batch of the sum over k of t_k * (log(t_k) - x_k)

    Log-probabilities x and targets t (N, *shape), the same shape, as a LogSoftmax gives them; t are probabilities or,
    with `log_target`, their logarithms. Or x (N, K) and classes (N,), which become one-hot rows: then it is NLLLoss.
    dL/dx = -t / N. The default reduction `batchmean` is the divergence; `mean` divides by the size of a sample too.
    (PyTorch's default is `mean`, and its page advises `batchmean`.)

    Source: Kullback and Leibler 1951, "On information and sufficiency", https://doi.org/10.1214/aoms/1177729694;
    https://docs.pytorch.org/docs/stable/generated/torch.nn.KLDivLoss.html
    """

    log_target: bool = False
    reduction: Literal["batchmean", "mean", "sum"] = "batchmean"

    one_hot: ClassVar[bool] = True
    outputs: ClassVar[str | None] = "log-probabilities"
    examples: ClassVar = (
        example((3,)),
        example((3,), log_target=True, reduction="mean"),
        example((2,), reduction="sum"),
    )

    def curve(self, y_pred: Array, y_true: Array) -> tuple[Array, Array]:
        if self.log_target and not self.of_classes:
            t, log_t = np.exp(y_true), y_true
        else:
            t, log_t = y_true, np.log(np.where(y_true > 0, y_true, 1))  # t * log(t) is 0 at 0
        return t * (log_t - y_pred), -t

    def logits(self, outputs: Array) -> Array:
        """The log-probabilities of classes; of values what the targets are, probabilities or their logarithms."""
        return outputs if self.of_classes or self.log_target else np.exp(outputs)

    def _elements(self, f: Array) -> int:
        return len(f) if self.reduction == "batchmean" else f.size

    def draw(self, rng: np.random.Generator, shape: tuple[int, ...]) -> tuple[Array, Array]:
        y_pred, log_t = (z - np.log(np.exp(z).sum(axis=1, keepdims=True)) for z in rng.normal(size=(2, *shape)))
        return y_pred, log_t if self.log_target else np.exp(log_t)
