"""The hyperbolic tangent."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

import numpy as np

from dlcli.core.arena import Array
from dlcli.core.options import example
from dlcli.nn.layer import Layer, layers


@layers.register
@dataclass(eq=False)
class Tanh(Layer):
    """y = tanh(x)

    x and y (N, *shape).  dx = dy * (1 - y**2).

    Source: https://docs.pytorch.org/docs/stable/generated/torch.nn.Tanh.html
    """

    complex_step: ClassVar[bool] = True
    examples: ClassVar = (example((5,)), example((2, 3)))

    def forward(self, x: Array, training: bool) -> Array:
        self.y = np.tanh(x, out=self.buffer("y", x.shape))
        return self.y

    def backward(self, dy: Array) -> Array:
        slope = np.multiply(self.y, self.y, out=self.buffer("slope", self.y.shape))
        np.subtract(1, slope, out=slope)
        return np.multiply(dy, slope, out=dy)
