"""A learning rate that falls along half a cosine, again and again."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import ClassVar

from dlcli.core.options import Count, NonNegative, Period, example
from dlcli.optim.schedule import Schedule, Span, schedules


@schedules.register
@dataclass(kw_only=True, eq=False)
class CosineAnnealingWarmRestarts(Schedule):
    """lr = eta_min + (base - eta_min) * (1 + cos(pi * t / T)) / 2, with t steps since the last restart

    The first period is T = T_0; each restart multiplies T by T_mult. eta_min is a learning rate, not a factor.

    Source: Loshchilov and Hutter 2017, "SGDR: stochastic gradient descent with warm restarts",
    https://arxiv.org/abs/1608.03983; torch.optim.lr_scheduler.CosineAnnealingWarmRestarts
    """

    T_0: Period
    T_mult: Count = 1
    eta_min: NonNegative = 0.0

    examples: ClassVar = (
        example(T_0="25 steps"),
        example(T_0="10 steps", T_mult=2, eta_min=0.001),
    )

    def value(self, step: int, span: Span) -> float:
        since, period = step, max(1, span.length(self.T_0))
        if self.T_mult == 1:
            since %= period
        while since >= period:
            since, period = since - period, period * self.T_mult
        return self.eta_min + (span.lr - self.eta_min) * (1 + math.cos(math.pi * since / period)) / 2
