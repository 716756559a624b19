"""The rectified linear unit with a small slope below zero."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

import numpy as np

from dlcli.core.arena import Array
from dlcli.core.options import NonNegative, example
from dlcli.nn.layer import Layer, layers


@layers.register
@dataclass(eq=False)
class LeakyReLU(Layer):
    """y = x where x > 0, else negative_slope * x

    x and y (N, *shape).  dx = dy where x > 0, else negative_slope * dy.

    Source: Maas, Hannun and Ng 2013, "Rectifier nonlinearities improve neural network acoustic models";
    https://docs.pytorch.org/docs/stable/generated/torch.nn.LeakyReLU.html
    """

    negative_slope: NonNegative = 0.01

    complex_step: ClassVar[bool] = True
    examples: ClassVar = (example((5,)), example((2, 3), negative_slope=0.2))

    def forward(self, x: Array, training: bool) -> Array:
        self.positive = np.greater(x.real, 0, out=self.buffer("positive", x.shape, bool))
        # The slope at every element, as numbers: 1 where positive, negative_slope elsewhere.
        self.slope = np.multiply(self.positive, 1 - self.negative_slope, out=self.buffer("slope", x.shape))
        self.slope += self.negative_slope
        return np.multiply(x, self.slope, out=self.buffer("y", x.shape))

    def backward(self, dy: Array) -> Array:
        return np.multiply(dy, self.slope, out=dy)

    def branch(self) -> Array:
        return self.positive
