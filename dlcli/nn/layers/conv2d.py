"""The convolution of images."""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass
from typing import Annotated, ClassVar, Literal

import numpy as np

from dlcli.core.arena import Array
from dlcli.core.errors import ConfigError, ShapeError
from dlcli.core.options import Count, Padding, Pair, example, pair
from dlcli.core.workers import LOCKED, blocks, lanes
from dlcli.nn.band import Band
from dlcli.nn.initializers import TorchDefault
from dlcli.nn.layer import Layer, Shape, layers
from dlcli.nn.layers.channels import image_shape, inferred
from dlcli.nn.patches import Patches
from dlcli.nn.windows import Windows
from dlcli.nn.winograd import Winograd


@layers.register
@dataclass(eq=False)
class Conv2d(Layer):
    """y[n, o] = bias[o] + sum over c of x[n, c] * weight[o, c]  (* is the cross-correlation of two images)

    x (N, in, H, W), weight (out, in / groups, kh, kw), bias (out,), y (N, out, H', W') with
    H' = (H + 2 padding - dilation (kh - 1) - 1) // stride + 1, likewise W'. `padding: same` keeps the size (stride 1),
    `valid` is 0. With groups, output channel o sees only the input channels of its group; groups = in is depthwise.

    With the patches of x under the kernel as the rows of a matrix X, and dy as a matrix of pixels:
    y = X @ weight.T + bias,  dweight = dy.T @ X,  dbias = sum of dy over samples and pixels,
    dx = the rows of dy @ weight, added up where the patches overlap. Where the kernel moves by one pixel, the patches
    of dy as the rows of D give the same sums, as D @ turned weight, and as x.T @ D for the turned weight.

    With few channels, neighbouring pixels of a row share one patch, and the matrix holds the kernel once for each,
    in a band: more operations, in a product wide enough to be fast. The result differs by rounding alone.

    `algorithm: winograd` takes a 3x3 kernel with stride 1, dilation 1 and one group in tiles of 4 x 4 pixels of y, with
    a quarter of the products; it rounds a few times more, in float32 by some 1e-6 of the largest number. `direct` never
    does, `auto` does where it is faster: some 32 channels or more in and out, and images that fill the tiles.

    Source: Lavin and Gray 2015, "Fast algorithms for convolutional neural networks", https://arxiv.org/abs/1509.09308;
    Chellapilla, Puri and Simard 2006, "High performance convolutional neural networks for document processing";
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
    algorithm: Annotated[Literal["auto", "direct", "winograd"], "how the sums are made; auto: as is faster"] = "auto"

    complex_step: ClassVar[bool] = True
    examples: ClassVar = (
        example((2, 5, 4), out_channels=3, kernel_size=3),
        example((2, 5, 5), out_channels=3, kernel_size=[2, 3], padding="same", bias=False),
        example((4, 6, 5), out_channels=4, kernel_size=3, stride=2, padding=[1, 0], groups=2),
        example((3, 6, 7), out_channels=2, kernel_size=[3, 2], stride=[1, 2], dilation=2, padding=1),
        example((4, 5, 4), out_channels=6, kernel_size=[3, 2], padding="same", groups=2),
        example((4, 3, 5), out_channels=2, kernel_size=[1, 2], padding="same", groups=2),
        example((1, 4, 4), out_channels=4, kernel_size=2, padding="valid"),
        example((1, 3, 3), out_channels=4, kernel_size=2),
        example((6, 4, 3), out_channels=1, kernel_size=[1, 3], padding="same"),
        example((2, 5, 6), out_channels=3, kernel_size=3, padding=1, algorithm="winograd"),
    )

    def __post_init__(self) -> None:
        if self.padding == "same" and pair(self.stride) != (1, 1):
            raise ConfigError(f"got padding: same with stride {self.stride}, expected stride 1; give padding a number")

    def setup(self, in_shape: Shape) -> Shape:
        channels, *image = image_shape(in_shape)
        self.in_channels = inferred("in_channels", self.in_channels, channels)
        out, groups = self.out_channels, self.groups
        if channels % groups or out % groups:
            raise ShapeError(f"got groups = {groups}, expected a divisor of {channels} channels in and of {out} out")
        kernel, stride, dilation = pair(self.kernel_size), pair(self.stride), pair(self.dilation)
        windows = Windows((image[0], image[1]), kernel, stride, dilation, self._padding(kernel, dilation))
        turned = windows.mirrored() if out <= 2 * channels else None  # patches of dy are as much larger than those of x
        self.turned = Patches("turned", turned, out, channels, groups, self) if turned else None
        self.band = Band(windows, channels, out, groups, self, tiles=turned is None)
        self.patches = Patches("patches", self.band.windows, channels, self.band.tile * out, groups, self)
        self.winograd = self._winograd(windows, channels)
        self.declare("weight", (out, channels // groups, *kernel), TorchDefault())
        if self.bias:
            self.declare("bias", (out,), TorchDefault(), fan_in=self._terms())
        shape = (out, *windows.count())
        # dbias is summed by rows of pixels, or by whole images where NumPy would keep its lock for so short a result.
        self.line = math.prod(shape) if out * shape[2] <= LOCKED else out * shape[2]
        return shape

    def _winograd(self, windows: Windows, channels: int) -> Winograd | None:
        """The way through tiles, where it is asked for or faster."""
        fits = self.groups == 1 and Winograd.fits(windows)
        if self.algorithm == "winograd" and not fits:
            got = f"kernel_size {windows.kernel}, stride {windows.stride}, dilation {windows.dilation}, groups"
            raise ConfigError(
                f"got algorithm: winograd with {got} {self.groups}, expected (3, 3), (1, 1), (1, 1) and 1; "
                "leave algorithm out"
            )
        if self.algorithm == "direct" or not fits:
            return None
        winograd = Winograd(windows, channels, self.out_channels, self)
        return winograd if self.algorithm == "winograd" or winograd.pays else None

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
        y = self.buffer("y", (len(x), *self.out_shape))
        pixels, bias = y.transpose(0, 2, 3, 1), self.params["bias"] if self.bias else None
        if self.winograd is None:
            self._forward(pixels, bias)
        else:
            self._forward_winograd(self.winograd, pixels, bias)
        return y

    def _forward(self, y: Array, bias: Array | None) -> None:
        self.weight = self.band.matrix(self.params["weight"])
        weight = self.weight.transpose(0, 2, 1)
        line = np.tile(bias, y.shape[2]) if bias is not None else None

        def work(lane: int, rows: slice) -> None:
            for block in blocks(rows, self.patches.step):
                x = self.x[block]
                matrix = self.patches.room(len(x)).filled(x)
                self.patches.multiply(matrix, weight, self.band.pixels(y[block]))
                if line is not None:  # a row of pixels at a time, so that the inner loop is long
                    lines = y[block].reshape(-1, len(line))
                    lines += line

        self.share(len(y), self.patches.work, work)

    def _forward_winograd(self, winograd: Winograd, y: Array, bias: Array | None) -> None:
        self.kernels = winograd.kernels(self.params["weight"])

        def work(lane: int, rows: slice) -> None:
            for block in blocks(rows, winograd.step):
                winograd.forward(self.x[block], self.kernels, bias, y[block])

        self.share(len(y), winograd.size, work)

    def backward(self, dy: Array) -> Array | None:
        self.dy = dy.transpose(0, 2, 3, 1)
        dx = self.buffer("dx", (len(dy), *self.in_shape)) if self.needs_input_grad else None
        if self.winograd is not None:
            self._backward_winograd(self.winograd, dx)
        elif dx is None or self.turned is None:
            self._backward(dx)
        else:
            self._backward_turned(self.turned, dx)
        return dx

    def _backward(self, dx: Array | None) -> None:
        """Set dweight and dx by the patches of x."""
        patches = self.patches
        out = dx.transpose(0, 2, 3, 1) if dx is not None else None

        def term(block: slice, dweight: Array) -> None:
            d, x = patches.matrices(self.band.pixels(self.dy[block])), self.x[block]
            room = patches.room(len(x))
            patches.correlate(d, room.filled(x), len(x), dweight)
            if out is not None:
                np.matmul(d, self.weight, out=room.matrix)
                room.add_up(out[block])

        self.band.give(self._summed(patches.work, patches.step, self.weight.shape, term), self.grads["weight"])

    def _backward_turned(self, patches: Patches, dx: Array) -> None:
        """Set dweight and dx by the patches of dy."""
        kernel, out = patches.windows.kernel, dx.transpose(0, 2, 3, 1)
        grouped = self.params["weight"].reshape(self.groups, -1, *self.params["weight"].shape[1:])[..., ::-1, ::-1]
        weight = grouped.transpose(0, 3, 4, 1, 2).reshape(self.groups, patches.terms, -1)

        def term(block: slice, dweight: Array) -> None:
            dy = self.dy[block]
            matrix = patches.room(len(dy)).filled(dy)
            patches.correlate(patches.matrices(self.x[block]), matrix, len(dy), dweight)
            patches.multiply(matrix, weight, out[block])

        total = self._summed(patches.work, patches.step, (self.groups, weight.shape[2], patches.terms), term)
        turned = total.reshape(self.groups, weight.shape[2], *kernel, -1).transpose(0, 4, 1, 2, 3)[..., ::-1, ::-1]
        self.grads["weight"] = turned.reshape(self.params["weight"].shape)

    def _backward_winograd(self, winograd: Winograd, dx: Array | None) -> None:
        """Set dweight and dx by tiles of x and dy."""
        out = dx.transpose(0, 2, 3, 1) if dx is not None else None

        def term(block: slice, dkernels: Array) -> None:
            into = out[block] if out is not None else None
            winograd.backward(self.x[block], self.dy[block], self.kernels, dkernels, into)

        total = self._summed(winograd.size, winograd.step, self.kernels.shape, term)
        winograd.give_kernels(total, self.grads["weight"])

    def _summed(self, size: int, step: int, shape: Shape, term: Callable[[slice, Array], None]) -> Array:
        """The sum over all blocks, of `step` images, of what `term` writes into an array of `shape`, lane by lane.

        Sets dbias as well, while a block of dy is at hand.
        """
        cut = lanes(len(self.x), size)
        sums, biases = self.buffer("sums", (len(cut), *shape)), np.zeros((len(cut), self.line), self.dtype)

        def work(lane: int, rows: slice) -> None:
            one = self.own("one", shape)
            for block in blocks(rows, step):
                first = block.start == rows.start
                term(block, sums[lane] if first else one)
                if not first:
                    sums[lane] += one
                if self.bias:  # a product with ones is faster than a sum over the first axis
                    lines = self.dy[block].reshape(-1, biases.shape[1])
                    biases[lane] += np.ones(len(lines), lines.dtype) @ lines

        self.workers.each(work, cut)
        if self.bias:
            np.add.reduce(biases.reshape(-1, self.out_channels), axis=0, out=self.grads["bias"])
        return np.add.reduce(sums, axis=0, out=self.buffer("total", shape))

    def flops(self) -> int:
        return 2 * self._terms() * math.prod(self.out_shape)

    def _terms(self) -> int:
        """The size of the patch under one kernel."""
        return (self.in_channels or 0) // self.groups * math.prod(pair(self.kernel_size))
