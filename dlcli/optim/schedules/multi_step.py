"""A learning rate that falls by a factor at given moments."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

from dlcli.core.options import Length, Positive, example
from dlcli.optim.schedule import Schedule, Span, schedules


@schedules.register
@dataclass(kw_only=True, eq=False)
class MultiStepLR(Schedule):
    """lr = base * gamma ** (number of milestones <= step)

    Source: torch.optim.lr_scheduler.MultiStepLR
    """

    milestones: list[Length]
    gamma: Positive = 0.1

    examples: ClassVar = (
        example(milestones=["30 steps", "80 steps"]),
        example(milestones=["50%", "75%"], gamma=0.5),
    )

    def value(self, step: int, span: Span) -> float:
        passed = sum(span.length(milestone) <= step for milestone in self.milestones)
        return span.lr * self.gamma**passed
