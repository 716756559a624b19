"""A constant learning rate, scaled at first where asked."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

from dlcli.core.options import Length, Positive, example
from dlcli.optim.schedule import Schedule, Span, schedules


@schedules.register
@dataclass(kw_only=True, eq=False)
class ConstantLR(Schedule):
    """lr = base * factor in the first total_iters steps, then base

    By default the factor is 1: a constant rate, to which `warmup` can be added (PyTorch's default factor is 1/3).

    Source: torch.optim.lr_scheduler.ConstantLR
    """

    factor: Positive = 1.0
    total_iters: Length | None = None

    examples: ClassVar = (example(), example(factor=0.5, total_iters="5 steps"), example(warmup="10%"))

    def value(self, step: int, span: Span) -> float:
        return span.lr * (self.factor if step < span.length(self.total_iters) else 1.0)
