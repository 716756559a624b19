"""Random numbers by counting: those of a sample are a function of its key and number, whatever batch it stands in."""

from __future__ import annotations

import math

import numpy as np

from dlcli.core.arena import Array

GAMMA = np.uint64(0x9E3779B97F4A7C15)
MIX = ((30, np.uint64(0xBF58476D1CE4E5B9)), (27, np.uint64(0x94D049BB133111EB)))


def mix(z: Array) -> Array:
    """The output function of SplitMix64 on an array of uint64, in place: every input bit reaches every output bit."""
    for shift, factor in MIX:
        z ^= z >> np.uint64(shift)
        z *= factor
    z ^= z >> np.uint64(31)
    return z


class Draws:
    """Random numbers for n samples, each from a SplitMix64 sequence of its own; every call goes on in them.

    Sample r starts at mix(key + (r + 1) GAMMA), and its k-th word is mix(start + k GAMMA). A generator object for each
    sample would cost more than all else that is done with it.

    Source: Steele, Lea and Flood 2014, "Fast splittable pseudorandom number generators",
    https://doi.org/10.1145/2660193.2660195
    """

    def __init__(self, key: int, rows: Array) -> None:
        self.starts = mix((rows.astype(np.uint64) + np.uint64(1)) * GAMMA + np.uint64(key))
        self.drawn = 0

    def words(self, count: int) -> Array:
        """(n, count) uint64."""
        steps = np.arange(self.drawn + 1, self.drawn + count + 1, dtype=np.uint64) * GAMMA
        self.drawn += count
        return mix(self.starts[:, None] + steps)

    def uniform(self, *ranges: tuple[float, float]) -> Array:
        """(ranges, n) float64: for every sample a number in [low, high) of each range."""
        low, high = np.array(ranges).T[:, :, None]
        fractions = np.ascontiguousarray((self.words(len(ranges)) >> np.uint64(11)).T) * 2.0**-53
        return fractions * (high - low) + low

    def integers(self, *ranges: tuple[int, int]) -> Array:
        """(ranges, n) float64: for every sample a whole number from low to high, both among them, of each range."""
        return np.floor(self.uniform(*((low, high + 1) for low, high in ranges)))

    def rough(self, count: int) -> Array:
        """(n, count) float32 in [-1, 1), in steps of 2**-15: a quarter of the work."""
        quarters = self.words(-(-count // 4)).view(np.int16)[:, :count]
        return quarters * np.float32(2.0**-15)

    def normal(self, *shape: int) -> Array:
        """(n, *shape) float32 of the standard normal distribution, by Box and Muller's transform."""
        count = math.prod(shape)
        pairs = -(-count // 2)
        bits = self.words(pairs).view(np.uint32) >> np.uint32(8)
        first, second = bits[:, :pairs].astype(np.float32), bits[:, pairs:].astype(np.float32)
        radius = np.sqrt(-2.0 * np.log((first + 1.0) * 2.0**-24))
        angle = second * (math.tau * 2.0**-24)
        return np.concatenate([radius * np.cos(angle), radius * np.sin(angle)], axis=1)[:, :count].reshape(-1, *shape)
