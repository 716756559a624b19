"""What losses on values share: a function of each pair of elements, and its mean or sum."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Any, ClassVar

import numpy as np

from dlcli.core.arena import Array
from dlcli.core.errors import DataError
from dlcli.nn.loss import Loss, scalar

LEAST = 0.01
"""The output below which a score goes on as a straight line, where the logarithm would fall off too steeply."""


@dataclass(eq=False)
class ElementwiseLoss(Loss):
    """L = mean over all elements of f(y_pred_i, y_true_i): a subclass writes `curve`, which gives f and its slope."""

    task: ClassVar[str | None] = "regression"
    complex_step: ClassVar[bool] = True
    bounds: ClassVar[tuple[float, float]] = (-math.inf, math.inf)
    """Between which the targets lie; DataError where one does not."""

    def curve(self, y_pred: Array, y_true: Array) -> tuple[Array, Array]:
        """f and df/dy_pred at every element; where f has pieces, y_pred.real chooses, so that y_pred may be complex."""
        raise NotImplementedError

    def forward(self, y_pred: Array, y_true: Array) -> Any:
        y_pred, y_true = self.paired(y_pred, y_true)
        least, most = self.bounds
        if least > -math.inf and not (y_true.min() >= least and y_true.max() <= most):
            wanted = f"{least:g} to {most:g}" if most < math.inf else f"{least:g} or more"
            got = f"{type(self).__name__}: got targets from {y_true.min():.4g} to {y_true.max():.4g}"
            raise DataError(f"{got}, expected {wanted}; scale them, or use a loss on any values such as MSELoss")
        f, self.slope = self.curve(y_pred, y_true)
        total = np.add.reduce(f, axis=None, dtype=np.result_type(f.dtype, np.float64))
        return scalar(total) / self.divisor(self._elements(f))

    def backward(self) -> Array:
        return np.divide(self.slope, self.divisor(self._elements(self.slope)), out=self.buffer("dy", self.slope.shape))

    def _elements(self, f: Array) -> int:
        """How many elements the mean is taken over."""
        return f.size


@dataclass(eq=False)
class DistanceLoss(ElementwiseLoss):
    """A loss that is least where y_pred is y_true; of one-hot targets its outputs learn the probabilities."""

    one_hot: ClassVar[bool] = True

    def logits(self, outputs: Array) -> Array:
        """log(outputs), continued as its tangent where an output is below 0.01, so that the order is kept."""
        if not self.of_classes:
            return outputs
        inside = np.maximum(outputs, LEAST)
        scores: Array = np.log(inside) + (outputs - inside) / LEAST
        return scores
