"""A learning rate that falls by a factor at even intervals."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

from dlcli.core.options import Period, Positive, example
from dlcli.optim.schedule import Schedule, Span, schedules


@schedules.register
@dataclass(kw_only=True, eq=False)
class StepLR(Schedule):
    """lr = base * gamma ** (step // step_size)

    Source: torch.optim.lr_scheduler.StepLR
    """

    step_size: Period
    gamma: Positive = 0.1

    examples: ClassVar = (example(step_size="10 steps"), example(step_size="1 epoch", gamma=0.5))

    def value(self, step: int, span: Span) -> float:
        return span.lr * self.gamma ** (step // max(1, span.length(self.step_size)))
