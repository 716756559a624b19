"""The negative log likelihood of counts, whose rate the network predicts."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import ClassVar

import numpy as np

from dlcli.core.arena import Array
from dlcli.core.errors import ShapeError
from dlcli.core.options import Positive, example
from dlcli.nn.loss import Reduction, losses
from dlcli.nn.losses.elementwise import ElementwiseLoss


@losses.register
@dataclass(eq=False)
class PoissonNLLLoss(ElementwiseLoss):
    """L = mean over all elements of exp(y_pred) - t * y_pred, or of y_pred - t * log(y_pred + eps) without log_input

    y_pred and counts t >= 0 (N, *shape), the same shape: y_pred is the logarithm of the rate or, with
    `log_input: false`, the rate itself, which a Softplus at the end keeps above 0.
    dL/dy_pred = (exp(y_pred) - t) / number of elements, or (1 - t / (y_pred + eps)) / number of elements.
    `full` adds what Stirling's formula gives for log(t!) where t > 1: t * log(t) - t + log(2 * pi * t) / 2.
    Metrics and predictions go by the rate in either case.

    Source: https://docs.pytorch.org/docs/stable/generated/torch.nn.PoissonNLLLoss.html
    """

    log_input: bool = True
    full: bool = False
    eps: Positive = 1e-8
    reduction: Reduction = "mean"

    bounds: ClassVar[tuple[float, float]] = (0.0, math.inf)
    examples: ClassVar = (
        example((3,)),
        example((1,), full=True),
        example((3,), log_input=False, eps=1e-3, reduction="sum"),
    )

    def curve(self, y_pred: Array, y_true: Array) -> tuple[Array, Array]:
        if self.log_input:
            rate = np.exp(y_pred)
            f, slope = rate - y_true * y_pred, rate - y_true
        else:
            low = y_pred.real.min()
            if low < 0:
                raise ShapeError(
                    f"PoissonNLLLoss: got an output of {low:.4g}, expected rates of 0 or more; end the stack with "
                    "Softplus, or set log_input: true"
                )
            rate = y_pred + self.eps
            f, slope = y_pred - y_true * np.log(rate), 1 - y_true / rate
        if self.full:
            t = np.maximum(y_true, 1)
            f = f + np.where(y_true > 1, t * np.log(t) - t + 0.5 * np.log(2 * math.pi * t), 0)
        return f, slope

    def logits(self, outputs: Array) -> Array:
        """The rates, which the counts are compared with."""
        return np.exp(outputs) if self.log_input else outputs

    def draw(self, rng: np.random.Generator, shape: tuple[int, ...]) -> tuple[Array, Array]:
        y_pred = rng.normal(size=shape)
        return y_pred if self.log_input else abs(y_pred) + 0.1, rng.poisson(2.0, size=shape).astype(float)
