"""A learning rate that moves from one factor to another in a straight line."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Annotated, ClassVar

from annotated_types import Gt, Le

from dlcli.core.options import Length, Share, example
from dlcli.optim.schedule import Schedule, Span, schedules


@schedules.register
@dataclass(kw_only=True, eq=False)
class LinearLR(Schedule):
    """lr = base * (start_factor + (end_factor - start_factor) * min(step / total_iters, 1))

    total_iters is by default the whole run (PyTorch's is 5).

    Source: torch.optim.lr_scheduler.LinearLR
    """

    start_factor: Annotated[float, Gt(0), Le(1)] = 1 / 3
    end_factor: Share = 1.0
    total_iters: Length | None = None

    examples: ClassVar = (
        example(total_iters="20 steps"),
        example(start_factor=1.0, end_factor=0.0),
    )

    def value(self, step: int, span: Span) -> float:
        share = min(step / max(1, span.length(self.total_iters)), 1.0)
        return span.lr * (self.start_factor + (self.end_factor - self.start_factor) * share)
