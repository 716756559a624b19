"""The numbers of a sample under other axes."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Annotated, ClassVar

from annotated_types import Ge, Len

from dlcli.core.errors import ConfigError, ShapeError
from dlcli.core.options import example
from dlcli.nn.layer import Shape, layers
from dlcli.nn.layers.flatten import Flatten

INFERRED = -1


@layers.register
@dataclass(eq=False)
class Reshape(Flatten):
    """y = x with the axes after the batch replaced by `shape`, in row-major order

    x (N, *in_shape), y (N, *shape). One size of `shape` may be -1: what is left. A table of 784 columns becomes images
    by `shape: [1, 28, 28]`.  dx = dy in x's shape.

    Source: https://docs.pytorch.org/docs/stable/generated/torch.nn.Unflatten.html
    """

    shape: Annotated[tuple[Annotated[int, Ge(INFERRED)], ...], Len(1)]

    examples: ClassVar = (
        example((12,), shape=[3, 2, 2]),
        example((2, 3, 4), shape=[4, -1]),
        example((2, 3, 4), shape=[3, 2, 4]),
    )

    def __post_init__(self) -> None:
        if self.shape.count(INFERRED) > 1 or 0 in self.shape:
            raise ConfigError(f"got shape {list(self.shape)}, expected sizes >= 1, one of which may be -1")

    def setup(self, in_shape: Shape) -> Shape:
        size, known = math.prod(in_shape), math.prod(s for s in self.shape if s != INFERRED)
        fits = size % known == 0 if INFERRED in self.shape else size == known
        if not fits:
            raise ShapeError(
                f"got samples of shape {in_shape}, {size} numbers, expected as many as shape {list(self.shape)} holds"
            )
        return tuple(size // known if s == INFERRED else s for s in self.shape)
