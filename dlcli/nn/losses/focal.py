"""The focal loss: a cross entropy that pays less attention to what is right already."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, ClassVar

import numpy as np

from dlcli.core.arena import Array
from dlcli.core.options import NonNegative, example
from dlcli.nn.layers.softmax import below_top, normalized
from dlcli.nn.loss import Reduction, losses, scalar
from dlcli.nn.losses.weighted import ClassLoss


@losses.register
@dataclass(eq=False)
class FocalLoss(ClassLoss):
    """L = mean over the batch of -alpha_t * (1 - p_t)**gamma * log(p_t);  p = softmax(z)

    Logits z (N, K), class indices t (N,) with 0 <= t < K; `alpha` is a factor for every class (for two classes the
    paper's [1 - alpha, alpha]), 1 unless given. The mean divides by N.
    dL/dz = alpha_t * ((1 - p_t)**gamma - gamma * p_t * (1 - p_t)**(gamma - 1) * log(p_t)) * (p - one_hot(t)) / N.
    gamma = 0 is CrossEntropyLoss without weights.

    Source: Lin et al. 2017, "Focal loss for dense object detection", https://arxiv.org/abs/1708.02002
    """

    gamma: NonNegative = 2.0
    alpha: list[NonNegative] | None = None
    reduction: Reduction = "mean"

    outputs: ClassVar[str | None] = "logits"
    examples: ClassVar = (
        example((3,)),
        example((2,), gamma=0.5, alpha=[0.75, 0.25]),
        example((3,), gamma=0.0, reduction="sum"),
    )

    def per_class(self) -> list[float] | None:
        return self.alpha

    def forward(self, y_pred: Array, y_true: Array) -> Any:
        logits, targets = self.labelled(y_pred, y_true)
        self.places = np.arange(len(targets)), targets
        z = below_top(logits, out=self.buffer("z", logits.shape))
        chosen = z[self.places]
        self.p, total = normalized(z)
        log_p = chosen - np.log(total[:, 0])
        miss = -np.expm1(log_p)  # 1 - p_t, of which subtraction would leave no digits where p_t is almost 1
        share = self.of_targets(logits, targets) * miss**self.gamma / self.divisor(len(targets))
        # log(p_t) / (1 - p_t), which tends to -1 where p_t tends to 1.
        ratio = np.divide(log_p, miss, out=np.full_like(miss, -1), where=miss != 0)
        self.share = share * (1 - self.gamma * self.p[self.places] * ratio)
        return scalar(np.add.reduce(-share * log_p))

    def backward(self) -> Array:
        dz = np.multiply(self.p, self.share[:, None], out=self.buffer("dz", self.p.shape))
        dz[self.places] -= self.share
        return dz
