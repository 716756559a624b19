"""What max and average pooling share: windows over images, taken across first and then down."""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import ClassVar

import numpy as np

from dlcli.core.arena import Array
from dlcli.core.errors import ConfigError
from dlcli.core.options import Padding, Pair, pair
from dlcli.core.workers import blocks
from dlcli.nn.layer import Layer, Shape
from dlcli.nn.layers.channels import image_shape
from dlcli.nn.windows import Two, Windows

DOWN, ACROSS = 0, 1

BLOCK = 1 << 17
"""Numbers of images that are worked on at a time, so that they stay in a core's cache from one stage to the next."""


@dataclass(eq=False)
class Pool2d(Layer):
    """Makes one number of every window of a channel: a subclass writes `merge` and its gradient `split`.

    A window of kh x kw is made one number in two stages, across (kw columns) and then down (kh rows), each over
    strided slices of the whole batch: kw + kh operations on long runs of memory, not kw * kh.
    """

    kernel_size: Pair
    stride: Pair | None = None  # None: kernel_size
    padding: Padding = 0
    ceil_mode: bool = False

    outside: ClassVar[float] = 0.0
    """What the padding holds."""

    def spread(self) -> Two:
        """The distance between neighbours in a window."""
        return 1, 1

    def merge(self, axis: int, rows: slice, parts: Sequence[Array], out: Array) -> None:
        """out = one array of the parts, which are the places 0, 1, ... of every window along an axis."""
        raise NotImplementedError

    def split(self, axis: int, rows: slice, d: Array, parts: Sequence[Array]) -> None:
        """Set `parts`, the gradients at the places of every window, from d, that of the merged array; d is used up."""
        raise NotImplementedError

    def setup(self, in_shape: Shape) -> Shape:
        channels, *image = image_shape(in_shape)
        kernel, dilation = pair(self.kernel_size), self.spread()
        stride, padding = pair(self.stride or self.kernel_size), pair(self.padding)
        reach = [d * (k - 1) + 1 for k, d in zip(kernel, dilation, strict=True)]
        if any(2 * p > k for p, k in zip(padding, kernel, strict=True)):
            raise ConfigError(f"got padding {padding} for kernel_size {kernel}, expected at most half of that")
        sides = [
            (p, p + (self._excess(size, p, r, s) if self.ceil_mode else 0))
            for size, p, r, s in zip(image, padding, reach, stride, strict=True)
        ]
        self.windows = Windows((image[0], image[1]), kernel, stride, dilation, (sides[0], sides[1]))
        self.counts = self.windows.count()
        padded = self.windows.padded
        self.tiled = [
            (stride[i], dilation[i], self.counts[i] * stride[i]) == (kernel[i], 1, padded[i]) for i in (DOWN, ACROSS)
        ]
        self.step = max(1, BLOCK // (channels * math.prod(padded)))
        return (channels, *self.counts)

    @staticmethod
    def _excess(size: int, padding: int, reach: int, stride: int) -> int:
        """How far the last window of `ceil_mode` stands over; one that would start in the right padding is left out."""
        count = -(-(size + 2 * padding - reach) // stride) + 1
        if (count - 1) * stride >= size + padding:
            count -= 1
        return max(0, (count - 1) * stride + reach - size - 2 * padding)

    def forward(self, x: Array, training: bool) -> Array:
        n, channels = x.shape[:2]
        images = self._padded(x)
        y = self._pixels("y", n, channels, self.counts)
        self.prepare((n, images.shape[1], self.counts[ACROSS], channels), y.shape)

        def work(lane: int, rows: slice) -> None:
            for block in blocks(rows, self.step):
                merged = self._merged(block, channels)
                self.merge(ACROSS, block, self._across(images[block]), merged)
                self.merge(DOWN, block, self._down(merged), y[block])

        self.share(n, sum(self.windows.kernel) * images[0].size, work)
        return self.finished(y).transpose(0, 3, 1, 2)

    def prepare(self, merged: Shape, y: Shape) -> None:
        """Take the memory that the two stages need; their results (n, height, width, C) have these shapes."""

    def finished(self, y: Array) -> Array:
        """What remains to be done with y (n, height, width, C), or with its gradient."""
        return y

    def backward(self, dy: Array) -> Array:
        n, channels = dy.shape[:2]
        d = self.finished(np.ascontiguousarray(dy.transpose(0, 2, 3, 1)))
        dx = self._pixels("dx", n, channels, self.windows.padded)

        def work(lane: int, rows: slice) -> None:
            for block in blocks(rows, self.step):
                dmerged = self._merged(block, channels)
                for axis, target in ((DOWN, dmerged), (ACROSS, dx[block])):
                    if not self.tiled[axis]:
                        target.fill(0)
                self.split(DOWN, block, d[block], self._down(dmerged))
                self.split(ACROSS, block, dmerged, self._across(dx[block]))

        self.share(n, sum(self.windows.kernel) * dx[0].size, work)
        return dx[:, *self.windows.inner].transpose(0, 3, 1, 2)

    def flops(self) -> int:
        return math.prod((*self.out_shape, *pair(self.kernel_size)))

    def _pixels(self, name: str, n: int, channels: int, size: Two) -> Array:
        """A buffer of images with their channels last."""
        return self.buffer(name, (n, channels, *size)).transpose(0, 2, 3, 1)

    def _merged(self, block: slice, channels: int) -> Array:
        """Room for a block of images after the first stage, which so stays in a core's cache."""
        room = self.room("merged", (self.windows.padded[DOWN], self.counts[ACROSS], channels))
        return room[: block.stop - block.start]

    def room(self, name: str, shape: Shape) -> Array:
        """The calling thread's own room for a block of arrays of this shape."""
        return self.own(name, (self.step, math.prod(shape))).reshape(self.step, *shape)

    def _padded(self, x: Array) -> Array:
        images = x.transpose(0, 2, 3, 1)
        if self.windows.padded == self.windows.image:
            return images
        room = self._pixels("padded", len(x), x.shape[1], self.windows.padded)
        room.fill(self.outside)
        room[:, *self.windows.inner] = images
        return room

    def _across(self, images: Array) -> list[Array]:
        return [images[:, :, columns] for columns in self._places(ACROSS)]

    def _down(self, images: Array) -> list[Array]:
        return [images[:, rows] for rows in self._places(DOWN)]

    def _places(self, axis: int) -> Iterator[slice]:
        """The first place of all windows along an axis, the second, ..."""
        n, stride, dilation = self.counts[axis], self.windows.stride[axis], self.windows.dilation[axis]
        for first in range(0, self.windows.kernel[axis] * dilation, dilation):
            yield slice(first, first + (n - 1) * stride + 1, stride)
