"""Metrics: figures of merit from sums that add up over batches, so that any split of the data gives the same number."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import ClassVar

import numpy as np

from dlcli.core.arena import Array
from dlcli.core.component import Checked
from dlcli.core.options import Example, example
from dlcli.core.registry import Registry

metrics: Registry[Metric] = Registry("metric", "metrics")


@dataclass(kw_only=True, eq=False)
class Metric(metaclass=Checked):
    """value(sum over batches of sums(outputs, targets)), with outputs (N, ...) and the targets of the loss."""

    examples: ClassVar[tuple[Example, ...]] = ()
    task: ClassVar[str | None] = None
    """`classification`, `regression`, or None for both."""
    better: ClassVar[str] = "max"
    """`max` or `min`: which direction is an improvement."""
    proportion: ClassVar[bool] = False
    """Whether the value is a share of samples, for which `eval` gives a Wilson interval."""

    def sums(self, outputs: Array, targets: Array) -> Array:
        """What this batch adds, a vector in float64."""
        raise NotImplementedError

    def value(self, sums: Array) -> float:
        """The metric from the added sums, by default the first over the second; NaN where it is not defined."""
        return ratio(sums[0], sums[1])


metrics.base = Metric

FLAT = 1e-12
"""The variance of a column over its mean square below which it counts as constant: sums in float64 hold no less."""


def ratio(a: float, b: float) -> float:
    """a / b, NaN where b is 0."""
    return a / b if b else math.nan


@metrics.register
@dataclass(kw_only=True, eq=False)
class Accuracy(Metric):
    """accuracy = samples whose largest output is their class / samples

    outputs (N, K), classes (N,); a tie counts for the lower class.
    Source: sklearn.metrics.accuracy_score
    """

    config_name: ClassVar[str] = "accuracy"
    task: ClassVar[str | None] = "classification"
    proportion: ClassVar[bool] = True
    examples: ClassVar = (example((3,)),)

    def sums(self, outputs: Array, targets: Array) -> Array:
        return np.array([np.count_nonzero(outputs.argmax(axis=1) == targets), len(targets)], np.float64)


@metrics.register
@dataclass(kw_only=True, eq=False)
class MeanSquaredError(Metric):
    """mse = mean over all elements of (output - target)**2

    outputs and targets (N, *shape).
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
class MeanAbsoluteError(Metric):
    """mae = mean over all elements of |output - target|

    outputs and targets (N, *shape).
    Source: sklearn.metrics.mean_absolute_error
    """

    config_name: ClassVar[str] = "mae"
    task: ClassVar[str | None] = "regression"
    better: ClassVar[str] = "min"
    examples: ClassVar = (example((3,)), example((1,)))

    def sums(self, outputs: Array, targets: Array) -> Array:
        return np.array([np.sum(np.abs(outputs - targets), dtype=np.float64), outputs.size], np.float64)


@metrics.register
@dataclass(kw_only=True, eq=False)
class R2(Metric):
    """r2 = mean over the target columns of 1 - sum of (output - target)**2 / sum of (target - mean target)**2

    outputs and targets (N, *shape), each place in shape a column. Undefined (NaN) where a column does not vary, or by
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


def wilson(successes: float, n: float, z: float = 1.959963984540054) -> tuple[float, float]:
    """The Wilson score interval of a proportion, by default at 95 %.

    (p + z**2 / 2n +- z sqrt(p (1 - p) / n + z**2 / 4n**2)) / (1 + z**2 / n),  p = successes / n; (0, 1) where n = 0

    Source: Wilson 1927, "Probable inference, the law of succession, and statistical inference",
    https://doi.org/10.1080/01621459.1927.10502953
    """
    if n == 0:
        return (0.0, 1.0)
    p = successes / n
    middle = p + z * z / (2 * n)
    half = z * math.sqrt(p * (1 - p) / n + z * z / (4 * n * n))
    return (max(0.0, (middle - half) / (1 + z * z / n)), min(1.0, (middle + half) / (1 + z * z / n)))
