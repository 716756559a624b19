"""The schedule contract: the learning rate as a pure function of the step."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar, NamedTuple

from dlcli.core.component import Checked
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
    """lr(step), for steps 0 to span.steps - 1, and min(1, (step + 1) / warmup) times that with a warm-up.

    Nothing is kept between steps: a resumed run asks for the same step and gets the same number.
    """

    examples: ClassVar[tuple[Example, ...]] = ()

    warmup: Length | None = None
    """A linear warm-up over this length."""

    def lr(self, step: int, span: Span) -> float:
        """The learning rate of that step, warm-up included."""
        warm = span.length(self.warmup) if self.warmup is not None else 0
        return self.value(step, span) * (min(1.0, (step + 1) / warm) if warm else 1.0)

    def value(self, step: int, span: Span) -> float:
        """The learning rate of that step without the warm-up."""
        raise NotImplementedError


schedules.base = Schedule
