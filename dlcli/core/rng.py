"""Independent random streams: each is a function of (seed, purpose, indices), so nothing about them is saved."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Annotated, cast

import numpy as np
from annotated_types import Ge, Lt
from numpy.typing import NDArray

Seed = Annotated[int, Ge(0), Lt(2**64)]

PURPOSES = ("init", "shuffle", "split", "layer", "data", "gradcheck", "standalone", "augment", "sample", "mixup")
"""What streams are for. The order is part of every run's bits: append only."""


def stream(seed: int, purpose: str, *indices: int) -> np.random.Generator:
    """A generator of its own for `(seed, purpose, indices)`, a `Seed` and whole numbers from 0.

    The seed always takes two 32-bit words and each index two, so that no two keys share their words.
    """
    words = [PURPOSES.index(purpose) + 1, len(indices)]
    for number in (seed, *indices):
        words += [number & 0xFFFFFFFF, number >> 32]
    return np.random.default_rng(words)


def quarters(fresh: np.random.Generator, first: int, last: int) -> NDArray[np.uint16]:
    """The numbers from `first` to before `last` of a fresh stream, each a quarter of one of its words of 64 bits.

    It skips those before them, so that parts of one stream may be drawn side by side.
    """
    cast(np.random.PCG64, fresh.bit_generator).advance(first // 4)
    words = fresh.integers(0, 1 << 64, size=-(-last // 4) - first // 4, dtype=np.uint64)
    return words.view(np.uint16)[first % 4 :][: last - first]


@dataclass
class Draws:
    """Where the stochastic layers of one network draw from: a stream for each (seed, step, layer)."""

    seed: int
    step: int = 0
