"""A frame of zeros around images."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

from dlcli.core.arena import Array
from dlcli.core.options import Natural, example
from dlcli.nn.layer import Layer, Shape, layers
from dlcli.nn.layers.channels import image_shape


@layers.register
@dataclass(eq=False)
class ZeroPad2d(Layer):
    """y = x in a frame of zeros

    x (N, C, H, W), y (N, C, top + H + bottom, left + W + right); `padding` is one number for all sides or
    [left, right, top, bottom].  dx = dy inside the frame.

    Source: https://docs.pytorch.org/docs/stable/generated/torch.nn.ZeroPad2d.html
    """

    padding: Natural | tuple[Natural, Natural, Natural, Natural]

    complex_step: ClassVar[bool] = True
    examples: ClassVar = (example((2, 3, 4), padding=1), example((2, 3, 3), padding=[1, 0, 2, 3]))

    def setup(self, in_shape: Shape) -> Shape:
        channels, height, width = image_shape(in_shape)
        sides = (self.padding,) * 4 if isinstance(self.padding, int) else self.padding
        left, right, top, bottom = sides
        self.inside = (..., slice(top, top + height), slice(left, left + width))
        return (channels, top + height + bottom, left + width + right)

    def forward(self, x: Array, training: bool) -> Array:
        y = self.buffer("y", (len(x), *self.out_shape))
        y.fill(0)
        y[self.inside] = x
        return y

    def backward(self, dy: Array) -> Array:
        return dy[self.inside]

    def flops(self) -> int:
        return 0
