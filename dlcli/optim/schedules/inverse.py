"""Learning rates that fall as one over the step, or over its square root."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import ClassVar

from dlcli.core.options import Length, NonNegative, Period, example
from dlcli.optim.schedule import Schedule, Span, schedules


@schedules.register
@dataclass(kw_only=True, eq=False)
class InverseTimeDecay(Schedule):
    """lr = base / (1 + decay_rate * step / decay_steps)

    decay_steps is by default one epoch.

    Source: Robbins and Monro 1951, "A stochastic approximation method", https://doi.org/10.1214/aoms/1177729586;
    tf.keras.optimizers.schedules.InverseTimeDecay
    """

    decay_rate: NonNegative = 1.0
    decay_steps: Period = Length(1, "epoch")

    examples: ClassVar = (example(), example(decay_rate=0.5, decay_steps="10 steps"))

    def value(self, step: int, span: Span) -> float:
        return span.lr / (1 + self.decay_rate * step / max(1, span.length(self.decay_steps)))


@schedules.register
@dataclass(kw_only=True, eq=False)
class InverseSqrt(Schedule):
    """lr = base * sqrt(timescale / max(step, timescale))

    Constant for `timescale` steps, then falling as one over the square root of the step. With `warmup` of the same
    length it is the schedule of the Transformer.

    Source: Vaswani et al. 2017, "Attention is all you need", https://arxiv.org/abs/1706.03762, section 5.3
    """

    timescale: Period = Length(10, "%")

    examples: ClassVar = (example(), example(timescale="20 steps"))

    def value(self, step: int, span: Span) -> float:
        scale = max(1, span.length(self.timescale))
        return span.lr * math.sqrt(scale / max(step, scale))
