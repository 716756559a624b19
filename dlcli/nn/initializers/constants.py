"""Initializers that draw nothing: the values are given."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

import numpy as np

from dlcli.core.arena import Array
from dlcli.core.errors import ShapeError
from dlcli.core.options import example
from dlcli.nn.initializer import Initializer, initializers


@initializers.register
@dataclass(eq=False)
class Constant(Initializer):
    """w = value, one number for all or a list shaped like w, such as [[1, 0], [0, -1]] for a weight (2, 2)

    Source: torch.nn.init.constant_, which takes one number
    """

    config_name: ClassVar[str] = "constant"
    examples: ClassVar = (example((4, 3), value=0.1), example((2, 3), value=[[1.0, 0.0, -1.0], [0.5, 2.0, 0.0]]))

    value: float | list[float] | list[list[float]]

    def check(self, shape: tuple[int, ...]) -> None:
        if not isinstance(self.value, list):
            return
        lengths = {len(row) for row in self.value if isinstance(row, list)}
        given = (len(self.value), *lengths)
        if given != shape:
            got = "rows of different lengths" if len(lengths) > 1 else f"values of shape {given}"
            raise ShapeError(f"constant: got {got}, expected {shape}")

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
