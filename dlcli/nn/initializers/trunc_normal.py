"""The truncated normal distribution, exactly, by rejection."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import ClassVar

import numpy as np

from dlcli.core.arena import Array
from dlcli.core.errors import ConfigError
from dlcli.core.options import Positive, example
from dlcli.nn.initializer import Initializer, initializers

REACH = 2.0
"""How many deviations the mean may lie outside the bounds; further out nearly every draw would be rejected."""


def truncated(low: float, high: float, shape: tuple[int, ...], rng: np.random.Generator) -> Array:
    """Values of the standard normal distribution, given that they lie in [low, high].

    A candidate is drawn from the normal density or evenly from the interval, whichever rejects fewer: of n candidates
    about n * p and n * p / box stay, where p is the probability of the interval and box the area of the rectangle
    around the density over it.
    """
    mode = min(max(0.0, low), high)
    box = (high - low) * math.exp(-mode * mode / 2) / math.sqrt(2 * math.pi)
    values, filled = np.empty(math.prod(shape)), 0
    while filled < values.size:
        if box < 1:
            z = rng.uniform(low, high, values.size - filled)
            z = z[rng.random(z.size) < np.exp((mode * mode - z * z) / 2)]
        else:
            z = rng.standard_normal(values.size - filled)
            z = z[(z >= low) & (z <= high)]
        values[filled : filled + z.size] = z
        filled += z.size
    return values.reshape(shape)


@initializers.register
@dataclass(eq=False)
class TruncNormal(Initializer):
    """w ~ N(mean, std**2), given a <= w <= b

    a and b are values, not numbers of deviations. The mean may lie at most 2 std outside (PyTorch warns there).

    Source: torch.nn.init.trunc_normal_
    """

    config_name: ClassVar[str] = "trunc_normal"
    examples: ClassVar = (example((4, 3)), example((4, 3), mean=0.01, std=0.02, a=-0.04, b=0.03))

    mean: float = 0.0
    std: Positive = 1.0
    a: float = -2.0
    b: float = 2.0

    def __post_init__(self) -> None:
        if self.a >= self.b:
            raise ConfigError(f"got a = {self.a:g} and b = {self.b:g}, expected a < b")
        if not self.a - REACH * self.std <= self.mean <= self.b + REACH * self.std:
            raise ConfigError(
                f"got mean = {self.mean:g} for values in [{self.a:g}, {self.b:g}], expected one at most "
                f"2 std = {REACH * self.std:g} outside; move the mean, or a and b"
            )

    def draw(self, shape: tuple[int, ...], fan_in: int, fan_out: int, rng: np.random.Generator) -> Array:
        low, high = (self.a - self.mean) / self.std, (self.b - self.mean) / self.std
        return np.clip(self.mean + self.std * truncated(low, high, shape, rng), self.a, self.b)
