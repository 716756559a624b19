"""What a user requires of an evaluation, such as `accuracy>=0.97`."""

from __future__ import annotations

import operator
import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass

from dlcli.core.errors import UsageError, quote, suggest
from dlcli.data.table import is_number, number

SIGNS = {">=": operator.ge, "<=": operator.le, "==": operator.eq, ">": operator.gt, "<": operator.lt}


@dataclass(frozen=True)
class Requirement:
    """A bound on one figure."""

    figure: str
    sign: str
    limit: float

    @classmethod
    def parse(cls, text: str) -> Requirement:
        """`FIGURE>=NUMBER`, or with another of the `SIGNS`; UsageError for anything else."""
        found = re.fullmatch(r"\s*(\w+)\s*(>=|<=|==|>|<)\s*(\S+)\s*", text)
        if found is None or not is_number(found[3]):
            raise UsageError(f"--require: got {quote(text)}, expected a figure, one of {' '.join(SIGNS)} and a number")
        return cls(found[1], found[2], number(found[3]))

    def known(self, figures: Iterable[str]) -> None:
        """UsageError with the near name unless its figure is among those."""
        figures = list(figures)
        if self.figure not in figures:
            raise UsageError(f"--require: no figure is called {quote(self.figure)}; {suggest(self.figure, figures)}")

    def problem(self, figures: Mapping[str, float]) -> str | None:
        """How the figure misses its bound, or None where it keeps it; one that is not a number keeps none."""
        value = figures[self.figure]
        if SIGNS[self.sign](value, self.limit) and abs(value) != float("inf"):
            return None
        return f"--require: {self.figure}: got {value:.6g}, expected {self.sign} {self.limit:g}"
