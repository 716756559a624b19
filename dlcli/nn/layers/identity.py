"""Nothing at all."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

from dlcli.core.arena import Array
from dlcli.core.options import example
from dlcli.nn.layer import Layer, layers


@layers.register
@dataclass(eq=False)
class Identity(Layer):
    """y = x

    x and y (N, *shape).  dx = dy.

    Source: https://docs.pytorch.org/docs/stable/generated/torch.nn.Identity.html
    """

    complex_step: ClassVar[bool] = True
    examples: ClassVar = (example((5,)), example((2, 3, 4)))

    def forward(self, x: Array, training: bool) -> Array:
        return x

    def backward(self, dy: Array) -> Array:
        return dy

    def flops(self) -> int:
        return 0
