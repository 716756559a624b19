"""The rectified linear unit."""

from __future__ import annotations

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
        self.mask = np.greater(x.real, 0, out=self.buffer("mask", x.shape, bool))
        if x.dtype.kind == "c":  # maximum would compare the imaginary parts where the real part is 0
            return np.multiply(x, self.mask, out=self.buffer("y", x.shape))
        # NumPy vectorises maximum with an array, not with a scalar
        zero = self.buffer("zero", (1, *x.shape[1:]))
        zero.fill(0)
        return np.maximum(x, zero, out=self.buffer("y", x.shape))

    def backward(self, dy: Array) -> Array:
        return np.multiply(dy, self.mask, out=dy)

    def branch(self) -> Array:
        return self.mask
