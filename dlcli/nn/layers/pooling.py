"""What max and average pooling share: windows over images, taken across first and then down."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import ClassVar

import numpy as np

from dlcli.core.arena import Array
from dlcli.core.errors import ConfigError
from dlcli.core.options import Padding, Pair, pair
from dlcli.core.workers import MOST, blocks
from dlcli.nn.layer import Layer, Shape
from dlcli.nn.layers.channels import image_shape
from dlcli.nn.windows import Windows

Two = tuple[int, int]
DOWN, ACROSS = 0, 1

BLOCK = 1 << 16
"""Numbers that are worked on at a time, so that they stay in a core's cache from one operation to the next."""


@dataclass(eq=False)
class Pool2d(Layer):
    """Makes one number of every window of a channel: a subclass writes `merge` and its gradient `split`.

    A window of kh x kw is made one number in two stages, across (kw columns) and then down (kh rows): kw + kh
    operations, not kw * kh. Across, the windows are taken at every column, and those of the stride are chosen last:
    operations on whole rows of pixels are faster than on some of them, since their memory is one run.
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

    def merge(self, axis: int, lane: int, block: slice, parts: Sequence[Array], out: Array) -> None:
        """out = one array of the parts, which are the places 0, 1, ... of every window of a block along an axis."""
        raise NotImplementedError

    def split(self, axis: int, lane: int, block: slice, d: Array, parts: Sequence[Array]) -> None:
        """Add to `parts`, the gradients at the places of every window, from d, that of the merged array; d is used up.

        Where the windows tile the axis, the parts are set.
        """
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
        height, width = self.windows.padded
        down, across = self.counts
        self.dense = width - reach[ACROSS] + 1  # windows across at every column
        self.chosen = slice(0, (across - 1) * stride[ACROSS] + 1, stride[ACROSS])
        self.places = (
            [slice(i, i + (down - 1) * stride[DOWN] + 1, stride[DOWN]) for i in range(0, reach[DOWN], dilation[DOWN])],
            [slice(i, i + self.dense) for i in range(0, reach[ACROSS], dilation[ACROSS])],
        )
        self.tiled = ((stride[DOWN], dilation[DOWN], down * stride[DOWN]) == (kernel[DOWN], 1, height), False)
        self.step = max(1, BLOCK // (channels * height * width))
        return (channels, down, across)

    @staticmethod
    def _excess(size: int, padding: int, reach: int, stride: int) -> int:
        """How far the last window of `ceil_mode` stands over; one that would start in the right padding is left out."""
        count = -(-(size + 2 * padding - reach) // stride) + 1
        if (count - 1) * stride >= size + padding:
            count -= 1
        return max(0, (count - 1) * stride + reach - size - 2 * padding)

    def forward(self, x: Array, training: bool) -> Array:
        n, channels = x.shape[:2]
        images, y = self._padded(x), self._pixels("y", n, channels, self.counts)
        merged, dense = (self.room(name, channels, rows) for name, rows in self._stages("y"))
        self.prepare(n, channels)

        def work(lane: int, rows: slice) -> None:
            for block in blocks(rows, self.step):
                across, down = merged(lane, block), dense(lane, block)
                self.merge(ACROSS, lane, block, self._across(images[block]), across)
                self.merge(DOWN, lane, block, self._down(across), down)
                np.copyto(y[block], down[:, :, self.chosen])
                self.finish(y[block])

        self.share(n, images[0].size, work)
        return y.transpose(0, 3, 1, 2)

    def backward(self, dy: Array) -> Array:
        n, channels = dy.shape[:2]
        d, dx = dy.transpose(0, 2, 3, 1), self._pixels("dx", n, channels, self.windows.padded)
        dmerged, ddense = (self.room(name, channels, rows) for name, rows in self._stages("dx"))

        def work(lane: int, rows: slice) -> None:
            for block in blocks(rows, self.step):
                across, down = dmerged(lane, block), ddense(lane, block)
                down.fill(0)
                down[:, :, self.chosen] = d[block]
                self.finish(down[:, :, self.chosen])
                if not self.tiled[DOWN]:
                    across.fill(0)
                self.split(DOWN, lane, block, down, self._down(across))
                dx[block] = 0
                self.split(ACROSS, lane, block, across, self._across(dx[block]))

        self.share(n, dx[0].size, work)
        return dx[:, *self.windows.inner].transpose(0, 3, 1, 2)

    def prepare(self, n: int, channels: int) -> None:
        """Take the memory that `merge` and `split` need for n images."""

    def finish(self, y: Array) -> None:
        """Do to a block of y (images, H', W', C), or to its gradient, what remains to be done."""

    def room(self, name: str, channels: int, rows: int) -> Callable[[int, slice], Array]:
        """Room for the windows across in that many rows of a block of images, for each lane."""
        room = self._pixels(name, MOST * self.step, channels, (rows, self.dense))
        return lambda lane, block: room[lane * self.step :][: block.stop - block.start]

    def flops(self) -> int:
        return math.prod((*(self.out_shape or ()), *pair(self.kernel_size)))

    def _pixels(self, name: str, n: int, channels: int, size: Two) -> Array:
        """A buffer of images with their channels last."""
        return self.buffer(name, (n, channels, *size)).transpose(0, 2, 3, 1)

    def _stages(self, of: str) -> list[tuple[str, int]]:
        """A name and the rows of what stands between, across and down."""
        return [(f"{of} across", self.windows.padded[DOWN]), (f"{of} down", self.counts[DOWN])]

    def _padded(self, x: Array) -> Array:
        images = x.transpose(0, 2, 3, 1)
        if self.windows.padded == self.windows.image:
            return images
        room = self._pixels("padded", len(x), x.shape[1], self.windows.padded)
        room.fill(self.outside)
        room[:, *self.windows.inner] = images
        return room

    def _across(self, images: Array) -> list[Array]:
        return [images[:, :, columns] for columns in self.places[ACROSS]]

    def _down(self, images: Array) -> list[Array]:
        return [images[:, rows] for rows in self.places[DOWN]]
