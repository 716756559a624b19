"""Piecewise linear activations: clipped, or gated by a clipped line."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

import numpy as np

from dlcli.core.arena import Array
from dlcli.core.errors import ConfigError
from dlcli.core.options import example
from dlcli.nn.layer import layers
from dlcli.nn.layers.elementwise import Elementwise


def clipped(x: Array, low: float, high: float) -> tuple[Array, Array]:
    """x clipped to [low, high], and the side of each element: -1 below, 0 inside, 1 above; a corner is outside."""
    side = (x.real >= high).astype(np.int8) - (x.real <= low)
    return np.where(side == 0, x, np.where(side < 0, low, high)).astype(x.dtype, copy=False), side


@layers.register
@dataclass(eq=False)
class Hardtanh(Elementwise):
    """y = min(max(x, min_val), max_val)

    x and y (N, *shape).  dx = dy where min_val < x < max_val, else 0.

    Source: Collobert 2004, "Large scale machine learning";
    https://docs.pytorch.org/docs/stable/generated/torch.nn.Hardtanh.html
    """

    min_val: float = -1.0
    max_val: float = 1.0

    complex_step: ClassVar[bool] = True
    examples: ClassVar = (example((5,)), example((2, 3), min_val=-0.5, max_val=2.0))

    def __post_init__(self) -> None:
        if self.min_val >= self.max_val:
            raise ConfigError(f"got min_val {self.min_val:g}, expected less than max_val {self.max_val:g}")

    def curve(self, x: Array) -> tuple[Array, Array]:
        y, self.side = clipped(x, self.min_val, self.max_val)
        return y, self.side == 0

    def branch(self) -> Array:
        return self.side


@layers.register
@dataclass(eq=False)
class ReLU6(Elementwise):
    """y = min(max(x, 0), 6)

    x and y (N, *shape).  dx = dy where 0 < x < 6, else 0.

    Source: Krizhevsky 2010, "Convolutional deep belief networks on CIFAR-10";
    https://docs.pytorch.org/docs/stable/generated/torch.nn.ReLU6.html
    """

    complex_step: ClassVar[bool] = True
    examples: ClassVar = (example((5,)), example((2, 3)))

    def curve(self, x: Array) -> tuple[Array, Array]:
        y, self.side = clipped(x, 0.0, 6.0)
        return y, self.side == 0

    def branch(self) -> Array:
        return self.side


@layers.register
@dataclass(eq=False)
class Hardsigmoid(Elementwise):
    """y = min(max(x / 6 + 1/2, 0), 1)

    x and y (N, *shape).  dx = dy / 6 where -3 < x < 3, else 0.

    Source: Courbariaux, Bengio and David 2015, "BinaryConnect", https://arxiv.org/abs/1511.00363;
    https://docs.pytorch.org/docs/stable/generated/torch.nn.Hardsigmoid.html
    """

    complex_step: ClassVar[bool] = True
    examples: ClassVar = (example((5,)), example((2, 3)))

    def curve(self, x: Array) -> tuple[Array, Array]:
        inside, self.side = clipped(x, -3.0, 3.0)
        return (inside + 3) / 6, (self.side == 0).astype(x.dtype) / 6

    def branch(self) -> Array:
        return self.side


@layers.register
@dataclass(eq=False)
class Hardswish(Elementwise):
    """y = x * min(max(x + 3, 0), 6) / 6

    x and y (N, *shape).  dx = 0 where x <= -3, dy where x >= 3, else dy * (2 * x + 3) / 6.

    Source: Howard et al. 2019, "Searching for MobileNetV3", https://arxiv.org/abs/1905.02244;
    https://docs.pytorch.org/docs/stable/generated/torch.nn.Hardswish.html
    """

    complex_step: ClassVar[bool] = True
    examples: ClassVar = (example((5,)), example((2, 3)))

    def curve(self, x: Array) -> tuple[Array, Array]:
        inside, self.side = clipped(x, -3.0, 3.0)
        slope = np.where(self.side == 0, (2 * x + 3) / 6, self.side > 0)
        return x * (inside + 3) / 6, slope

    def branch(self) -> Array:
        return self.side
