"""The Gaussian error linear unit, with the complementary error function that it needs."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import ClassVar, Literal

import numpy as np

from dlcli.core.arena import Array
from dlcli.core.options import example
from dlcli.core.workers import blocks
from dlcli.nn.layer import layers
from dlcli.nn.layers.elementwise import Elementwise

MIDDLE = 3.75
"""The x that becomes t = 0 in the series below."""

SERIES = (
    1.17757893456740175,
    -4.59005458064647733e-3,
    -8.42491333665179156e-2,
    5.92099399981918905e-2,
    -2.66586684353057523e-2,
    9.07499767070526509e-3,
    -2.41316354041760819e-3,
    4.90775836525808632e-4,
    -6.91697330250120637e-5,
    4.13902798607301017e-6,
    7.74038306619849067e-7,
    -2.18864010492343957e-7,
    1.07649994656709104e-8,
    4.52195981121828690e-9,
    -7.75440020883135111e-10,
    -6.31808834088668449e-11,
    2.86879501093066990e-11,
    1.94558685457773472e-13,
    -9.65469674843343891e-13,
    3.25254814814873984e-14,
    3.34781194828680539e-14,
    -1.86456288041931310e-15,
    -1.25079505306886471e-15,
    7.41823525662404346e-17,
    5.06814890479611132e-17,
)
"""Chebyshev coefficients of (1 + 2 x) exp(x**2) erfc(x) in t = (x - 3.75) / (x + 3.75), for x >= 0."""

BLOCK = 1 << 14
"""Numbers that are worked on at a time, so that the many terms of the series are added up in a core's cache."""

CUBIC = 0.044715
"""The factor of x**3 in the tanh approximation."""


def erfc(x: Array) -> Array:
    """The complementary error function, to about 1e-15 of its value; analytic, x.real chooses the side.

    On x >= 0 one series serves for all, in float32 without the terms that it cannot hold; erfc(-x) = 2 - erfc(x).

    Source: Shepherd and Laframboise 1981, "Chebyshev approximation of (1 + 2x) exp(x^2) erfc x in 0 <= x < inf",
    https://doi.org/10.1090/S0025-5718-1981-0595058-X
    """
    left = x.real < 0
    size = np.where(left, -x, x)
    t = (size - MIDDLE) / (size + MIDDLE)
    smallest = float(np.finfo(x.dtype).eps) / 8
    twice, later, after = 2 * t, np.zeros_like(t), np.zeros_like(t)
    for c in reversed([c for c in SERIES[1:] if abs(c) > smallest]):  # Clenshaw's sum
        later, after = twice * later - after + c, later
    y = (t * later - after + SERIES[0]) / (1 + 2 * size) * np.exp(-size * size)
    return np.where(left, 2 - y, y)


@layers.register
@dataclass(eq=False)
class GELU(Elementwise):
    """y = x * Phi(x),  Phi(x) = erfc(-x / sqrt(2)) / 2, the normal distribution function

    x and y (N, *shape).  dx = dy * (Phi(x) + x * exp(-x**2 / 2) / sqrt(2 pi)).
    With `approximate: tanh`, Phi(x) = (1 + tanh(u)) / 2, u = sqrt(2 / pi) * (x + 0.044715 x**3), and its own slope.

    Source: Hendrycks and Gimpel 2016, "Gaussian error linear units", https://arxiv.org/abs/1606.08415;
    https://docs.pytorch.org/docs/stable/generated/torch.nn.GELU.html
    """

    approximate: Literal["none", "tanh"] = "none"

    complex_step: ClassVar[bool] = True
    examples: ClassVar = (example((5,)), example((2, 3), approximate="tanh"))

    def forward(self, x: Array, training: bool) -> Array:
        y = self.buffer("y", x.shape)
        self.slope = self.buffer("slope", x.shape)
        step = max(1, BLOCK // math.prod(x.shape[1:]))

        def work(lane: int, rows: slice) -> None:
            for block in blocks(rows, step):
                y[block], self.slope[block] = self.curve(x[block])

        self.share(len(x), math.prod(x.shape[1:]), work)
        return y

    def curve(self, x: Array) -> tuple[Array, Array]:
        if self.approximate == "tanh":
            scale = math.sqrt(2 / math.pi)
            phi = 0.5 + 0.5 * np.tanh(scale * (x + CUBIC * x * x * x))
            return x * phi, phi + x * 2 * phi * (1 - phi) * scale * (1 + 3 * CUBIC * x * x)
        phi = 0.5 * erfc(x * -math.sqrt(0.5))
        return x * phi, phi + x * np.exp(-0.5 * x * x) / math.sqrt(2 * math.pi)
