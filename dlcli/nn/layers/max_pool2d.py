"""The largest number of every window."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import ClassVar

import numpy as np

from dlcli.core.arena import Array
from dlcli.core.errors import ShapeError
from dlcli.core.options import Pair, example, pair
from dlcli.nn.layer import Shape, layers
from dlcli.nn.layers.maxima import give_back, keep_largest
from dlcli.nn.layers.pooling import ACROSS, DOWN, Pool2d
from dlcli.nn.windows import Two


@layers.register
@dataclass(eq=False)
class MaxPool2d(Pool2d):
    """y = the maximum of x over a window

    x (N, C, H, W), y (N, C, H', W'), H' = (H + 2 padding - dilation (kernel_size - 1) - 1) / stride + 1, rounded down,
    or up with `ceil_mode`, likewise W'. The stride is the kernel size by default; the padding never wins.
    dx = the sum of dy over the windows that x won; among equal ones the first wins, row by row.

    Source: Weng, Ahuja and Huang 1992, "Cresceptron: a self-organizing neural network which grows adaptively";
    https://docs.pytorch.org/docs/stable/generated/torch.nn.MaxPool2d.html
    """

    dilation: Pair = 1

    outside: ClassVar[float] = -np.inf
    complex_step: ClassVar[bool] = True
    examples: ClassVar = (
        example((2, 4, 4), kernel_size=2),
        example((2, 5, 4), kernel_size=3, stride=[1, 2], padding=1),
        example((1, 5, 5), kernel_size=2, ceil_mode=True),
        example((1, 3, 4), kernel_size=[1, 2]),
        example((2, 6, 5), kernel_size=[3, 2], stride=1, dilation=2, padding=[1, 0]),
    )

    def spread(self) -> Two:
        return pair(self.dilation)

    def setup(self, in_shape: Shape) -> Shape:
        shape, windows = super().setup(in_shape), self.windows
        for size, stride, dilation, (padding, _) in zip(
            windows.image, windows.stride, windows.dilation, windows.padding, strict=True
        ):
            # Every window that begins before the image comes to its first pixel, or steps over the whole image.
            if dilation > size and any(first % dilation >= size for first in range(-padding, 0, stride)):
                got = f"got dilation {windows.dilation} with padding {pair(self.padding)}"
                raise ShapeError(
                    f"{got} for images of {windows.image[0]} x {windows.image[1]}, which leaves a window nothing but "
                    "padding; use a smaller dilation"
                )
        return shape

    def prepare(self, n: int) -> None:
        self.kept = [
            self.buffer(f"wins{axis}", (n, self.windows.kernel[axis] - 1, *shape), bool)
            for axis, shape in ((DOWN, self.second), (ACROSS, self.first))
        ]
        down, across = self.kept
        self.wins = down, self.lined(across)[:, :, :, : self.across]

    def merge(self, axis: int, rows: slice, parts: Sequence[Array], out: Array) -> None:
        keep_largest(parts, out, self.wins[axis][rows])

    def split(self, axis: int, rows: slice, d: Array, parts: Sequence[Array]) -> None:
        spare = None if self.tiled[axis] else self.room(f"spare{axis}", d.shape[1:])[: len(d)]
        give_back(d, parts, self.wins[axis][rows], spare)

    def branch(self) -> Array:
        return np.concatenate([wins[:, :, :, self.chosen].ravel() for wins in self.kept])
