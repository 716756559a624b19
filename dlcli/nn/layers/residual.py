"""A body of layers with a shortcut around it."""

from __future__ import annotations

import math
from dataclasses import dataclass, field
from typing import Annotated, ClassVar

import numpy as np
from annotated_types import Len

from dlcli.core.arena import Array
from dlcli.core.errors import ShapeError
from dlcli.core.options import example
from dlcli.nn.layer import Layer, Shape, layers
from dlcli.nn.layers.parallel import Parallel
from dlcli.nn.layers.sequential import Part


@layers.register
@dataclass(eq=False)
class Residual(Parallel):
    """y = body(x) + shortcut(x)

    x (N, *in_shape), y (N, *out_shape), which body and shortcut both give.  Without layers the shortcut is the
    identity, y = body(x) + x.  dx = dx of the body + dx of the shortcut, both for the same dy.

    Source: He, Zhang, Ren and Sun 2016, "Deep residual learning for image recognition",
    https://arxiv.org/abs/1512.03385
    """

    body: Annotated[list[Layer], Len(1)]
    shortcut: list[Layer] = field(default_factory=list)

    complex_step: ClassVar[bool] = True
    examples: ClassVar = (
        example((4,), body=[{"Linear": {"out_features": 4}}, "Tanh"]),
        example(
            (5,),
            body=[{"Linear": {"out_features": 4}}, "Tanh", {"Linear": {"out_features": 3}}],
            shortcut=[{"Linear": {"out_features": 3, "bias": False}}],
        ),
        example((2, 3, 4), body=["Sigmoid"], shortcut=["Tanh"]),
    )

    def __post_init__(self) -> None:
        self.ways = {"body": Part(self.body), "shortcut": Part(self.shortcut)}

    def setup(self, in_shape: Shape) -> Shape:
        body, shortcut = self.shapes(in_shape)
        if body != shortcut:
            gives, out = (
                ("shortcut gives", "let both end in the same shape")
                if self.shortcut
                else ("the identity shortcut gives", "let the body keep the shape of x, or put layers in the shortcut")
            )
            raise ShapeError(f"body gives {body}, {gives} {shortcut}; {out}")
        return body

    def forward(self, x: Array, training: bool) -> Array:
        body, shortcut = (way.forward(x, training) for way in self.ways.values())
        return np.add(body, shortcut, out=self.buffer("y", body.shape))

    def backward(self, dy: Array) -> Array | None:
        body = self.buffer("dy", dy.shape)  # both ways may overwrite theirs
        np.copyto(body, dy)
        return self.descend(body, dy)

    def flops(self) -> int:
        return super().flops() + math.prod(self.out_shape)
