"""Threads that share the lanes of a batch: who works on a lane never changes what comes out."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import numpy as np

MOST = 8
"""Lanes of one batch, at most."""

GRAIN = 1 << 18
"""Numbers in a lane, at least: with fewer, handing it over costs more than another thread saves."""

Lane = tuple[int, slice]


def lanes(rows: int, size: int) -> list[Lane]:
    """A batch of `rows` samples, with `size` numbers each to work on, cut into numbered lanes of even length.

    The cut depends on the two numbers alone, and sums over lanes are added in the order of the lanes: so no bit of a
    result depends on how many threads there are.
    """
    grains = rows * size // GRAIN
    count = max(1, min(MOST, rows, 1 << grains.bit_length() >> 1))  # a power of two, to go evenly into 2 or 4 threads
    return [(i, slice(rows * i // count, rows * (i + 1) // count)) for i in range(count)]


def blocks(rows: slice, step: int) -> Iterator[slice]:
    """The rows of a lane in blocks of even length, of at most `step`."""
    size = rows.stop - rows.start
    count = -(-size // step)
    return (slice(rows.start + size * i // count, rows.start + size * (i + 1) // count) for i in range(count))


class Workers:
    """`threads` threads, the calling one among them. A copy has one: copies of a network run side by side already."""

    def __init__(self, threads: int = 1) -> None:
        self.threads = threads
        self._pool: ThreadPoolExecutor | None = None

    def each(self, work: Callable[[int, slice], Any], parts: Iterable[Lane]) -> None:
        """Call work(*part) for every part, in any order; the first exception is raised when all have ended."""
        parts = list(parts)
        if self.threads == 1 or len(parts) == 1:
            for part in parts:
                work(*part)
            return
        if self._pool is None:
            self._pool = ThreadPoolExecutor(self.threads - 1, initializer=lambda: np.seterr(all="ignore"))
        left = iter(parts)
        others = [self._pool.submit(_drain, work, left) for _ in range(min(self.threads, len(parts)) - 1)]
        try:
            _drain(work, left)
        finally:
            failures = [failure for failure in (other.exception() for other in others) if failure is not None]
        if failures:
            raise failures[0]

    def __reduce__(self) -> Any:
        return Workers, ()


def _drain(work: Callable[[int, slice], Any], left: Iterator[Lane]) -> None:
    for part in left:
        work(*part)
