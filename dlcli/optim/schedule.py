"""The schedule contract: the learning rate as a function of the step, and where it likes of what was measured."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Annotated, Any, ClassVar, NamedTuple

from dlcli.core.component import Checked
from dlcli.core.errors import quote
from dlcli.core.options import Example, Length
from dlcli.core.registry import Registry

schedules: Registry[Schedule] = Registry("schedule", "schedules")


class Span(NamedTuple):
    """The run that a schedule is laid over."""

    lr: float
    """The optimizer's learning rate."""
    steps: int
    """Optimizer steps of the whole run."""
    per_epoch: int
    """Optimizer steps of one epoch."""

    def length(self, length: Length | None) -> int:
        """A length in steps; None is the whole run."""
        return self.steps if length is None else length.steps(self.steps, self.per_epoch)


@dataclass(kw_only=True, eq=False)
class Schedule(metaclass=Checked):
    """The learning rate of each step of a run, times min(1, (step + 1) / warmup) with a warm-up.

    In the formulas, base is the optimizer's lr and step counts from 0. Nothing is kept between steps: a resumed run
    asks for the same step and gets the same number. Only a schedule that writes `observe` keeps something, between
    epochs: it is told the monitored figure, and checkpoints hold what it keeps.
    """

    examples: ClassVar[tuple[Example, ...]] = ()

    warmup: Annotated[Length | None, "rise to the schedule in a straight line over this length"] = None

    def lr(self, step: int, span: Span) -> float:
        """The learning rate of that step, warm-up included."""
        warm = span.length(self.warmup) if self.warmup is not None else 0
        try:
            value = self.value(step, span)
        except OverflowError:  # a gamma above 1, taken to the power of many steps
            value = math.inf
        return value * (min(1.0, (step + 1) / warm) if warm else 1.0)

    def value(self, step: int, span: Span) -> float:
        """The learning rate of that step without the warm-up."""
        raise NotImplementedError

    def observe(self, value: float, better: str) -> None:
        """Take the monitored figure at the end of an epoch; `better` is `min` or `max`."""

    def to_json(self) -> dict[str, Any]:
        """What is kept, floats as `.hex()`."""
        return {}

    def restore(self, saved: dict[str, Any]) -> None:
        """Go back to what `to_json` gave; ValueError for a state that no run has."""
        if saved:
            raise ValueError(f"got {quote(saved)} for {type(self).__name__}, which keeps nothing")


schedules.base = Schedule
