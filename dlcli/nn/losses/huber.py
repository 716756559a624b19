"""The Huber loss: squared where the error is small, linear where it is large."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, ClassVar

import numpy as np

from dlcli.core.arena import Array
from dlcli.core.options import Positive, example
from dlcli.nn.loss import Loss, losses, scalar


@losses.register
@dataclass(eq=False)
class HuberLoss(Loss):
    """L = mean over all elements of d**2 / 2 where |d| <= delta, else delta * (|d| - delta / 2);  d = y_pred - y_true

    y_pred and y_true (N, *shape), the same shape.  dL/dy_pred = clip(d, -delta, delta) / number of elements.

    Source: Huber 1964, "Robust estimation of a location parameter", https://doi.org/10.1214/aoms/1177703732;
    https://docs.pytorch.org/docs/stable/generated/torch.nn.HuberLoss.html
    """

    delta: Positive = 1.0

    task: ClassVar[str | None] = "regression"
    complex_step: ClassVar[bool] = True
    examples: ClassVar = (example((3,)), example((1,), delta=0.5))

    def forward(self, y_pred: Array, y_true: Array) -> Any:
        y_pred, y_true = self.paired(y_pred, y_true)
        d = np.subtract(y_pred, y_true, out=self.buffer("d", y_pred.shape), casting="same_kind")
        self.side = np.sign(d.real) * (abs(d.real) > self.delta)  # -1, 0 or 1: below, inside or above the corners
        self.slope = np.where(self.side == 0, d, self.side * self.delta).astype(self.dtype, copy=False)
        # With c = clip(d): c * (d - c / 2) is d**2 / 2 inside and delta * (|d| - delta / 2) outside.
        return scalar(np.mean(self.slope * (d - 0.5 * self.slope), dtype=np.result_type(d.dtype, np.float64)))

    def backward(self) -> Array:
        return np.divide(self.slope, self.slope.size, out=self.buffer("dy", self.slope.shape))

    def branch(self) -> Array:
        return self.side
