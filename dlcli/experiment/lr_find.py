"""The engine of `lr-find`: a learning-rate range test, and the learning rate that its curve suggests."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, replace
from itertools import islice
from typing import Any, NamedTuple

import numpy as np

from dlcli.config.doctor import diagnose
from dlcli.config.schema import Config
from dlcli.core.arena import Array
from dlcli.core.errors import DivergedError
from dlcli.experiment.assemble import assemble, build_network
from dlcli.experiment.data import Splits
from dlcli.experiment.trial import rehearse
from dlcli.optim.schedule import Schedule, Span
from dlcli.training.loop import StepDone, Trainer

WINDOW = 20
"""The smoothed loss looks back over this part of the sweep: 1 / 20, which is 0.4 powers of ten from 1e-7 to 10."""

NOISE = 7.0
"""A fall counts from this many deviations of the smoothed loss; noise alone falls that far in 1 of 50 sweeps."""

LEAST = 0.001
"""A fall counts from this share of the loss: below, it may be a matter of rounding."""

FAR = 10.0
"""Two suggestions that differ by more than this factor disagree."""


@dataclass(kw_only=True, eq=False)
class Sweep(Schedule):
    """lr = low * (high / low) ** (step / (steps - 1)), whatever the optimizer's own lr is"""

    low: float
    high: float
    steps: int
    instead_of: str | None = None
    """The schedule of the config."""

    def value(self, step: int, span: Span) -> float:
        low, high = math.log(self.low), math.log(self.high)  # high / low may be more than a float can hold
        return math.exp(low + (high - low) * step / (self.steps - 1))

    @property
    def window(self) -> int:
        """The steps that the smoothed loss looks back over."""
        return max(2, round(self.steps / WINDOW))


class Point(NamedTuple):
    """One step of the sweep: the loss of its batch before the step, and the smoothed loss up to there."""

    lr: float
    loss: float
    smoothed: float


@dataclass(frozen=True)
class RangeTest:
    """What a sweep has shown."""

    suggestion: float | None
    """None where the loss never falls."""
    reason: str
    steepest: float | None
    """Where the smoothed loss falls fastest."""
    minimum: float
    """Where the smoothed loss is lowest."""
    points: list[Point]

    def document(self) -> dict[str, Any]:
        """The JSON of `lr-find --json`."""
        return {**vars(self), "points": [point._asdict() for point in self.points]}


def sweeping(config: Config, splits: Splits, sweep: Sweep, threads: int) -> Trainer:
    """A trainer of the config on its training split alone, whose learning rate is the sweep's."""
    diagnose(config, splits.info).check()
    rehearse(config, lambda: build_network(config, splits.info), *splits.train)
    trainer = assemble(config, replace(splits, val=None, test=None), threads).trainer
    plan = replace(trainer.plan, epochs=-(-sweep.steps // trainer.per_epoch))
    return replace(trainer, schedule=sweep, plan=plan, metrics={}, ema=None, layerwise=None)


def range_test(trainer: Trainer, sweep: Sweep, watch: Callable[[StepDone], None]) -> RangeTest:
    """Train along the sweep, until the loss has risen far or is not finite, and read the curve.

    The loss is smoothed as s = (1 - b) * sum of b**k * loss k steps before / (1 - b**n), with n steps so far and
    b = 1 - 1 / window. It has risen far where s > 4 * its minimum and half of its fall is lost again. DivergedError
    where not even the first loss is finite.

    Source: Smith 2017, "Cyclical learning rates for training neural networks", https://arxiv.org/abs/1506.01186;
    Gugger 2018, "How do you find a good learning rate", https://sgugger.github.io
    """
    points: list[Point] = []
    ended = False
    share, total, least = 1 / sweep.window, 0.0, math.inf
    try:
        for done in _steps(trainer, sweep.steps):
            watch(done)
            total += share * (done.loss - total)
            smoothed = total / (1 - (1 - share) ** done.step)
            points.append(Point(done.lr, done.loss, smoothed))
            least = min(least, smoothed)
            ended = smoothed > least + max(3 * abs(least), (points[0].loss - least) / 2)
            if ended:
                break
    except DivergedError:
        if not points:
            raise
        ended = True
    return judged(points, sweep, ended)


def _steps(trainer: Trainer, count: int) -> Iterator[StepDone]:
    """The first steps of a training."""
    return islice((fact for fact in trainer.run() if isinstance(fact, StepDone)), count)


def judged(points: Sequence[Point], sweep: Sweep, ended: bool) -> RangeTest:
    """The suggestion of a curve; `ended` tells whether it ended early, by a loss far risen or not finite.

    It is the steepest point, the middle of the `window` steps over which the smoothed loss falls most, held between a
    tenth and a fifth of the minimum: less is slow, more lies close to where training becomes unstable.
    """
    loss, smoothed = (np.array(column) for column in list(zip(*points, strict=True))[1:])
    window, low = sweep.window, int(np.argmin(smoothed))
    minimum = points[low].lr
    clear = max(NOISE * _noise(loss, window), LEAST * abs(loss[0]))
    if low < 2 * window or smoothed[window:low].max() - smoothed[low] <= clear:
        return RangeTest(None, _flat(sweep, ended), None, rounded(minimum), list(points))
    falls = smoothed[2 * window : low + 1] - smoothed[window : low + 1 - window]
    steepest = points[int(np.argmin(falls)) + 2 * window - window // 2].lr
    if ended or smoothed[low:].max() - smoothed[low] > clear:
        suggestion, reason = _below(steepest, minimum)
    else:
        reason = f"the loss falls fastest there, and has not risen by the sweep's end; raise --max above {sweep.high:g}"
        suggestion = steepest
    if sweep.instead_of is not None:
        reason += f"; {sweep.instead_of} scales it, so it is the peak"
    return RangeTest(rounded(suggestion), reason, rounded(steepest), rounded(minimum), list(points))


def _below(steepest: float, minimum: float) -> tuple[float, str]:
    """The learning rate that these two suggest, and why."""
    tenth, fifth = minimum / 10, minimum / 5
    lowest = f"{rounded(minimum):g}, where it is lowest"
    if steepest * FAR < tenth:
        tried = f"a tenth of {lowest}, is far from it: try {rounded(tenth):g} too"
        return steepest, f"the loss falls fastest there; {tried}"
    fastest = f"the loss falls fastest at {rounded(steepest):g}"
    if steepest < tenth:
        return tenth, f"a tenth of {lowest}; {fastest} already"
    if steepest > fifth:
        return fifth, f"a fifth of {lowest}; {fastest}, which is too close to that"
    return steepest, f"the loss falls fastest there, between a tenth and a fifth of {lowest}"


def _flat(sweep: Sweep, ended: bool) -> str:
    """Why there is no suggestion, and what to try."""
    if ended:
        return f"the loss rises without having fallen before; lower --min, now {sweep.low:g}, or take more --steps"
    swept = f"from {sweep.low:g} to {sweep.high:g} the loss falls by no more than its noise"
    return f"{swept}; move --min or --max, or take more --steps"


def _noise(loss: Array, window: int) -> float:
    """The deviation of the smoothed loss from batch to batch: that of the loss itself, over sqrt(2 * window - 1).

    The differences of neighbours tell the loss's own, whatever its trend: half of those of normal noise lie within
    0.954 of its deviation.
    """
    return float(np.median(np.abs(np.diff(loss, prepend=loss[0])))) / 0.954 / math.sqrt(2 * window - 1)


def rounded(lr: float) -> float:
    """A learning rate in two digits, as one would write it in a config."""
    return float(f"{lr:.2g}")
