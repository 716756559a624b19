"""The mean squared error."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, ClassVar

import numpy as np

from dlcli.core.arena import Array
from dlcli.core.options import example
from dlcli.nn.loss import Reduction, losses, scalar
from dlcli.nn.losses.elementwise import DistanceLoss


@losses.register
@dataclass(eq=False)
class MSELoss(DistanceLoss):
    """L = mean over all elements of (y_pred - y_true)**2

    y_pred and y_true (N, *shape), the same shape, or y_pred (N, K) and classes (N,), which become one-hot rows.
    dL/dy_pred = 2 * (y_pred - y_true) / number of elements.

    Source: https://docs.pytorch.org/docs/stable/generated/torch.nn.MSELoss.html
    """

    reduction: Reduction = "mean"

    examples: ClassVar = (example((3,)), example((1,)), example((3,), reduction="sum"))

    def forward(self, y_pred: Array, y_true: Array) -> Any:
        y_pred, y_true = self.paired(y_pred, y_true)
        self.difference = np.subtract(y_pred, y_true, out=self.buffer("difference", y_pred.shape))
        flat = self.difference.reshape(-1)
        return scalar(flat @ flat) / self.divisor(flat.size)

    def backward(self) -> Array:
        scale = 2 / self.divisor(self.difference.size)
        return np.multiply(self.difference, scale, out=self.buffer("dy", self.difference.shape))
