"""Scores made logarithms of probabilities."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

import numpy as np

from dlcli.core.arena import Array
from dlcli.core.errors import ShapeError
from dlcli.core.options import example
from dlcli.nn.layer import Layer, Shape, layers


@layers.register
@dataclass(eq=False)
class LogSoftmax(Layer):
    """y = x - log(sum of exp(x) over axis 1)

    x and y (N, K, *shape).  dx = dy - exp(y) * sum of dy over axis 1.

    Source: https://docs.pytorch.org/docs/stable/generated/torch.nn.LogSoftmax.html with dim=1
    """

    complex_step: ClassVar[bool] = True
    examples: ClassVar = (example((5,)), example((3, 2, 2)))

    def setup(self, in_shape: Shape) -> Shape:
        if not in_shape:
            raise ShapeError("got samples of shape (), expected at least one axis, the classes")
        return in_shape

    def forward(self, x: Array, training: bool) -> Array:
        top = np.max(x.real, axis=1, keepdims=True)  # the same for every score, so that exp cannot overflow
        self.y = np.subtract(x, top, out=self.buffer("y", x.shape))
        p = np.exp(self.y, out=self.buffer("p", x.shape))
        self.y -= np.log(np.sum(p, axis=1, keepdims=True))
        return self.y

    def backward(self, dy: Array) -> Array:
        p = np.exp(self.y, out=self.buffer("p", self.y.shape))
        p *= np.sum(dy, axis=1, keepdims=True)
        return np.subtract(dy, p, out=dy)

    def flops(self) -> int:
        return 3 * super().flops()
