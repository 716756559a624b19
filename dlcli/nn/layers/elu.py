"""Exponential linear units: the identity above zero, an exponential that levels off below."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

import numpy as np

from dlcli.core.arena import Array
from dlcli.core.options import Positive, example
from dlcli.nn.layer import layers
from dlcli.nn.layers.elementwise import Elementwise

SELU_ALPHA = 1.6732632423543772848170429916717
SELU_SCALE = 1.0507009873554804934193349852946
"""The fixed point at which activations keep mean 0 and variance 1 (Klambauer et al. 2017, appendix)."""


def exponential(x: Array, alpha: float, stretch: float = 1.0) -> tuple[Array, Array, Array]:
    """y = x above 0, alpha * (exp(x / stretch) - 1) below; with its slope, and whether x is above 0."""
    above = x.real > 0
    below = np.where(above, 0, x) / stretch
    y = np.where(above, x, alpha * np.expm1(below))
    return y, np.where(above, 1, alpha / stretch * np.exp(below)), above


@layers.register
@dataclass(eq=False)
class ELU(Elementwise):
    """y = x where x > 0, else alpha * (exp(x) - 1)

    x and y (N, *shape).  dx = dy where x > 0, else dy * alpha * exp(x).

    Source: Clevert, Unterthiner and Hochreiter 2016, "Fast and accurate deep network learning by exponential linear
    units", https://arxiv.org/abs/1511.07289; https://docs.pytorch.org/docs/stable/generated/torch.nn.ELU.html
    """

    alpha: Positive = 1.0

    complex_step: ClassVar[bool] = True
    examples: ClassVar = (example((5,)), example((2, 3), alpha=0.5))

    def curve(self, x: Array) -> tuple[Array, Array]:
        y, slope, self.above = exponential(x, self.alpha)
        return y, slope

    def branch(self) -> Array:
        return self.above


@layers.register
@dataclass(eq=False)
class CELU(Elementwise):
    """y = x where x > 0, else alpha * (exp(x / alpha) - 1)

    x and y (N, *shape).  dx = dy where x > 0, else dy * exp(x / alpha).  It is smooth at 0 for every alpha.

    Source: Barron 2017, "Continuously differentiable exponential linear units", https://arxiv.org/abs/1704.07483;
    https://docs.pytorch.org/docs/stable/generated/torch.nn.CELU.html
    """

    alpha: Positive = 1.0

    complex_step: ClassVar[bool] = True
    examples: ClassVar = (example((5,)), example((2, 3), alpha=0.5))

    def curve(self, x: Array) -> tuple[Array, Array]:
        y, slope, self.above = exponential(x, self.alpha, self.alpha)
        return y, slope

    def branch(self) -> Array:
        return self.above


@layers.register
@dataclass(eq=False)
class SELU(Elementwise):
    """y = scale * x where x > 0, else scale * alpha * (exp(x) - 1);  scale = 1.0507, alpha = 1.6733, rounded

    x and y (N, *shape).  dx = dy * scale where x > 0, else dy * scale * alpha * exp(x). Meant for
    weights drawn with `kaiming_normal: {nonlinearity: linear}`.

    Source: Klambauer et al. 2017, "Self-normalizing neural networks", https://arxiv.org/abs/1706.02515;
    https://docs.pytorch.org/docs/stable/generated/torch.nn.SELU.html
    """

    complex_step: ClassVar[bool] = True
    examples: ClassVar = (example((5,)),)

    def curve(self, x: Array) -> tuple[Array, Array]:
        y, slope, self.above = exponential(x, SELU_ALPHA)
        return SELU_SCALE * y, SELU_SCALE * slope

    def branch(self) -> Array:
        return self.above
