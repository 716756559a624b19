"""Initializers that draw nothing: every value is the same."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

import numpy as np

from dlcli.core.arena import Array
from dlcli.core.options import example
from dlcli.nn.initializer import Initializer, initializers


@initializers.register
@dataclass(eq=False)
class Constant(Initializer):
    """w = value

    Source: torch.nn.init.constant_
    """

    config_name: ClassVar[str] = "constant"
    examples: ClassVar = (example((4, 3), value=0.1),)

    value: float

    def draw(self, shape: tuple[int, ...], fan_in: int, fan_out: int, rng: np.random.Generator) -> Array:
        return np.full(shape, self.value, np.float64)


@initializers.register
@dataclass(eq=False)
class Zeros(Initializer):
    """w = 0

    Right for biases; a weight of zeros never leaves its symmetry.
    Source: torch.nn.init.zeros_
    """

    config_name: ClassVar[str] = "zeros"
    examples: ClassVar = (example((4, 3)),)

    def draw(self, shape: tuple[int, ...], fan_in: int, fan_out: int, rng: np.random.Generator) -> Array:
        return np.zeros(shape, np.float64)


@initializers.register
@dataclass(eq=False)
class Ones(Initializer):
    """w = 1

    Right for the factors of a norm.
    Source: torch.nn.init.ones_
    """

    config_name: ClassVar[str] = "ones"
    examples: ClassVar = (example((4, 3)),)

    def draw(self, shape: tuple[int, ...], fan_in: int, fan_out: int, rng: np.random.Generator) -> Array:
        return np.ones(shape, np.float64)
