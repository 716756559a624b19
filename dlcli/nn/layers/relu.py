"""The rectified linear unit."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import ClassVar

import numpy as np

from dlcli.core.arena import Array
from dlcli.core.options import example
from dlcli.nn.layer import Layer, layers


@layers.register
@dataclass(eq=False)
class ReLU(Layer):
    """y = max(0, x)

    x and y (N, *shape).  dx = dy where x > 0, else 0 (also at x = 0, where the slope is not defined).

    Source: Nair and Hinton 2010, "Rectified linear units improve restricted Boltzmann machines";
    https://docs.pytorch.org/docs/stable/generated/torch.nn.ReLU.html
    """

    complex_step: ClassVar[bool] = True
    examples: ClassVar = (example((5,)), example((2, 3, 4)))

    def forward(self, x: Array, training: bool) -> Array:
        mask, y = self.buffer("mask", x.shape, bool), self.buffer("y", x.shape)
        zero = self.buffer("zero", (1, *x.shape[1:]))  # NumPy vectorises maximum with an array, not with a scalar
        zero.fill(0)

        def work(lane: int, rows: slice) -> None:
            np.greater(x[rows].real, 0, out=mask[rows])
            if x.dtype.kind == "c":  # maximum would compare the imaginary parts where the real part is 0
                np.multiply(x[rows], mask[rows], out=y[rows])
            else:
                np.maximum(x[rows], zero, out=y[rows])

        self.mask = mask
        self.share(len(x), zero.size, work)
        return y

    def backward(self, dy: Array) -> Array:
        def work(lane: int, rows: slice) -> None:
            np.multiply(dy[rows], self.mask[rows], out=dy[rows])

        self.share(len(dy), math.prod(dy.shape[1:]), work)
        return dy

    def branch(self) -> Array:
        return self.mask
