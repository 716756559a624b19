"""A layer that is sound in training, and NaN in evaluation."""

import math
from dataclasses import dataclass

from dlcli.nn.layer import Layer, layers


@layers.register
@dataclass(eq=False)
class Treacherous(Layer):
    """y = x in training, NaN in evaluation. Source: none, it is a trap."""

    def setup(self, in_shape):
        return in_shape

    def forward(self, x, training):
        return x if training else x * math.nan

    def backward(self, dy):
        return dy
