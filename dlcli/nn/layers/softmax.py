"""Scores made probabilities, or their logarithms."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

import numpy as np

from dlcli.core.arena import Array
from dlcli.core.errors import ShapeError
from dlcli.core.options import example
from dlcli.nn.layer import Layer, Shape, layers


def below_top(x: Array, out: Array) -> Array:
    """x less the largest along axis 1 by its real part: the softmax is the same, and exp cannot overflow."""
    return np.subtract(x, np.maximum.reduce(x.real, axis=1, keepdims=True), out=out)


def normalized(z: Array) -> tuple[Array, Array]:
    """exp(z) / total, written over z, and total (N, 1, *shape), the sum of exp(z) along axis 1."""
    np.exp(z, out=z)
    total = np.add.reduce(z, axis=1, keepdims=True)
    z /= total
    return z, total


class OfScores(Layer):
    """What Softmax and LogSoftmax share."""

    complex_step: ClassVar[bool] = True
    examples: ClassVar = (example((5,)), example((3, 2, 2)))

    def setup(self, in_shape: Shape) -> Shape:
        if not in_shape:
            raise ShapeError("got samples of shape (), expected at least one axis of scores")
        return in_shape

    def flops(self) -> int:
        return 3 * super().flops()


@layers.register
@dataclass(eq=False)
class Softmax(OfScores):
    """y = exp(x) / sum of exp(x) over axis 1

    x and y (N, K, *shape).  dx = y * (dy - sum of dy * y over axis 1).
    CrossEntropyLoss holds a softmax already: this layer is not for a stack that is trained with it.

    Source: https://docs.pytorch.org/docs/stable/generated/torch.nn.Softmax.html with dim=1
    """

    def forward(self, x: Array, training: bool) -> Array:
        self.y, _ = normalized(below_top(x, out=self.buffer("y", x.shape)))
        return self.y

    def backward(self, dy: Array) -> Array:
        product = np.multiply(dy, self.y, out=self.buffer("product", self.y.shape))
        dy -= np.sum(product, axis=1, keepdims=True)
        return np.multiply(dy, self.y, out=dy)


@layers.register
@dataclass(eq=False)
class LogSoftmax(OfScores):
    """y = x - log(sum of exp(x) over axis 1)

    x and y (N, K, *shape).  dx = dy - exp(y) * sum of dy over axis 1.

    Source: https://docs.pytorch.org/docs/stable/generated/torch.nn.LogSoftmax.html with dim=1
    """

    def forward(self, x: Array, training: bool) -> Array:
        self.y = below_top(x, out=self.buffer("y", x.shape))
        p = np.exp(self.y, out=self.buffer("p", x.shape))
        self.y -= np.log(np.sum(p, axis=1, keepdims=True))
        return self.y

    def backward(self, dy: Array) -> Array:
        p = np.exp(self.y, out=self.buffer("p", self.y.shape))
        p *= np.sum(dy, axis=1, keepdims=True)
        return np.subtract(dy, p, out=dy)
