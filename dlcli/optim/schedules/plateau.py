"""A learning rate that falls when the monitored figure no longer improves."""

from __future__ import annotations

import math
from dataclasses import dataclass, field
from typing import Annotated, Any, ClassVar, Literal

from annotated_types import Gt, Lt

from dlcli.core.errors import quote
from dlcli.core.options import Natural, NonNegative, example
from dlcli.core.values import plain
from dlcli.optim.schedule import Schedule, Span, schedules


@schedules.register
@dataclass(kw_only=True, eq=False)
class ReduceLROnPlateau(Schedule):
    """lr = max(lr * factor, min_lr) after more than `patience` epochs in a row without improvement

    The figure is train.monitor, seen once an epoch, and its direction is known from the metric. An improvement is a
    figure below best * (1 - threshold), or best - threshold with threshold_mode abs; where larger is better, above
    best * (1 + threshold) or best + threshold. For `cooldown` epochs after a reduction none is counted as bad. A
    reduction by no more than eps is not made. patience and cooldown count epochs, as in PyTorch.

    The one schedule that depends on what was measured: checkpoints hold its state.

    Source: torch.optim.lr_scheduler.ReduceLROnPlateau
    """

    factor: Annotated[float, Gt(0), Lt(1)] = 0.1
    patience: Annotated[Natural, "epochs in a row without improvement that are let pass"] = 10
    threshold: NonNegative = 1e-4
    threshold_mode: Literal["rel", "abs"] = "rel"
    cooldown: Annotated[Natural, "epochs after a reduction, of which none counts as bad"] = 0
    min_lr: NonNegative = 0.0
    eps: NonNegative = 1e-8

    best: float | None = field(default=None, init=False, repr=False)
    """The best figure so far; None before the first finite one."""
    bad_epochs: int = field(default=0, init=False, repr=False)
    """Epochs without improvement since the last one with it, or since the last reduction."""
    resting: int = field(default=0, init=False, repr=False)
    """Epochs of cooldown still to come."""
    reductions: int = field(default=0, init=False, repr=False)
    """Reductions so far, those among them that min_lr or eps prevents."""

    examples: ClassVar = (
        example(),
        example(factor=0.5, patience=3, threshold=0.01, threshold_mode="abs", cooldown=1, min_lr=0.001, eps=0.0),
    )

    def value(self, step: int, span: Span) -> float:
        lr = span.lr
        for _ in range(self.reductions):
            lower = max(lr * self.factor, self.min_lr)
            if lr - lower <= self.eps:
                break
            lr = lower
        return lr

    def observe(self, value: float, better: str) -> None:
        if self._improved(value, better):
            self.best, self.bad_epochs = value, 0
        else:
            self.bad_epochs += 1
        if self.resting:
            self.resting, self.bad_epochs = self.resting - 1, 0
        if self.bad_epochs > self.patience:
            self.reductions += 1
            self.resting, self.bad_epochs = self.cooldown, 0

    def _improved(self, value: float, better: str) -> bool:
        if self.best is None or not math.isfinite(value):
            return math.isfinite(value)
        sign = -1 if better == "min" else 1
        margin = sign * self.threshold
        limit = self.best * (1 + margin) if self.threshold_mode == "rel" else self.best + margin
        return sign * value > sign * limit

    def to_json(self) -> dict[str, Any]:
        best = None if self.best is None else self.best.hex()
        return {"best": best, "bad_epochs": self.bad_epochs, "resting": self.resting, "reductions": self.reductions}

    def restore(self, saved: dict[str, Any]) -> None:
        try:
            best = None if saved["best"] is None else float.fromhex(saved["best"])
            bad, resting, reductions = (plain(Natural, saved[k]) for k in ("bad_epochs", "resting", "reductions"))
        except (KeyError, TypeError, ValueError, OverflowError):
            raise ValueError(f"got {quote(saved)}, expected the state of a {type(self).__name__}") from None
        in_reach = bad <= self.patience and resting <= self.cooldown and not (resting and (bad or not reductions))
        if not in_reach or len(saved) != 4 or not math.isfinite(best or 0.0):
            raise ValueError(f"got {quote(saved)}, which no {type(self).__name__} of these options has")
        self.best, self.bad_epochs, self.resting, self.reductions = best, bad, resting, reductions
