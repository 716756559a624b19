"""What activations share: a function of each element by itself, whose slope the forward pass keeps."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from dlcli.core.arena import Array
from dlcli.nn.layer import Layer


@dataclass(eq=False)
class Elementwise(Layer):
    """y_i = f(x_i) and dx_i = dy_i * f'(x_i): a subclass writes `curve`, which gives both."""

    def curve(self, x: Array) -> tuple[Array, Array]:
        """f(x) and f'(x) at every element; where f has pieces, x.real chooses, so that x may be complex."""
        raise NotImplementedError

    def forward(self, x: Array, training: bool) -> Array:
        y, slope = self.curve(x)
        self.slope = self.kept("slope", slope)
        return self.kept("y", y)

    def kept(self, name: str, values: Array) -> Array:
        """`values` in the buffer of that name."""
        buffer = self.buffer(name, values.shape)
        np.copyto(buffer, values)
        return buffer

    def backward(self, dy: Array) -> Array:
        return np.multiply(dy, self.slope, out=dy)


def logistic(x: Array) -> Array:
    """1 / (1 + exp(-x)), which as (1 + tanh(x / 2)) / 2 cannot overflow."""
    return 0.5 + 0.5 * np.tanh(0.5 * x)


def softplus(x: Array) -> Array:
    """log(1 + exp(x)), as max(x, 0) + log1p(exp(-|x|)), which cannot overflow; x.real chooses the sign."""
    positive = x.real > 0
    return np.where(positive, x, 0) + np.log1p(np.exp(np.where(positive, -x, x)))
