"""Figures over all samples, block by block, so that no copy of the data is made and a file need not fit into memory."""

from __future__ import annotations

import math
from collections.abc import Iterator

import numpy as np

from dlcli.core.arena import Array
from dlcli.data.picked import Picked

BLOCK = 1 << 18
"""Numbers in a block, at most: few enough for the cache."""

EXACT = 256
"""Rows of bytes whose squares add up without rounding in float32: 256 * 255**2 < 2**24."""


def blocks(inputs: Array | Picked, most: int | None = None) -> Iterator[Array]:
    """The samples as rows (n, features), `most` at a time at most."""
    features = math.prod(inputs.shape[1:])
    step = max(1, min(BLOCK // max(1, features), most or len(inputs)))
    return (inputs[start : start + step].reshape(-1, features) for start in range(0, len(inputs), step))


def finite(inputs: Array | Picked) -> bool:
    """Whether all numbers are."""
    return inputs.dtype.kind != "f" or all(np.isfinite(block).all() for block in blocks(inputs))


def extremes(inputs: Array | Picked, groups: int) -> tuple[Array, Array]:
    """(least, greatest) of each of the `groups` into which the features are cut in their order, (groups,) each."""
    low = high = inputs[:1].reshape(-1)
    for block in blocks(inputs):
        low, high = np.minimum(low, block.min(axis=0)), np.maximum(high, block.max(axis=0))
    return low.reshape(groups, -1).min(axis=1), high.reshape(groups, -1).max(axis=1)


def moments(inputs: Array | Picked, groups: int) -> tuple[Array, Array]:
    """(mean, variance) of each of the `groups` of features, (groups,) float64 each; of bytes without any rounding.

    mean = sum of x / n,  variance = sum of (x - mean)**2 / n;  for bytes (n * sum of x**2 - (sum of x)**2) / n**2
    """
    features = math.prod(inputs.shape[1:])
    n = len(inputs) * features // groups
    if inputs.dtype == np.uint8:
        totals = zip(*(_grouped(sums, groups).tolist() for sums in _byte_sums(inputs, features)), strict=True)
        exact = [(int(first), int(second)) for first, second in totals]
        return np.array([a / n for a, _ in exact]), np.array([(n * b - a * a) / n**2 for a, b in exact])
    total = np.zeros(features)
    for block in blocks(inputs):
        total += block.sum(axis=0, dtype=np.float64)
    mean = _grouped(total, groups) / n
    around, total = np.repeat(mean, features // groups), np.zeros(features)
    for block in blocks(inputs):
        total += np.square(block - around).sum(axis=0)
    return mean, _grouped(total, groups) / n


def _grouped(sums: Array, groups: int) -> Array:
    return sums.reshape(groups, -1).sum(axis=1)


def _byte_sums(inputs: Array | Picked, features: int) -> tuple[Array, Array]:
    """The sum and the sum of squares of each feature: whole numbers, kept in floats that hold them exactly."""
    total, squares = np.zeros(features), np.zeros(features)
    for raw in blocks(inputs, EXACT):
        ones, block = np.ones(len(raw), np.float32), raw.astype(np.float32)
        total += ones @ block  # a product of a vector and a matrix sums columns faster than `sum` does
        squares += ones @ np.square(block, out=block)
    return total, squares
