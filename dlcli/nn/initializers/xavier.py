"""Glorot's initializers: the variance lies between what forward and what backward would keep."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import ClassVar

import numpy as np

from dlcli.core.arena import Array
from dlcli.core.options import Positive, example
from dlcli.nn.initializer import Initializer, initializers


@dataclass(eq=False)
class _Xavier(Initializer):
    gain: Positive = 1.0

    def std(self, fan_in: int, fan_out: int) -> float:
        return self.gain * math.sqrt(2 / (fan_in + fan_out))


@initializers.register
@dataclass(eq=False)
class XavierUniform(_Xavier):
    """w ~ U(-b, b),  b = gain sqrt(6 / (fan_in + fan_out))

    Source: Glorot and Bengio 2010, "Understanding the difficulty of training deep feedforward neural networks",
    https://proceedings.mlr.press/v9/glorot10a.html; torch.nn.init.xavier_uniform_
    """

    config_name: ClassVar[str] = "xavier_uniform"
    examples: ClassVar = (example((4, 3)), example((4, 3), gain=2.0))

    def draw(self, shape: tuple[int, ...], fan_in: int, fan_out: int, rng: np.random.Generator) -> Array:
        bound = math.sqrt(3) * self.std(fan_in, fan_out)
        return rng.uniform(-bound, bound, shape)


@initializers.register
@dataclass(eq=False)
class XavierNormal(_Xavier):
    """w ~ N(0, std**2),  std = gain sqrt(2 / (fan_in + fan_out))

    Source: Glorot and Bengio 2010, https://proceedings.mlr.press/v9/glorot10a.html; torch.nn.init.xavier_normal_
    """

    config_name: ClassVar[str] = "xavier_normal"
    examples: ClassVar = (example((4, 3)), example((4, 3), gain=2.0))

    def draw(self, shape: tuple[int, ...], fan_in: int, fan_out: int, rng: np.random.Generator) -> Array:
        return rng.normal(0.0, self.std(fan_in, fan_out), shape)
