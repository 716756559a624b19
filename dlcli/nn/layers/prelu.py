"""The rectified linear unit whose slope below zero is learned."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import ClassVar

import numpy as np

from dlcli.core.arena import Array
from dlcli.core.errors import ShapeError
from dlcli.core.options import Count, example
from dlcli.nn.initializers import Constant
from dlcli.nn.layer import Layer, Shape, layers

FIRST_SLOPE = 0.25


@layers.register
@dataclass(eq=False)
class PReLU(Layer):
    """y = x where x > 0, else weight * x

    x and y (N, C, *shape), weight (num_parameters,): one slope for all, or with num_parameters = C one for each
    channel.  dx = dy where x > 0, else weight * dy;  dweight = sum of dy * x over the elements with x <= 0.
    The slope starts at 0.25; another one is set by `init: {constant: {value: 0.1}}`. It has no weight decay.

    Source: He et al. 2015, "Delving deep into rectifiers", https://arxiv.org/abs/1502.01852;
    https://docs.pytorch.org/docs/stable/generated/torch.nn.PReLU.html
    """

    num_parameters: Count = 1

    complex_step: ClassVar[bool] = True
    examples: ClassVar = (
        example((5,)),
        example((3, 2, 4), num_parameters=3),
        example((4,), init={"constant": {"value": 0.1}}),
    )

    def setup(self, in_shape: Shape) -> Shape:
        channels = in_shape[0] if in_shape else 1
        if self.num_parameters not in (1, channels):
            raise ShapeError(
                f"got num_parameters = {self.num_parameters} for samples of shape {in_shape}, expected 1, or "
                f"{channels}, one for each channel"
            )
        self.declare("weight", (self.num_parameters,), Constant(FIRST_SLOPE))
        return in_shape

    def forward(self, x: Array, training: bool) -> Array:
        self.positive = np.greater(x.real, 0, out=self.buffer("positive", x.shape, bool))
        self.below = np.multiply(x, ~self.positive, out=self.buffer("below", x.shape))
        y = np.multiply(self.below, self._slopes(x.ndim) - 1, out=self.buffer("y", x.shape))
        y += x
        return y

    def backward(self, dy: Array) -> Array:
        product = np.multiply(dy, self.below, out=self.buffer("product", dy.shape))
        one = self.num_parameters == 1
        axes = tuple(i for i in range(dy.ndim) if one or i != 1)
        self.grads["weight"] = np.add.reduce(product, axis=axes).reshape(-1)
        slope = np.multiply(~self.positive, self._slopes(dy.ndim) - 1, out=self.buffer("slope", dy.shape))
        slope += 1
        return np.multiply(dy, slope, out=dy)

    def branch(self) -> Array:
        return self.positive

    def flops(self) -> int:
        return 2 * math.prod(self.out_shape)

    def _slopes(self, ndim: int) -> Array:
        """The weight along axis 1 of arrays with that many axes."""
        return self.params["weight"].reshape(1, -1, *(1,) * (ndim - 2)) if ndim > 1 else self.params["weight"]
