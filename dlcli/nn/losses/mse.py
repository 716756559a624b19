"""The mean squared error."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, ClassVar

import numpy as np

from dlcli.core.arena import Array
from dlcli.core.options import example
from dlcli.nn.loss import Loss, losses, scalar


@losses.register
@dataclass(eq=False)
class MSELoss(Loss):
    """L = mean over all elements of (y_pred - y_true)**2

    y_pred and y_true (N, *shape), the same shape.  dL/dy_pred = 2 * (y_pred - y_true) / number of elements.

    Source: https://docs.pytorch.org/docs/stable/generated/torch.nn.MSELoss.html
    """

    task: ClassVar[str | None] = "regression"
    complex_step: ClassVar[bool] = True
    examples: ClassVar = (example((3,)), example((1,)))

    def forward(self, y_pred: Array, y_true: Array) -> Any:
        y_pred, y_true = self.paired(y_pred, y_true)
        self.difference = np.subtract(y_pred, y_true, out=self.buffer("difference", y_pred.shape), casting="same_kind")
        flat = self.difference.reshape(-1)
        return scalar(flat @ flat) / flat.size

    def backward(self) -> Array:
        return np.multiply(self.difference, 2 / self.difference.size, out=self.buffer("dy", self.difference.shape))
