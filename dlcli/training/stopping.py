"""What a run watches: the best value of the monitored figure, and when waiting for a better one is over."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Any


@dataclass
class Mark:
    """A value with the step at which it was reached."""

    value: float
    step: int

    def to_json(self) -> dict[str, Any]:
        return {"value_hex": self.value.hex(), "step": self.step}

    @classmethod
    def from_json(cls, saved: dict[str, Any]) -> Mark:
        return cls(float.fromhex(saved["value_hex"]), int(saved["step"]))


@dataclass
class Monitor:
    """Follows one figure, such as `val.accuracy`, over the epochs.

    `best` takes any improvement and names the checkpoint to keep. Early stopping waits `patience` steps for an
    improvement by more than `min_delta` over `anchor`, the last value that counted.
    """

    metric: str
    better: str
    """`max` or `min`."""
    patience: int | None = None
    """In steps; None never stops."""
    min_delta: float = 0.0
    best: Mark | None = None
    anchor: Mark | None = None

    def observe(self, value: float, step: int) -> bool:
        """Take the value of an epoch and tell whether it is the best so far; NaN never is."""
        if math.isnan(value):
            return False
        if self.anchor is None or self._gain(value, self.anchor) > self.min_delta:
            self.anchor = Mark(value, step)
        if self.best is None or self._gain(value, self.best) > 0:
            self.best = Mark(value, step)
            return True
        return False

    def exhausted(self, step: int) -> bool:
        """Whether early stopping has waited long enough."""
        return self.patience is not None and self.anchor is not None and step - self.anchor.step >= self.patience

    def _gain(self, value: float, mark: Mark) -> float:
        return value - mark.value if self.better == "max" else mark.value - value

    def to_json(self) -> dict[str, Any]:
        return {
            "metric": self.metric,
            "best": self.best.to_json() if self.best else None,
            "anchor": self.anchor.to_json() if self.anchor else None,
        }

    def restore(self, saved: dict[str, Any]) -> None:
        """Go back to a saved state."""
        self.best, self.anchor = (Mark.from_json(saved[k]) if saved[k] else None for k in ("best", "anchor"))
