"""A learning rate that falls to zero as a power of what is left of the run."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

from dlcli.core.options import Length, Positive, example
from dlcli.optim.schedule import Schedule, Span, schedules


@schedules.register
@dataclass(kw_only=True, eq=False)
class PolynomialLR(Schedule):
    """lr = base * (1 - min(step / total_iters, 1)) ** power

    total_iters is by default the whole run (PyTorch's is 5).

    Source: torch.optim.lr_scheduler.PolynomialLR
    """

    total_iters: Length | None = None
    power: Positive = 1.0

    examples: ClassVar = (example(), example(total_iters="50 steps", power=2.0))

    def value(self, step: int, span: Span) -> float:
        return span.lr * (1 - min(step / max(1, span.length(self.total_iters)), 1.0)) ** self.power
