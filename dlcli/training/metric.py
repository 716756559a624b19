"""The metric contract: sums that add up over batches, so that any split of the data gives the same value."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Any, ClassVar

from dlcli.core.arena import Array
from dlcli.core.component import Checked
from dlcli.core.options import Example
from dlcli.core.registry import Registry

metrics: Registry[Metric] = Registry("metric", "metrics")


@dataclass(kw_only=True, eq=False)
class Metric(metaclass=Checked):
    """A figure beside the loss: value(sum over batches of sums(outputs, targets)), with the targets of the loss.

    For classes, outputs are the scores (N, K) of the loss's `logits`, whose softmax are the probabilities, and targets
    indices (N,); for values, both are (N, *shape).
    """

    examples: ClassVar[tuple[Example, ...]] = ()
    """Options with the shape of one output."""
    task: ClassVar[str | None] = None
    """`classification`, `regression`, or None for both."""
    better: ClassVar[str] = "max"
    """`max` or `min`: which direction is an improvement."""
    proportion: ClassVar[bool] = False
    """Whether the value is a share of samples, the first sum over the second, with a Wilson interval in `eval`."""
    scalar: ClassVar[bool] = True
    """Whether the value is a number, which training logs, `eval` lists and `train.monitor` can be; else an array."""

    def sums(self, outputs: Array, targets: Array) -> Array:
        """What this batch adds, a vector in float64."""
        raise NotImplementedError

    def value(self, sums: Array) -> Any:
        """The metric from the added sums, by default the first over the second; NaN where it is not defined."""
        return ratio(sums[0], sums[1])


metrics.base = Metric


def metric_of(figure: str) -> type[Metric] | None:
    """The metric of a figure such as `val.accuracy` or `accuracy`; None for a loss, and whatever is no metric."""
    name = figure.partition(".")[2] or figure
    return metrics.get(name) if name in metrics else None


def better(figure: str) -> str:
    """Whether `max` or `min` of a figure such as `val.accuracy` is the better; of a loss, less is."""
    metric = metric_of(figure)
    return metric.better if metric is not None else "min"


def ratio(a: float, b: float) -> float:
    """a / b, NaN where b is 0."""
    return a / b if b else math.nan
