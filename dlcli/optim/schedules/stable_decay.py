"""A learning rate that stays and then falls in a straight line at the end of the run."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

from dlcli.core.options import Length, Share, example
from dlcli.optim.schedule import Schedule, Span, schedules


@schedules.register
@dataclass(kw_only=True, eq=False)
class WarmupStableDecay(Schedule):
    """lr = base until `decay` before the end of the run, then in a straight line to final_factor * base

    The rise at the start is the option `warmup`, as with every schedule.

    Source: Hu et al. 2024, "MiniCPM: unveiling the potential of small language models",
    https://arxiv.org/abs/2404.06395, section 4
    """

    decay: Length = Length(20, "%")
    final_factor: Share = 0.0

    examples: ClassVar = (example(), example(warmup="5%", decay="50 steps", final_factor=0.1))

    def value(self, step: int, span: Span) -> float:
        length = max(1, span.length(self.decay))
        left = min(1.0, (span.steps - step) / length)
        return span.lr * (self.final_factor + (1 - self.final_factor) * left)
