"""The mean of every window."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import ClassVar

import numpy as np

from dlcli.core.arena import Array
from dlcli.core.options import example, pair
from dlcli.nn.layer import Shape, layers
from dlcli.nn.layers.pooling import Pool2d


@layers.register
@dataclass(eq=False)
class AvgPool2d(Pool2d):
    """y = the sum of x over a window / the numbers in it

    x (N, C, H, W), y (N, C, H', W'), H' = (H + 2 padding - kernel_size) / stride + 1, rounded down, or up with
    `ceil_mode`, likewise W'. The stride is the kernel size by default. Zeros of the padding are counted, unless
    `count_include_pad` is false; what a window of `ceil_mode` has beyond the padding is not.
    dx = the sum of dy / the numbers, over the windows that hold x.

    Source: LeCun et al. 1989, "Handwritten digit recognition with a back-propagation network";
    https://docs.pytorch.org/docs/stable/generated/torch.nn.AvgPool2d.html
    """

    count_include_pad: bool = True

    complex_step: ClassVar[bool] = True
    examples: ClassVar = (
        example((2, 4, 4), kernel_size=2),
        example((2, 5, 4), kernel_size=3, stride=[1, 2], padding=1),
        example((1, 5, 5), kernel_size=2, ceil_mode=True),
        example((2, 5, 4), kernel_size=[2, 3], stride=2, padding=[0, 1], ceil_mode=True, count_include_pad=False),
    )

    def setup(self, in_shape: Shape) -> Shape:
        shape = super().setup(in_shape)
        windows, (rows, columns) = self.windows, pair(self.padding)
        high, wide = (
            self._counted(size, padding, kernel, stride, n)
            for size, padding, kernel, stride, n in zip(
                windows.image, (rows, columns), windows.kernel, windows.stride, self.counts, strict=True
            )
        )
        self.shares = 1 / (high[:, None] * np.repeat(wide, shape[0]))  # (H', W' * C): a line of pixels at a time
        return shape

    def _counted(self, size: int, padding: int, kernel: int, stride: int, n: int) -> Array:
        """How many numbers count in each of n windows along one axis."""
        first = np.arange(n) * stride - padding
        low, high = (-padding, size + padding) if self.count_include_pad else (0, size)
        return np.minimum(first + kernel, high) - np.maximum(first, low)

    def merge(self, axis: int, rows: slice, parts: Sequence[Array], out: Array) -> None:
        total = parts[0]
        for part in parts[1:]:
            total = np.add(total, part, out=out)
        if total is not out:
            np.copyto(out, total)

    def split(self, axis: int, rows: slice, d: Array, parts: Sequence[Array]) -> None:
        np.copyto(parts[-1], d)
        for part in parts[:-1]:
            if self.tiled[axis]:
                np.copyto(part, d)
            else:
                part += d

    def finished(self, y: Array) -> Array:
        lines = y.reshape(len(y), self.counts[0], -1)
        lines *= self.shares.astype(lines.real.dtype)
        return y
