"""Threads that share the lanes of a batch: who works on a lane never changes what comes out."""

from __future__ import annotations

import os
import weakref
from collections.abc import Callable, Iterator, Sequence
from functools import lru_cache
from queue import SimpleQueue
from threading import Thread
from typing import Any, NamedTuple

import numpy as np

MOST = 8
"""Lanes of one batch, at most."""

GRAIN = 1 << 19
"""Numbers in a lane, at least: with fewer, handing it over costs more than another thread saves."""

TERMS = 24
"""Terms of its sums that a product adds up while another layer works on one number."""

LOCKED = 500
"""Numbers in the result of a call of NumPy up to which it keeps the interpreter's lock, so that other threads wait."""

Lane = tuple[int, slice]


@lru_cache(maxsize=1024)  # layers ask for the same cut at every step
def lanes(rows: int, size: int) -> tuple[Lane, ...]:
    """A batch of `rows` samples, with `size` numbers each to work on, cut into numbered lanes of even length.

    The cut depends on the two numbers alone, and sums over lanes are added in the order of the lanes: so no bit of a
    result depends on how many threads there are.
    """
    grains = rows * size // GRAIN
    count = max(1, min(MOST, rows, 1 << grains.bit_length() >> 1))  # a power of two, to go evenly into 2 or 4 threads
    return tuple((i, slice(rows * i // count, rows * (i + 1) // count)) for i in range(count))


def blocks(rows: slice, step: int) -> Iterator[slice]:
    """The rows of a lane in blocks of even length, of at most `step`."""
    size = rows.stop - rows.start
    count = -(-size // step)
    return (slice(rows.start + size * i // count, rows.start + size * (i + 1) // count) for i in range(count))


class Workers:
    """`threads` threads, the calling one among them. A copy has one: copies of a network run side by side already."""

    def __init__(self, threads: int = 1) -> None:
        self.threads = threads
        self._calls: SimpleQueue[Call | None] | None = None
        self._process = 0

    def each(self, work: Callable[[int, Any], Any], parts: Sequence[tuple[int, Any]]) -> None:
        """Call work(*part) for every part, in any order; the first exception is raised when all have ended."""
        if self.threads == 1 or len(parts) == 1:
            for part in parts:
                work(*part)
            return
        call = Call(work, iter(parts), SimpleQueue())
        calls, others = self._started(), min(self.threads, len(parts)) - 1
        for _ in range(others):
            calls.put(call)
        try:
            call.drain()
        finally:
            failures = [failure for failure in (call.ends.get() for _ in range(others)) if failure is not None]
        if failures:
            raise failures[0]

    def _started(self) -> SimpleQueue[Call | None]:
        """What the other threads, which end with this object, wait at for calls.

        A pool of the standard library makes a future of each, and took twice as long to hand a lane over.
        """
        if self._calls is None or self._process != os.getpid():  # a fork has no threads
            calls: SimpleQueue[Call | None] = SimpleQueue()
            self._calls, self._process = calls, os.getpid()
            for _ in range(self.threads - 1):
                Thread(target=_serve, args=[calls], daemon=True).start()
                weakref.finalize(self, calls.put, None)
        return self._calls

    def __reduce__(self) -> Any:
        return Workers, ()


class Call(NamedTuple):
    """What is left of a call of `each`, and where every other thread says how its share ended."""

    work: Callable[[int, Any], Any]
    left: Iterator[tuple[int, Any]]
    ends: SimpleQueue[BaseException | None]

    def drain(self) -> None:
        """Work on parts until none is left."""
        for part in self.left:
            self.work(*part)


def _serve(calls: SimpleQueue[Call | None]) -> None:
    np.seterr(all="ignore")
    while (call := calls.get()) is not None:
        ended: BaseException | None = None
        try:
            call.drain()
        except BaseException as failure:
            ended = failure
        call.ends.put(ended)
        del call, ended  # a thread that waits holds nothing
