"""The initializer contract: how the first values of a parameter are drawn."""

from __future__ import annotations

import math
from typing import Any, ClassVar

import numpy as np

from dlcli.core.arena import Array
from dlcli.core.component import Checked
from dlcli.core.options import Example
from dlcli.core.registry import Registry

initializers: Registry[Initializer] = Registry("initializer", "initializers")


class Initializer(metaclass=Checked):
    """Draws the first values of a parameter.

    Fans follow PyTorch: for a weight (out, in, *kernel), fan_in = in x kernel size and fan_out = out x kernel size,
    where `in` counts the inputs of one group.
    """

    examples: ClassVar[tuple[Example, ...]] = ()

    def check(self, shape: tuple[int, ...]) -> None:
        """Raises ShapeError where a parameter of that shape cannot be drawn; any can, unless a subclass says so."""

    def draw(self, shape: tuple[int, ...], fan_in: int, fan_out: int, rng: np.random.Generator) -> Array:
        """Values of that shape in float64, whatever the network's dtype, so that both dtypes start alike."""
        raise NotImplementedError


initializers.base = Initializer


def fans(shape: tuple[int, ...]) -> tuple[int, int]:
    """(fan_in, fan_out) of a weight (out, in, *kernel); a vector counts as its own fan."""
    if len(shape) < 2:
        return (math.prod(shape), math.prod(shape))
    kernel = math.prod(shape[2:])
    return shape[1] * kernel, shape[0] * kernel


def as_mapping(option: Any) -> dict[str, Any]:
    """A layer's `init` or `constraint` as {parameter: component}; a lone component is for `weight`."""
    if option is None:
        return {}
    return dict(option) if isinstance(option, dict) else {"weight": option}
