"""A learning rate that falls along half a cosine."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import ClassVar

from dlcli.core.options import Length, NonNegative, example
from dlcli.optim.schedule import Schedule, Span, schedules


@schedules.register
@dataclass(kw_only=True, eq=False)
class CosineAnnealingLR(Schedule):
    """lr = eta_min + (base - eta_min) * (1 + cos(pi * step / T_max)) / 2

    T_max is by default the whole run; eta_min is a learning rate, not a factor.

    Source: Loshchilov and Hutter 2017, "SGDR: stochastic gradient descent with warm restarts",
    https://arxiv.org/abs/1608.03983; torch.optim.lr_scheduler.CosineAnnealingLR
    """

    T_max: Length | None = None
    eta_min: NonNegative = 0.0

    examples: ClassVar = (example(), example(T_max="20 steps", eta_min=0.001), example(warmup="5 steps"))

    def value(self, step: int, span: Span) -> float:
        period = max(1, span.length(self.T_max))
        return self.eta_min + (span.lr - self.eta_min) * (1 + math.cos(math.pi * step / period)) / 2
