"""The figures that tell what is in an array."""

from __future__ import annotations

import math
from typing import Any, NamedTuple

import numpy as np

from dlcli.core.arena import Array


class Statistics(NamedTuple):
    """What is told of one array; figures are NaN where a number in it is."""

    shape: tuple[int, ...]
    dtype: str
    mean: float
    sd: float
    min: float
    max: float
    zeros: float
    """The share of its numbers that are 0."""
    norm: float
    nonfinite: int
    """How many of its numbers are NaN or infinite."""
    values: Any
    """The numbers in nested lists; None where they were not asked for, or are too many."""

    @property
    def size(self) -> int:
        """How many numbers it has."""
        return math.prod(self.shape)

    @property
    def middle(self) -> float:
        """The mean, but 0 where it is no more than the rounding of the largest number."""
        rounding = float(np.finfo(self.dtype).eps) * max(abs(self.min), abs(self.max))
        return 0.0 if abs(self.mean) <= rounding else self.mean

    @classmethod
    def of(cls, array: Array, most: float) -> Statistics:
        """The statistics of an array as it is now, with its numbers where there are at most so many."""
        a = np.asarray(array, np.float64)
        return cls(
            array.shape,
            str(array.dtype),
            mean=float(a.mean()),
            sd=float(a.std()),
            min=float(a.min()),
            max=float(a.max()),
            zeros=float(np.mean(a == 0)),
            norm=float(np.linalg.norm(a)),
            nonfinite=int(np.count_nonzero(~np.isfinite(a))),
            values=array.tolist() if array.size <= most else None,
        )
