"""A layer with a planted error of 1 % in its gradient."""

from dataclasses import dataclass

from dlcli.nn.layer import Layer, layers


@layers.register
@dataclass(eq=False)
class Slanted(Layer):
    """y = 3 x, dx = 3.03 dy: wrong by 1 %. Source: none, it is a mistake."""

    def setup(self, in_shape):
        return in_shape

    def forward(self, x, training):
        return 3.0 * x

    def backward(self, dy):
        return 3.03 * dy
