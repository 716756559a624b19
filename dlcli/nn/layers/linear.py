"""The fully connected layer."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

import numpy as np

from dlcli.core.arena import Array
from dlcli.core.errors import ShapeError
from dlcli.core.options import Count, example
from dlcli.core.workers import GRAIN, TERMS
from dlcli.nn.initializers import TorchDefault
from dlcli.nn.layer import Layer, Shape, layers
from dlcli.nn.layers.channels import inferred

BAND = 64
"""Columns of a lane, at least: a narrower product is slower."""


@layers.register
@dataclass(eq=False)
class Linear(Layer):
    """y = x @ weight.T + bias

    x (N, in), weight (out, in), bias (out,), y (N, out).
    dx = dy @ weight,  dweight = dy.T @ x,  dbias = sum of dy over the batch.

    Source: https://docs.pytorch.org/docs/stable/generated/torch.nn.Linear.html
    """

    in_features: Count | None  # None: inferred from the layer before
    out_features: Count
    bias: bool = True

    complex_step: ClassVar[bool] = True
    examples: ClassVar = (example((5,), out_features=3), example((5,), out_features=3, bias=False))

    def setup(self, in_shape: Shape) -> Shape:
        if len(in_shape) != 1:
            raise ShapeError(f"got samples of shape {in_shape}, expected one axis of features; put a Flatten before it")
        self.in_features = inferred("in_features", self.in_features, in_shape[0], "features")
        self.declare("weight", (self.out_features, self.in_features), TorchDefault())
        if self.bias:
            self.declare("bias", (self.out_features,), TorchDefault(), fan_in=self.in_features)
        return (self.out_features,)

    def forward(self, x: Array, training: bool) -> Array:
        self.x = x
        y = self._product(x, self.params["weight"].T, self.buffer("y", (len(x), self.out_features)))
        if self.bias:
            y += self.params["bias"]
        return y

    def backward(self, dy: Array) -> Array | None:
        self._product(self.x.T, dy, self.grads["weight"].T)
        if self.bias:
            np.add.reduce(dy, axis=0, out=self.grads["bias"])
        if not self.needs_input_grad:
            return None
        return self._product(dy, self.params["weight"], self.buffer("dx", self.x.shape))

    def _product(self, a: Array, b: Array, out: Array) -> Array:
        """a @ b, its columns cut into lanes: every sum is whole in one of them."""
        columns = b.shape[1]
        if a.size * columns < 2 * TERMS * GRAIN:
            return np.matmul(a, b, out=out)  # a single lane, which a small network has no time to think about
        bands = max(1, columns // BAND)

        def work(lane: int, part: slice) -> None:
            here = slice(columns * part.start // bands, columns * part.stop // bands)
            np.matmul(a, b[:, here], out=out[:, here])

        self.share(bands, a.size * columns // bands // TERMS, work)
        return out

    def flops(self) -> int:
        return 2 * self.out_features * (self.in_features or 0)
