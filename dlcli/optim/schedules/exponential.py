"""A learning rate that falls by the same factor over every stretch of the same length."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

from dlcli.core.options import Length, Period, Positive, example
from dlcli.optim.schedule import Schedule, Span, schedules


@schedules.register
@dataclass(kw_only=True, eq=False)
class ExponentialLR(Schedule):
    """lr = base * gamma ** (step / decay_steps)

    decay_steps is by default one epoch, so that after each epoch lr is what PyTorch's is where it is stepped once an
    epoch; in between it falls smoothly. With `1 step` gamma is the factor of one step.

    Source: torch.optim.lr_scheduler.ExponentialLR
    """

    gamma: Positive
    decay_steps: Period = Length(1, "epoch")

    examples: ClassVar = (example(gamma=0.9), example(gamma=0.98, decay_steps="1 step"))

    def value(self, step: int, span: Span) -> float:
        return span.lr * self.gamma ** (step / max(1, span.length(self.decay_steps)))
