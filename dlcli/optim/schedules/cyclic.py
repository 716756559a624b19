"""A learning rate that rises and falls in straight lines, again and again."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar, Literal

from dlcli.core.options import Length, NonNegative, Period, Positive, example
from dlcli.optim.schedule import Schedule, Span, schedules


@schedules.register
@dataclass(kw_only=True, eq=False)
class CyclicLR(Schedule):
    """lr = base_lr + (peak - base_lr) * u * scale, where u rises from 0 to 1 over step_size_up and falls to 0 over
    step_size_down

    The peak is the optimizer's lr (PyTorch's max_lr); base_lr, the start of each cycle, is a learning rate too, not a
    factor. The momentum is left alone. `scale` is 1 in mode triangular, halved after each cycle in triangular2, and
    gamma ** step in exp_range. step_size_up is by default a tenth of the run (PyTorch's is 2000 steps), and
    step_size_down is step_size_up.

    Source: Smith 2017, "Cyclical learning rates for training neural networks", https://arxiv.org/abs/1506.01186;
    torch.optim.lr_scheduler.CyclicLR
    """

    base_lr: NonNegative
    step_size_up: Period = Length(10, "%")
    step_size_down: Period | None = None
    mode: Literal["triangular", "triangular2", "exp_range"] = "triangular"
    gamma: Positive = 1.0

    examples: ClassVar = (
        example(base_lr=0.01, step_size_up="10 steps"),
        example(base_lr=0.001, step_size_up="1 epoch", step_size_down="2 epochs", mode="triangular2"),
        example(base_lr=0.0, step_size_up="10%", mode="exp_range", gamma=0.99),
    )

    def value(self, step: int, span: Span) -> float:
        up = max(1, span.length(self.step_size_up))
        down = max(1, span.length(self.step_size_down or self.step_size_up))
        cycle, since = divmod(step, up + down)
        height = since / up if since <= up else (up + down - since) / down
        amplitude = (span.lr - self.base_lr) * height
        if self.mode == "triangular2":
            amplitude *= 0.5**cycle
        elif self.mode == "exp_range":
            amplitude *= self.gamma**step
        return self.base_lr + amplitude
