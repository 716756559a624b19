"""Smooth gates: x times a sigmoid-like function of itself."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

import numpy as np

from dlcli.core.arena import Array
from dlcli.core.options import example
from dlcli.nn.layer import layers
from dlcli.nn.layers.elementwise import Elementwise, logistic, softplus


@layers.register
@dataclass(eq=False)
class SiLU(Elementwise):
    """y = x * s,  s = 1 / (1 + exp(-x))

    x and y (N, *shape).  dx = dy * (s + y * (1 - s)).

    Source: Elfwing, Uchibe and Doya 2018, "Sigmoid-weighted linear units for neural network function approximation",
    https://arxiv.org/abs/1702.03118; https://docs.pytorch.org/docs/stable/generated/torch.nn.SiLU.html
    """

    complex_step: ClassVar[bool] = True
    examples: ClassVar = (example((5,)), example((2, 3)))

    def curve(self, x: Array) -> tuple[Array, Array]:
        s = logistic(x)
        y = x * s
        return y, s + y * (1 - s)


@layers.register
@dataclass(eq=False)
class Mish(Elementwise):
    """y = x * t,  t = tanh(log(1 + exp(x)))

    x and y (N, *shape).  dx = dy * (t + x * (1 - t**2) / (1 + exp(-x))).

    Source: Misra 2020, "Mish: a self regularized non-monotonic activation function",
    https://arxiv.org/abs/1908.08681; https://docs.pytorch.org/docs/stable/generated/torch.nn.Mish.html
    """

    complex_step: ClassVar[bool] = True
    examples: ClassVar = (example((5,)), example((2, 3)))

    def curve(self, x: Array) -> tuple[Array, Array]:
        t = np.tanh(softplus(x))
        return x * t, t + x * (1 - t * t) * logistic(x)
