"""The logistic function."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

import numpy as np

from dlcli.core.arena import Array
from dlcli.core.options import example
from dlcli.nn.layer import Layer, layers


@layers.register
@dataclass(eq=False)
class Sigmoid(Layer):
    """y = 1 / (1 + exp(-x))

    x and y (N, *shape).  dx = dy * y * (1 - y).
    Computed as (1 + tanh(x / 2)) / 2, which is the same function and cannot overflow.

    Source: https://docs.pytorch.org/docs/stable/generated/torch.nn.Sigmoid.html
    """

    complex_step: ClassVar[bool] = True
    examples: ClassVar = (example((5,)), example((2, 3)))

    def forward(self, x: Array, training: bool) -> Array:
        self.y = np.multiply(x, 0.5, out=self.buffer("y", x.shape))
        np.tanh(self.y, out=self.y)
        self.y += 1
        self.y *= 0.5
        return self.y

    def backward(self, dy: Array) -> Array:
        slope = np.subtract(1, self.y, out=self.buffer("slope", self.y.shape))
        slope *= self.y
        return np.multiply(dy, slope, out=dy)
