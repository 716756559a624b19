"""What a gradient check found: a row for every tensor, with the verdicts that the tutorial teaches."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Any

import numpy as np

from dlcli.core.arena import Array
from dlcli.nn.gradcheck.settings import THRESHOLD

BANDS = ((1e-7, "excellent"), (1e-5, "good"), (1e-2, "suspicious"))
"""The verdict below each relative error; `bug` above the last."""


def verdict(error: float) -> str:
    """The word for a relative error: excellent, good, suspicious or bug (also for what is not a number)."""
    return next((word for bound, word in BANDS if error < bound), "bug")


@dataclass
class Row:
    """The gradient of one tensor, compared; or, with an infinite error, what kept it from being compared."""

    layer: str
    """Such as `2 Linear`; `end to end` for the whole network through its loss."""
    tensor: str
    error: float
    """The largest relative error over all directions; infinite where there is none to give."""
    method: str
    """`complex`, `directional`, `trained` (in training's own type and batch size), `textbook`, `contract` where a layer
    breaks the rules before anything can be compared, or `skipped` where nothing can be."""
    threshold: float
    mode: str = "training"
    kinks: int = 0
    """Directions, or entries, left out because the function has a corner there."""
    entries: int = 0
    """How many entries were compared one by one; 0 where directions were."""
    after: int = 0
    """Training steps before the check."""
    proof: str | None = None
    """Whether planted errors were `found` or `missed`; `zero` or `small` where none can be planted."""
    where: str | None = None
    """The place of the layer in the config, `FILE:LINE:COL`."""
    hint: str | None = None
    """What a failure looks like, or where to look."""
    blame: str | None = None
    """The layer of which this failure is the consequence."""
    worst: tuple[int, ...] | None = None
    """The entry with the largest error, where a failure was looked into, with its two values and their ratio."""
    analytic: float | None = None
    numeric: float | None = None
    ratio: float | None = None

    @property
    def passed(self) -> bool:
        """Whether the error stays within the threshold (NaN does not), and no planted one was missed."""
        return self.skipped or (self.error <= self.threshold and self.proof != "missed")

    @property
    def skipped(self) -> bool:
        """Whether nothing was compared because nothing could be."""
        return self.method == "skipped"

    @property
    def stuck(self) -> bool:
        """Whether so many directions cross a kink that nothing is proven."""
        return self.kinks > 0 and self.error == math.inf

    @property
    def verdict(self) -> str:
        """The word for the error; what fails the stricter bound of the complex step is at least suspicious."""
        if self.skipped:
            return "skipped"
        if self.method == "trained":  # the bands are for float64
            return "good" if self.passed else "bug"
        word = verdict(self.error)
        return "suspicious" if not self.passed and word in ("excellent", "good") else word

    def to_dict(self) -> dict[str, Any]:
        """For JSON; a number that JSON cannot hold is null."""
        found: dict[str, Any] = {"layer": self.layer, "tensor": self.tensor, "error": _number(self.error)}
        found |= {"verdict": self.verdict, "method": self.method, "mode": self.mode, "kinks": self.kinks}
        found |= {"entries": self.entries, "after": self.after, "proof": self.proof, "where": self.where}
        if self.skipped:
            found["hint"] = self.hint
        if not self.passed:
            found |= {"hint": self.hint, "worst": None if self.worst is None else list(self.worst)}
            found |= {key: _number(getattr(self, key)) for key in ("analytic", "numeric", "ratio")}
        return found


@dataclass
class Report:
    """All rows of one check."""

    rows: list[Row]
    threshold: float = THRESHOLD

    @property
    def passed(self) -> bool:
        """Whether every row passed, and anything was compared at all."""
        return all(row.passed for row in self.rows) and not all(row.skipped for row in self.rows)

    def to_dict(self) -> dict[str, Any]:
        """`{passed, threshold, rows: [{layer, tensor, error, verdict, ...}]}`."""
        return {"passed": self.passed, "threshold": self.threshold, "rows": [row.to_dict() for row in self.rows]}


def _number(value: float | None) -> float | None:
    return value if value is not None and math.isfinite(value) else None


def guess(analytic: Array, numeric: Array, batch: int, outputs: int = 1) -> str:
    """The usual mistake that two gradients of one tensor look like, in words; `outputs` are those of a sample."""
    if not analytic.any():
        return "the gradient is zero everywhere; does backward set it?"
    strong = np.abs(numeric) > 1e-3 * np.abs(numeric).max()
    if not strong.any():
        return "forward does not change with it at all"
    square = analytic.ndim == 2 and analytic.shape[0] == analytic.shape[1] > 1
    if square and np.allclose(analytic, numeric.T, rtol=1e-4, atol=1e-6 * np.abs(numeric).max()):
        return "the gradient is transposed"
    ratios = analytic[strong] / numeric[strong]
    ratio = float(np.median(ratios))
    if np.ptp(ratios) > 1e-4 * abs(ratio) or ratio == 0:
        wrong = np.abs(ratios - 1) > 1e-4
        return f"{int(wrong.sum())} of {wrong.size} entries differ"
    known = {-1: "the sign is wrong", 2: "a factor 2 too many", 0.5: "a factor 2 is missing"}
    for count, over in ((batch, "the batch"), (outputs * batch, "samples and outputs"), (outputs, "the outputs")):
        if count > 1:
            known.setdefault(count, f"the mean over {over} is missing (a factor {count} too many)")
            known.setdefault(1 / count, f"the mean over {over} is taken twice (a factor {count} is missing)")
    for factor, words in known.items():
        if abs(ratio / factor - 1) < 1e-4:
            return words
    return f"every entry is {ratio:.6g} times what it should be"
