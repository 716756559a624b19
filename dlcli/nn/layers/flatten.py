"""All axes but the batch made one."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import ClassVar

import numpy as np

from dlcli.core.arena import Array
from dlcli.core.options import Example, example
from dlcli.nn.layer import Layer, Shape, layers


@layers.register
@dataclass(eq=False)
class Flatten(Layer):
    """y = x with all axes after the batch made one, in row-major order

    x (N, *shape), y (N, product of shape).  dx = dy in x's shape.

    Source: https://docs.pytorch.org/docs/stable/generated/torch.nn.Flatten.html
    """

    complex_step: ClassVar[bool] = True
    examples: ClassVar[tuple[Example, ...]] = (example((2, 3, 4)), example((5,)))

    def setup(self, in_shape: Shape) -> Shape:
        return (math.prod(in_shape),)

    def forward(self, x: Array, training: bool) -> Array:
        self.x_shape, self.row_major = x.shape, x.flags.c_contiguous
        if not self.row_major:
            flat = self.buffer("y", (len(x), math.prod(x.shape[1:])))
            x_rows = flat.reshape(x.shape)
            self._copy(x_rows, x)
            x = x_rows
        return x.reshape(len(x), *self.out_shape)

    def backward(self, dy: Array) -> Array:
        dy = dy.reshape(self.x_shape)
        if self.row_major:
            return dy
        dx = self.buffer("dx", self.x_shape)
        self._copy(dx, dy)
        return dx

    def _copy(self, to: Array, x: Array) -> None:
        self.share(len(x), x[0].size, lambda lane, rows: np.copyto(to[rows], x[rows]))

    def flops(self) -> int:
        return 0
