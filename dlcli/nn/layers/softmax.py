"""Scores made probabilities."""

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
class Softmax(Layer):
    """y = exp(x) / sum of exp(x) over axis 1

    x and y (N, K, *shape).  dx = y * (dy - sum of dy * y over axis 1).
    CrossEntropyLoss holds a softmax already: this layer is not for a stack that is trained with it.

    Source: https://docs.pytorch.org/docs/stable/generated/torch.nn.Softmax.html with dim=1
    """

    complex_step: ClassVar[bool] = True
    examples: ClassVar = (example((5,)), example((3, 2, 2)))

    def setup(self, in_shape: Shape) -> Shape:
        if not in_shape:
            raise ShapeError("got samples of shape (), expected at least one axis of scores")
        return in_shape

    def forward(self, x: Array, training: bool) -> Array:
        top = np.max(x.real, axis=1, keepdims=True)  # the same for every score, so that exp cannot overflow
        self.y = np.subtract(x, top, out=self.buffer("y", x.shape))
        np.exp(self.y, out=self.y)
        self.y /= np.sum(self.y, axis=1, keepdims=True)
        return self.y

    def backward(self, dy: Array) -> Array:
        product = np.multiply(dy, self.y, out=self.buffer("product", self.y.shape))
        dy -= np.sum(product, axis=1, keepdims=True)
        return np.multiply(dy, self.y, out=dy)

    def flops(self) -> int:
        return 3 * super().flops()
