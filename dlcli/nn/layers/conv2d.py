"""The convolution of images."""

from __future__ import annotations

import math
from collections.abc import Iterator
from dataclasses import dataclass
from typing import ClassVar, Literal

import numpy as np

from dlcli.core.arena import Array
from dlcli.core.errors import ConfigError, ShapeError
from dlcli.core.options import Count, Padding, Pair, example, pair
from dlcli.core.workers import MOST, lanes
from dlcli.nn.initializers import TorchDefault
from dlcli.nn.layer import Layer, Shape, layers
from dlcli.nn.windows import Windows

BLOCK = 1 << 18
"""Numbers in the matrix of patches of one block of images: about what a core's own cache holds."""


@layers.register
@dataclass(eq=False)
class Conv2d(Layer):
    """y[n, o] = bias[o] + sum over c of x[n, c] * weight[o, c]  (* is the cross-correlation of two images)

    x (N, in, H, W), weight (out, in / groups, kh, kw), bias (out,), y (N, out, H', W') with
    H' = (H + 2 padding - dilation (kh - 1) - 1) // stride + 1, likewise W'. `padding: same` keeps the size (stride 1),
    `valid` is 0. With groups, output channel o sees only the input channels of its group; groups = in is depthwise.

    With the patches of x under the kernel as the rows of a matrix X, and dy as a matrix of pixels:
    y = X @ weight.T + bias,  dweight = dy.T @ X,  dbias = sum of dy over samples and pixels,
    dx = the rows of dy @ weight, added up where the patches overlap.

    Source: Chellapilla, Puri and Simard 2006, "High performance convolutional neural networks for document processing";
    https://docs.pytorch.org/docs/stable/generated/torch.nn.Conv2d.html
    """

    in_channels: Count | None  # None: inferred from the layer before
    out_channels: Count
    kernel_size: Pair
    stride: Pair = 1
    padding: Literal["same", "valid"] | Padding = 0
    dilation: Pair = 1
    groups: Count = 1
    bias: bool = True

    complex_step: ClassVar[bool] = True
    examples: ClassVar = (
        example((2, 5, 4), out_channels=3, kernel_size=3),
        example((2, 5, 5), out_channels=3, kernel_size=[2, 3], padding="same", bias=False),
        example((4, 6, 5), out_channels=4, kernel_size=3, stride=2, padding=[1, 0], groups=2),
        example((3, 6, 7), out_channels=2, kernel_size=[3, 2], stride=[1, 2], dilation=2, padding=1),
        example((1, 4, 4), out_channels=2, kernel_size=2, padding="valid"),
    )

    def __post_init__(self) -> None:
        if self.padding == "same" and pair(self.stride) != (1, 1):
            raise ConfigError(f"got padding: same with stride {self.stride}, expected stride 1; give padding a number")

    def setup(self, in_shape: Shape) -> Shape:
        if len(in_shape) != 3:
            raise ShapeError(
                f"got samples of shape {in_shape}, expected (channels, height, width); put a Reshape before it"
            )
        channels, out, groups = in_shape[0], self.out_channels, self.groups
        if self.in_channels is None:
            self.in_channels = channels
        if self.in_channels != channels:
            raise ShapeError(
                f"got {channels} channels, expected in_channels = {self.in_channels}; leave in_channels out to infer it"
            )
        if channels % groups or out % groups:
            raise ShapeError(f"got groups = {groups}, expected a divisor of {channels} channels in and of {out} out")
        kernel, stride, dilation = pair(self.kernel_size), pair(self.stride), pair(self.dilation)
        self.windows = Windows(in_shape[1:], kernel, stride, dilation, self._padding(kernel, dilation))
        self.terms = channels // groups * math.prod(kernel)  # of the sum that is one number of y
        self.declare("weight", (out, channels // groups, *kernel), TorchDefault())
        if self.bias:
            self.declare("bias", (out,), TorchDefault(), fan_in=self.terms)
        self.pixels = self.windows.count()
        self.patches = math.prod(self.pixels) * self.terms * groups  # numbers in all patches of an image
        self.step = max(1, BLOCK // self.patches)  # images in a block
        return (out, *self.pixels)

    def _padding(self, kernel: tuple[int, int], dilation: tuple[int, int]) -> tuple[tuple[int, int], tuple[int, int]]:
        if self.padding == "valid":
            return (0, 0), (0, 0)
        if self.padding == "same":  # where the sum is odd, the larger part stands below and to the right
            high, wide = (d * (k - 1) for d, k in zip(dilation, kernel, strict=True))
            return (high // 2, high - high // 2), (wide // 2, wide - wide // 2)
        rows, columns = pair(self.padding)
        return (rows, rows), (columns, columns)

    def forward(self, x: Array, training: bool) -> Array:
        self.x = x.transpose(0, 2, 3, 1)
        y = self.buffer("y", (len(x), self.out_channels, *self.pixels))
        pixels, weight = y.transpose(0, 2, 3, 1), self._weight().transpose(0, 2, 1)
        bias = np.tile(self.params["bias"], self.pixels[1]) if self.bias else None

        def work(lane: int, rows: slice) -> None:
            for block in self._blocks(rows):
                np.matmul(self._columns(lane, block), weight, out=self._matrix(pixels[block]))
                if bias is not None:  # a row of pixels at a time, so that the inner loop is long
                    lines = pixels[block].reshape(-1, len(bias))
                    lines += bias

        self.workers.each(work, lanes(len(x), self.patches))
        return y

    def backward(self, dy: Array) -> Array | None:
        pixels, weight, cut = dy.transpose(0, 2, 3, 1), self._weight(), lanes(len(dy), self.patches)
        dweight = self.buffer("dweight", (len(cut), 2, *weight.shape))
        dbias = self.buffer("dbias", (len(cut), self.out_channels))
        dx = self.buffer("dx", (len(dy), *(self.in_shape or ()))) if self.needs_input_grad else None

        def work(lane: int, rows: slice) -> None:
            total, term = dweight[lane]
            total.fill(0)
            dbias[lane] = 0
            for block in self._blocks(rows):
                d = self._matrix(pixels[block])
                total += np.matmul(d.transpose(0, 2, 1), self._columns(lane, block), out=term)
                if self.bias:  # a product with ones is faster than a sum over the first axis
                    dbias[lane] += np.matmul(np.ones(d.shape[1], d.dtype), d).reshape(-1)
                if dx is not None:
                    self._spread(lane, d, weight, dx.transpose(0, 2, 3, 1)[block])

        self.workers.each(work, cut)
        summed = np.add.reduce(dweight[:, 0], axis=0).reshape(self.out_channels, *self.windows.kernel, -1)
        self.grads["weight"] = summed.transpose(0, 3, 1, 2)
        if self.bias:
            np.add.reduce(dbias, axis=0, out=self.grads["bias"])
        return dx

    def flops(self) -> int:
        return 2 * self.terms * self.out_channels * math.prod(self.pixels)

    def _blocks(self, rows: slice) -> Iterator[slice]:
        """The images of a lane in blocks."""
        return (slice(i, min(i + self.step, rows.stop)) for i in range(rows.start, rows.stop, self.step))

    def _weight(self) -> Array:
        """The weight as a matrix (out / groups, terms) for each group."""
        return self.params["weight"].transpose(0, 2, 3, 1).reshape(self.groups, -1, self.terms)

    def _matrix(self, pixels: Array) -> Array:
        """Pixels (n, H', W', out) as a matrix (pixels, out / groups) for each group."""
        return pixels.reshape(-1, self.groups, self.out_channels // self.groups).transpose(1, 0, 2)

    def _room(self, name: str, lane: int, n: int, shape: tuple[int, ...]) -> Array:
        """A lane's own room of that name for a block of n arrays of `shape`."""
        return self.buffer(name, (MOST, self.step, math.prod(shape)))[lane, :n].reshape(n, *shape)

    def _padded(self, name: str, lane: int, n: int) -> Array:
        """Room for n images with their padding, filled with zeros."""
        room = self._room(name, lane, n, (*self.windows.padded, self.x.shape[3]))
        room.fill(0)
        return room

    def _patches(self, name: str, lane: int, n: int) -> tuple[Array, Array]:
        """Room for the patches of n images, seen as a matrix (pixels, terms) for each group, and by image and place.

        What lies innermost is copied in runs: a row of a patch, or a row of pixels where that is longer.
        """
        (down, across), kernel, groups = self.pixels, self.windows.kernel, self.groups
        room = self._room(name, lane, n, (self.patches,))
        if self.terms // kernel[0] >= across:
            room = room.reshape(groups, n, down, across, *kernel, -1)
            return room.reshape(groups, -1, self.terms), room.transpose(1, 2, 3, 4, 5, 0, 6)
        room = room.reshape(groups, *kernel, -1, n, down, across)
        return room.reshape(groups, self.terms, -1).transpose(0, 2, 1), room.transpose(4, 5, 6, 1, 2, 0, 3)

    def _columns(self, lane: int, block: slice) -> Array:
        """The patches of x as a matrix (pixels, terms) for each group."""
        images = self.x[block]
        if self.windows.padded != self.windows.image:
            room = self._padded("padded", lane, len(images))
            room[:, *self.windows.inner] = images
            images = room
        matrix, patches = self._patches("columns", lane, len(images))
        np.copyto(patches, self.windows.patches(images).reshape(patches.shape))
        return matrix

    def _spread(self, lane: int, d: Array, weight: Array, dx: Array) -> None:
        """dx of a block: the share d @ weight of every pixel, added up at the places under its patch."""
        matrix, patches = self._patches("shares", lane, len(dx))
        np.matmul(d, weight, out=matrix)
        images = self._padded("spread", lane, len(dx))
        self.windows.scatter(patches, images.reshape(*images.shape[:3], self.groups, -1))
        np.copyto(dx, images[:, *self.windows.inner])
