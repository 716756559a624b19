"""Errors of values: mean squared, its root, mean absolute."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import ClassVar

import numpy as np

from dlcli.core.arena import Array
from dlcli.core.options import example
from dlcli.training.metric import Metric, metrics


@metrics.register
@dataclass(kw_only=True, eq=False)
class MeanSquaredError(Metric):
    """mse = mean over all elements of (output - target)**2

    Outputs and targets (N, *shape).

    Source: sklearn.metrics.mean_squared_error
    """

    config_name: ClassVar[str] = "mse"
    task: ClassVar[str | None] = "regression"
    better: ClassVar[str] = "min"
    examples: ClassVar = (example((3,)), example((1,)))

    def sums(self, outputs: Array, targets: Array) -> Array:
        return np.array([np.sum(np.square(outputs - targets, dtype=np.float64)), outputs.size], np.float64)


@metrics.register
@dataclass(kw_only=True, eq=False)
class RootMeanSquaredError(MeanSquaredError):
    """rmse = sqrt(mean over all elements of (output - target)**2) = sqrt(mse)

    Outputs and targets (N, *shape); one root over all columns, where scikit-learn takes the mean of the columns' roots.

    Source: sklearn.metrics.root_mean_squared_error
    """

    config_name: ClassVar[str] = "rmse"

    def value(self, sums: Array) -> float:
        return math.sqrt(super().value(sums))


@metrics.register
@dataclass(kw_only=True, eq=False)
class MeanAbsoluteError(Metric):
    """mae = mean over all elements of |output - target|

    Outputs and targets (N, *shape).

    Source: sklearn.metrics.mean_absolute_error
    """

    config_name: ClassVar[str] = "mae"
    task: ClassVar[str | None] = "regression"
    better: ClassVar[str] = "min"
    examples: ClassVar = (example((3,)), example((1,)))

    def sums(self, outputs: Array, targets: Array) -> Array:
        return np.array([np.sum(np.abs(outputs - targets), dtype=np.float64), outputs.size], np.float64)
