"""Branches side by side."""

from __future__ import annotations

from dataclasses import dataclass
from itertools import pairwise
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
class Concat(Parallel):
    """y = the outputs of all branches for the same x, joined along axis 1 (features or channels)

    x (N, *in_shape), y (N, C_1 + ... + C_b, *rest), where branch i gives (N, C_i, *rest).  A branch without layers is
    the identity.  dx = the sum of the branches' dx, each for its own slice of dy.

    Source: Szegedy et al. 2015, "Going deeper with convolutions", https://arxiv.org/abs/1409.4842;
    https://docs.pytorch.org/docs/stable/generated/torch.cat.html
    """

    branches: Annotated[list[list[Layer]], Len(1)]

    complex_step: ClassVar[bool] = True
    examples: ClassVar = (
        example((5,), branches=[[{"Linear": {"out_features": 3}}, "Tanh"], [{"Linear": {"out_features": 2}}]]),
        example((2, 3, 4), branches=[["Tanh"], [], ["Sigmoid"]]),
    )

    def __post_init__(self) -> None:
        self.ways = {i: Part(branch) for i, branch in enumerate(self.branches)}

    def setup(self, in_shape: Shape) -> Shape:
        first, *others = shapes = self.shapes(in_shape)
        if not first:
            raise ShapeError("branch 0 gives (), expected features or channels to join")
        for i, shape in enumerate(others, 1):
            if not shape or shape[1:] != first[1:]:
                raise ShapeError(
                    f"branch 0 gives {first}, branch {i} gives {shape}; only the first axis, which they are joined "
                    "along, may differ"
                )
        ends = np.cumsum([0] + [shape[0] for shape in shapes]).tolist()
        self.slices = [(slice(None), slice(*each)) for each in pairwise(ends)]
        return (ends[-1], *first[1:])

    def forward(self, x: Array, training: bool) -> Array:
        y = self.buffer("y", (len(x), *self.out_shape))
        for way, part in zip(self.ways.values(), self.slices, strict=True):
            np.copyto(y[part], way.forward(x, training))
        return y

    def backward(self, dy: Array) -> Array | None:
        return self.descend(*(dy[part] for part in self.slices))
