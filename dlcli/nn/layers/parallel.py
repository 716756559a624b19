"""What containers with several ways from x to y share: all read the same x, and dx is the sum of theirs."""

from __future__ import annotations

import math
from collections.abc import Mapping

import numpy as np

from dlcli.core.arena import Array
from dlcli.core.errors import ShapeError
from dlcli.nn.layer import Layer, Shape
from dlcli.nn.layers.sequential import Part


class Parallel(Layer):
    """y made of f_1(x), ..., f_n(x) for the parts in `ways`, which a subclass fills and joins."""

    ways: Mapping[str | int, Part]

    def children(self) -> dict[str, Layer]:
        return {str(name): way for name, way in self.ways.items()}

    def shapes(self, in_shape: Shape) -> list[Shape]:
        """The shape that each way gives for x of `in_shape`."""
        found = []
        for name, way in self.ways.items():
            way.needs_input_grad = self.needs_input_grad
            try:
                found.append(way.setup(in_shape))
            except ShapeError as error:
                raise error.inside(name) from None
        return found

    def descend(self, *dys: Array) -> Array | None:
        """dx = the sum of what each way makes of its own dy; no two of these may share memory."""
        dx: Array | None = None
        for way, dy in zip(self.ways.values(), dys, strict=True):
            passed = way.backward(dy)
            if passed is not None and self.needs_input_grad:
                dx = passed if dx is None else np.add(dx, passed, out=dx)
        return dx

    def flops(self) -> int:
        return sum(way.flops() for way in self.ways.values())

    def backward_flops(self) -> int:
        added = self.needs_input_grad * (len(self.ways) - 1) * math.prod(self.in_shape)
        return sum(way.backward_flops() for way in self.ways.values()) + added
