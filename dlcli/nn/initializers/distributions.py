"""Initializers of given moments or bounds, whatever the parameter's shape."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

import numpy as np

from dlcli.core.arena import Array
from dlcli.core.errors import ConfigError
from dlcli.core.options import NonNegative, example
from dlcli.nn.initializer import Initializer, initializers


@initializers.register
@dataclass(eq=False)
class Normal(Initializer):
    """w ~ N(mean, std**2)

    Source: torch.nn.init.normal_
    """

    config_name: ClassVar[str] = "normal"
    examples: ClassVar = (example((4, 3)), example((4, 3), std=0.01))

    mean: float = 0.0
    std: NonNegative = 1.0

    def draw(self, shape: tuple[int, ...], fan_in: int, fan_out: int, rng: np.random.Generator) -> Array:
        return rng.normal(self.mean, self.std, shape)


@initializers.register
@dataclass(eq=False)
class Uniform(Initializer):
    """w ~ U(a, b)

    Source: torch.nn.init.uniform_
    """

    config_name: ClassVar[str] = "uniform"
    examples: ClassVar = (example((4, 3)), example((4, 3), a=-0.1, b=0.1))

    a: float = 0.0
    b: float = 1.0

    def __post_init__(self) -> None:
        if self.a > self.b:
            raise ConfigError(f"got a = {self.a:g} and b = {self.b:g}, expected a <= b")

    def draw(self, shape: tuple[int, ...], fan_in: int, fan_out: int, rng: np.random.Generator) -> Array:
        return self.a + (self.b - self.a) * rng.random(shape)
