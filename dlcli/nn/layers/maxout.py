"""The largest of several features."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import ClassVar

from dlcli.core.arena import Array
from dlcli.core.errors import ShapeError
from dlcli.core.options import Count, example
from dlcli.nn.layer import Layer, Shape, layers
from dlcli.nn.layers.channels import images, pixels
from dlcli.nn.layers.maxima import give_back, keep_largest


@layers.register
@dataclass(eq=False)
class Maxout(Layer):
    """y = max over j of x[:, i * num_pieces + j] at feature i, j = 0 .. num_pieces - 1

    x (N, F, *spatial), y (N, F / num_pieces, *spatial): of a Linear before it, or of the channels of a Conv2d.
    dx = dy at the feature that won, the first among equal ones, else 0.

    Source: Goodfellow et al. 2013, "Maxout networks", https://arxiv.org/abs/1302.4389
    """

    num_pieces: Count

    complex_step: ClassVar[bool] = True
    examples: ClassVar = (example((6,), num_pieces=2), example((6, 2, 3), num_pieces=3), example((4, 3), num_pieces=4))

    def setup(self, in_shape: Shape) -> Shape:
        if not in_shape or in_shape[0] % self.num_pieces:
            raise ShapeError(
                f"got num_pieces = {self.num_pieces} for samples of shape {in_shape}, expected a divisor of the "
                "features, the first axis"
            )
        return (in_shape[0] // self.num_pieces, *in_shape[1:])

    def forward(self, x: Array, training: bool) -> Array:
        places, self.spatial = pixels(x), x.shape[2:]
        n, count, features = places.shape
        units = (n, count, features // self.num_pieces)
        wins = self.buffer("wins", (n, (self.num_pieces - 1) * count, units[2]), bool)
        self.wins = wins.reshape(n, self.num_pieces - 1, *units[1:])
        y = self.buffer("y", units)
        keep_largest(self._pieces(places), y, self.wins)
        return images(y, self.spatial)

    def backward(self, dy: Array) -> Array:
        d = pixels(dy)
        dx = self.buffer("dx", (*d.shape[:2], d.shape[2] * self.num_pieces))
        give_back(d, self._pieces(dx), self.wins, None)
        return images(dx, self.spatial)

    def _pieces(self, places: Array) -> list[Array]:
        """Piece j of every unit, as views of places (N, P, F)."""
        return [places[..., j :: self.num_pieces] for j in range(self.num_pieces)]

    def branch(self) -> Array:
        return self.wins

    def flops(self) -> int:
        return math.prod(self.in_shape)
