"""The coefficient of determination of values."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import ClassVar

import numpy as np

from dlcli.core.arena import Array
from dlcli.core.options import example
from dlcli.training.metric import Metric, metrics

FLAT = 1e-12
"""The variance of a column over its mean square below which it counts as constant: sums in float64 hold no less."""


@metrics.register
@dataclass(kw_only=True, eq=False)
class R2(Metric):
    """r2 = mean over the target columns of 1 - sum of (output - target)**2 / sum of (target - mean target)**2

    Outputs and targets (N, *shape), each place in shape a column. Undefined (NaN) where a column does not vary, or by
    less than a millionth of its size, which is where rounding begins to show.

    Source: sklearn.metrics.r2_score with multioutput='uniform_average'
    """

    config_name: ClassVar[str] = "r2"
    task: ClassVar[str | None] = "regression"
    examples: ClassVar = (example((3,)), example((1,)))

    def sums(self, outputs: Array, targets: Array) -> Array:
        y = targets.astype(np.float64).reshape(len(targets), -1)
        error = outputs.astype(np.float64).reshape(len(targets), -1) - y
        return np.stack(
            [np.sum(error**2, 0), np.sum(y, 0), np.sum(y**2, 0), np.full(y.shape[1], float(len(y)))]
        ).ravel()

    def value(self, sums: Array) -> float:
        residual, total, squares, count = sums.reshape(4, -1)
        with np.errstate(invalid="ignore", divide="ignore"):
            spread = squares - total**2 / count
            return float(np.mean(np.where(spread > FLAT * squares, 1 - residual / spread, math.nan)))
