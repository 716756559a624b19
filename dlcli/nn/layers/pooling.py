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

BLOCK = 1 << 19
"""Numbers of images that are worked on at a time: with fewer, Python takes longer than a cache saves."""

FEW = 12
"""Channels below which a pixel is too short a run of memory to be worked on by itself, but for a single channel."""


@dataclass(eq=False)
class Pool2d(Layer):
    """Makes one number of every window of a channel: a subclass writes `merge` and its gradient `split`.

    A window of kh x kw is made one number in two stages, across (kw columns) and then down (kh rows), each over
    strided slices of the whole batch: kw + kh operations on long runs of memory, not kw * kh.

    With few channels an image is strung into one line of pixels, with a window across at every one of them, and those
    that are wanted are chosen after the second stage: more numbers to work on, but in long runs here too.
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
        """Set `parts`, the gradients at the places of every window, from d, that of the merged array; d is used up.

        Where the windows do not tile the axis, only the last part is set, and the others are added to.
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
        self.counts = down, across = self.windows.count()
        self._arrange(channels)
        return (channels, down, across)

    def _arrange(self, channels: int) -> None:
        """Settle how the two stages go over images of that many channels."""
        (height, width), (down, across), stride = self.windows.padded, self.counts, self.windows.stride
        self.strung = 1 < channels < FEW
        pixels = height * width if self.strung else width  # of a line
        self.apart = stride[DOWN], 1 if self.strung else stride[ACROSS]  # the windows of a stage
        self.across = (pixels - self.windows.reach[ACROSS]) // self.apart[ACROSS] + 1  # windows in a line
        self.first = (height, width if self.strung else across, channels)  # what an image is after the first stage
        self.second = (down, *self.first[1:])
        self.chosen = slice(0, (across - 1) * stride[ACROSS] + 1, stride[ACROSS]) if self.strung else slice(across)
        self.unset = slice(-self.across) if self.strung else slice(None)  # of a line: where no last part of a window is
        self.tiled = [
            (apart, dilation, count * apart) == (kernel, 1, size)
            for apart, dilation, count, kernel, size in zip(
                self.apart, self.windows.dilation, self.counts, self.windows.kernel, self.windows.padded, strict=True
            )
        ]
        self.size = sum(self.windows.kernel) * height * width * channels // (1 if self.strung else 2)
        self.step = max(1, BLOCK // (height * width * channels))

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
        across = self._across(images)
        self.prepare(len(x))

        def work(lane: int, rows: slice) -> None:
            room = self.room("first", self.first)
            lines, down = self.lined(room), self._down(room)
            for block in blocks(rows, self.step):
                size = len(y[block])
                self.merge(ACROSS, block, [part[block] for part in across], lines[:size, :, : self.across])
                second = y[block]
                if self.strung:
                    lines[:size, :, self.across :] = 0  # where a window would stand over the end
                    second = self.room("second", self.second)[:size]
                self.merge(DOWN, block, [part[:size] for part in down], second)
                if self.strung:
                    np.copyto(y[block], second[:, :, self.chosen])

        self.share(n, self.size, work)
        return self.finished(y).transpose(0, 3, 1, 2)

    def prepare(self, n: int) -> None:
        """Take the memory that the two stages need for n images."""

    def finished(self, y: Array) -> Array:
        """What remains to be done with y (n, height, width, C), or with its gradient."""
        return y

    def backward(self, dy: Array) -> Array:
        n, channels = dy.shape[:2]
        d = self.finished(np.ascontiguousarray(dy.transpose(0, 2, 3, 1)))
        dx = self._pixels("dx", n, channels, self.windows.padded)
        across = self._across(dx)
        unset = self.lined(dx)[:, :, self.unset]

        def work(lane: int, rows: slice) -> None:
            room = self.room("first", self.first)
            lines, down = self.lined(room), self._down(room)
            for block in blocks(rows, self.step):
                size = len(d[block])
                for axis, target in ((DOWN, room[:size]), (ACROSS, unset[block])):
                    if not self.tiled[axis]:
                        target.fill(0)
                second = d[block]
                if self.strung:
                    second = self.room("second", self.second)[:size]
                    second.fill(0)
                    np.copyto(second[:, :, self.chosen], d[block])
                self.split(DOWN, block, second, [part[:size] for part in down])
                self.split(ACROSS, block, lines[:size, :, : self.across], [part[block] for part in across])

        self.share(n, self.size, work)
        return dx[:, *self.windows.inner].transpose(0, 3, 1, 2)

    def flops(self) -> int:
        return math.prod((*self.out_shape, *pair(self.kernel_size)))

    def _pixels(self, name: str, n: int, channels: int, size: Two) -> Array:
        """A buffer of images with their channels last."""
        return self.buffer(name, (n, channels, *size)).transpose(0, 2, 3, 1)

    def lined(self, images: Array) -> Array:
        """Images (..., height, width, C), or what the first stage makes of them, as lines (..., lines, pixels, C)."""
        if not self.strung:
            return images
        *n, height, width, channels = images.shape
        return images.reshape(*n, 1, height * width, channels)

    def room(self, name: str, shape: Shape) -> Array:
        """The calling thread's own room for a block of arrays of this shape, which so stays in its core's cache."""
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
        lines = self.lined(images)
        return [lines[:, :, columns] for columns in self._places(ACROSS, self.across)]

    def _down(self, merged: Array) -> list[Array]:
        return [merged[:, rows] for rows in self._places(DOWN, self.counts[DOWN])]

    def _places(self, axis: int, n: int) -> Iterator[slice]:
        """The first place of n windows along an axis, the second, ..."""
        apart, dilation = self.apart[axis], self.windows.dilation[axis]
        for first in range(0, self.windows.kernel[axis] * dilation, dilation):
            yield slice(first, first + (n - 1) * apart + 1, apart)
