"""A learning rate that rises to its peak and falls far below its start, once."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Annotated, ClassVar, Literal

from annotated_types import Gt, Lt

from dlcli.core.options import Positive, example
from dlcli.optim.schedule import Schedule, Span, schedules


@schedules.register
@dataclass(kw_only=True, eq=False)
class OneCycleLR(Schedule):
    """lr rises from low = base / div_factor to base over pct_start of the run, then falls to low / final_div_factor

    The optimizer's lr is the peak (PyTorch's max_lr) and the momentum is left alone. Between two levels a and b, with
    u from 0 to 1: b + (a - b) * (1 + cos(pi * u)) / 2, or a + (b - a) * u with anneal_strategy linear. With
    three_phase, lr falls to its start by a mirror image of the rise before it goes below.

    Source: Smith and Topin 2018, "Super-convergence", https://arxiv.org/abs/1708.07120;
    torch.optim.lr_scheduler.OneCycleLR
    """

    pct_start: Annotated[float, Gt(0), Lt(1)] = 0.3
    anneal_strategy: Literal["cos", "linear"] = "cos"
    div_factor: Positive = 25.0
    final_div_factor: Positive = 10000.0
    three_phase: bool = False

    examples: ClassVar = (
        example(),
        example(pct_start=0.25, anneal_strategy="linear", div_factor=10.0),
        example(three_phase=True),
    )

    def value(self, step: int, span: Span) -> float:
        low, peak = span.lr / self.div_factor, span.lr
        rise = self.pct_start * span.steps - 1
        phases = [(rise, low, peak)]
        if self.three_phase:
            phases.append((2 * rise, peak, low))
        phases.append((span.steps - 1, phases[-1][2], low / self.final_div_factor))
        start = 0.0
        for end, a, b in phases:
            if step <= end or end == span.steps - 1:
                return self._between(a, b, (step - start) / (end - start) if end > start else 1.0)
            start = end
        raise ValueError(f"step {step} lies beyond the run's {span.steps}")

    def _between(self, a: float, b: float, u: float) -> float:
        if self.anneal_strategy == "linear":
            return a + (b - a) * u
        return b + (a - b) * (1 + math.cos(math.pi * u)) / 2
