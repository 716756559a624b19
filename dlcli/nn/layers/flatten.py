"""All axes but the batch made one."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import ClassVar

import numpy as np

from dlcli.core.arena import Array
from dlcli.core.options import example
from dlcli.nn.layer import Layer, Shape, layers


@layers.register
@dataclass(eq=False)
class Flatten(Layer):
    """y = x with all axes after the batch made one, in row-major order

    x (N, *shape), y (N, product of shape).  dx = dy in x's shape.

    Source: https://docs.pytorch.org/docs/stable/generated/torch.nn.Flatten.html
    """

    complex_step: ClassVar[bool] = True
    examples: ClassVar = (example((2, 3, 4)), example((5,)))

    def setup(self, in_shape: Shape) -> Shape:
        return (math.prod(in_shape),)

    def forward(self, x: Array, training: bool) -> Array:
        self.shape, self.row_major = x.shape, x.flags.c_contiguous
        if self.row_major:
            return x.reshape(len(x), -1)
        y = self.buffer("y", (len(x), math.prod(x.shape[1:])))
        np.copyto(y.reshape(x.shape), x)
        return y

    def backward(self, dy: Array) -> Array:
        if self.row_major:
            return dy.reshape(self.shape)
        dx = self.buffer("dx", self.shape)
        np.copyto(dx, dy.reshape(self.shape))
        return dx

    def flops(self) -> int:
        return 0
