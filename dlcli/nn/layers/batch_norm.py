"""Batch normalisation: every channel brought to mean 0 and deviation 1 over the batch."""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass
from itertools import count
from typing import Annotated, ClassVar

import numpy as np

from dlcli.core.arena import Array
from dlcli.core.errors import ShapeError
from dlcli.core.options import Count, Positive, Share, example
from dlcli.core.workers import blocks, lanes
from dlcli.nn.initializers import Constant, Zeros
from dlcli.nn.layer import Layer, Shape, layers
from dlcli.nn.layers.channels import image_shape, images, inferred, pixels

LINE = 1 << 13
"""Numbers in a row that operations run over, at most: neighbouring places are seen as one row that long."""

BLOCK = 1 << 18
"""Numbers that a thread works on at a time, at most: with fewer, threads wait more often for each other."""


@dataclass(eq=False)
class BatchNorm(Layer):
    """What BatchNorm1d and BatchNorm2d share: x seen as rows of numbers (M / repeats, repeats * C), of its M places.

    Sums are taken down the columns of each block of rows: (blocks, repeats * C), then over blocks and repeats at once.
    """

    num_features: Count | None  # None: inferred from the layer before
    eps: Positive = 1e-5
    momentum: Share | None = 0.1
    affine: Annotated[bool, "whether there are weight and bias"] = True
    track_running_stats: bool = True

    complex_step: ClassVar[bool] = True

    def setup(self, in_shape: Shape) -> Shape:
        self.num_features = channels = inferred("num_features", self.num_features, in_shape[0])
        if self.affine:
            self.declare("weight", (channels,), Constant(1.0))
            self.declare("bias", (channels,), Zeros())
        if self.track_running_stats:
            self.keep("running_mean", np.zeros(channels))
            self.keep("running_var", np.ones(channels))
            if self.momentum is None:
                self.keep("num_batches_tracked", np.zeros(()))
        places = math.prod(in_shape[1:])
        self.fewest = 2 if places == 1 else 1
        self.repeats = next(r for r in range(min(max(1, LINE // channels), places), 0, -1) if places % r == 0)
        self.row = self.repeats * channels
        self.step = max(1, BLOCK // self.row)
        return in_shape

    def forward(self, x: Array, training: bool) -> Array:
        self.x, self.places = pixels(x).reshape(-1, self.row), x.size // x.shape[1]
        numbers, cut = count(), lanes(len(self.x), self.row)
        self.blocks = [[(next(numbers), block) for block in blocks(rows, self.step)] for _, rows in cut]
        self.counts = np.array([rows.stop - rows.start for lane in self.blocks for _, rows in lane], x.dtype)
        self.by_batch = training or not self.track_running_stats
        if self.by_batch:
            self.mean, var = self._moments()
            if training and self.track_running_stats:
                self._track(self.mean, var)
        else:
            self.mean, var = self.state["running_mean"], self.state["running_var"]
        self.scale = 1 / np.sqrt(var + self.eps)
        factor, shift = self.scale, -self.mean * self.scale
        if self.affine:
            factor, shift = factor * self.params["weight"], shift * self.params["weight"] + self.params["bias"]
        factors, shifts = self._repeated(factor, shift)
        y = self.buffer("y", self.x.shape)

        def work(block: int, rows: slice) -> None:
            out = np.multiply(self.x[rows], factors, out=y[rows])
            out += shifts

        self._each(work)
        return images(y.reshape(len(x), -1, x.shape[1]), x.shape[2:])

    def backward(self, dy: Array) -> Array | None:
        d = pixels(dy).reshape(-1, self.row)
        (centre,) = self._repeated(self.mean)
        totals, products = self._by_block("totals"), self._by_block("products")

        def sums(block: int, rows: slice) -> None:
            ones = np.ones(len(self.x[rows]), d.dtype)
            centred = np.subtract(self.x[rows], centre, out=self._spare(rows))
            centred *= d[rows]
            np.matmul(ones, d[rows], out=totals[block])  # faster than a sum over the first axis
            np.matmul(ones, centred, out=products[block])

        self._each(sums)
        total, product = self._sum(totals), self._sum(products) * self.scale
        factor = self.scale
        if self.affine:
            self.grads["bias"], self.grads["weight"] = total, product
            factor = factor * self.params["weight"]
        if not self.needs_input_grad:
            return None
        slope = factor * self.scale * product / -self.places
        shift = factor * total / -self.places - slope * self.mean
        factors, slopes, shifts = self._repeated(factor, slope, shift)

        def work(block: int, rows: slice) -> None:
            dx = np.multiply(d[rows], factors, out=d[rows])
            if self.by_batch:
                through = np.multiply(self.x[rows], slopes, out=self._spare(rows))
                through += shifts
                dx += through

        self._each(work)
        return images(d.reshape(len(dy), -1, dy.shape[1]), dy.shape[2:])

    def flops(self) -> int:
        return 2 * math.prod(self.out_shape)

    def _moments(self) -> tuple[Array, Array]:
        """Mean and biased variance of every channel.

        Each column of a block is centred around its own mean, so that the blocks are handed over once; then the moments
        of all columns are merged as Chan, Golub and LeVeque 1979 do.
        """
        if self.places == 1:
            raise ShapeError(
                f"{type(self).__name__}: got one value for each channel, expected two or more to train on; use a "
                "larger batch_size, or drop_last where only the last batch is that short"
            )
        means, squares = self._by_block("means"), self._by_block("squares")

        def work(block: int, rows: slice) -> None:
            ones = np.ones(len(self.x[rows]), self.x.dtype)
            mean = np.matmul(ones, self.x[rows], out=means[block])
            mean /= len(ones)
            centred = np.subtract(self.x[rows], mean, out=self._spare(rows))
            centred *= centred
            np.matmul(ones, centred, out=squares[block])

        self._each(work)
        counts = self.counts[:, None]
        mean = self._sum(counts * means) / self.places
        mean += self._sum(counts * (means - self._repeated(mean))) / self.places  # what rounding left of a long sum
        means -= self._repeated(mean)
        means *= means
        squares += np.multiply(means, counts, out=means)
        return mean, self._sum(squares) / self.places

    def _track(self, mean: Array, var: Array) -> None:
        """Move the running statistics towards those of this batch."""
        state, weight = self.state, self.momentum
        if weight is None:  # the mean over all batches so far
            state["num_batches_tracked"] += 1
            weight = 1 / float(state["num_batches_tracked"].real)
        for name, new in (("running_mean", mean), ("running_var", var * (self.places / (self.places - 1)))):
            state[name] += weight * (new - state[name])

    def _repeated(self, *values: Array) -> Array:
        """Numbers for each channel, repeated for the places of a row: (values, repeats * C)."""
        rows = np.empty((len(values), self.repeats, len(values[0])), values[0].dtype)
        for row, value in zip(rows, values, strict=True):
            row[:] = value
        return rows.reshape(len(values), -1)

    def _each(self, work: Callable[[int, slice], None]) -> None:
        """Call work(block, its rows) for every block of every lane."""

        def by_blocks(lane: int, _: slice) -> None:
            for block, rows in self.blocks[lane]:
                work(block, rows)

        self.share(len(self.x), self.row, by_blocks)

    def _spare(self, rows: slice) -> Array:
        """Room for the rows of a block: one for each thread, so that it stays in that core's cache."""
        return self.own("spare", (self.step, self.row))[: rows.stop - rows.start]

    def _by_block(self, name: str) -> Array:
        """Room for a sum of each block's rows: (blocks, repeats * C)."""
        return self.buffer(name, (len(self.counts), self.row))

    def _sum(self, parts: Array) -> Array:
        """Over blocks and repeats."""
        parts = parts.reshape(-1, self.row // self.repeats)
        return np.ones(len(parts), parts.dtype) @ parts


@layers.register
@dataclass(eq=False)
class BatchNorm1d(BatchNorm):
    """y = (x - mean) / sqrt(var + eps) * weight + bias, for every channel by itself

    x and y (N, C) or (N, C, L), weight and bias (C,). In training mean and var (biased) are those of the batch, over
    N or N * L places, and with momentum m: running_mean = (1 - m) * running_mean + m * mean, likewise running_var with
    the unbiased var; m null takes the mean over all batches. In evaluation the running ones serve, or those of the
    batch without track_running_stats.
    With h = (x - mean) / sqrt(var + eps):  dbias = sum of dy,  dweight = sum of dy * h,
    dx = weight / sqrt(var + eps) * (dy - mean of dy - h * mean of (dy * h)) in training, without both means in
    evaluation. Weight and bias have no weight decay.

    Source: Ioffe and Szegedy 2015, "Batch normalization", https://arxiv.org/abs/1502.03167;
    https://docs.pytorch.org/docs/stable/generated/torch.nn.BatchNorm1d.html
    """

    examples: ClassVar = (
        example((5,)),
        example((3, 4), eps=0.01, momentum=0.3),
        example((4,), momentum=None, affine=False),
        example((3, 2), track_running_stats=False),
    )

    def setup(self, in_shape: Shape) -> Shape:
        if len(in_shape) not in (1, 2):
            raise ShapeError(
                f"got samples of shape {in_shape}, expected (features,) or (channels, length); BatchNorm2d takes images"
            )
        return super().setup(in_shape)


@layers.register
@dataclass(eq=False)
class BatchNorm2d(BatchNorm):
    """y = (x - mean) / sqrt(var + eps) * weight + bias, for every channel by itself

    x and y (N, C, H, W), weight and bias (C,). In training mean and var (biased) are those of the batch, over
    N * H * W places, and with momentum m: running_mean = (1 - m) * running_mean + m * mean, likewise running_var with
    the unbiased var; m null takes the mean over all batches. In evaluation the running ones serve, or those of the
    batch without track_running_stats.
    With h = (x - mean) / sqrt(var + eps):  dbias = sum of dy,  dweight = sum of dy * h,
    dx = weight / sqrt(var + eps) * (dy - mean of dy - h * mean of (dy * h)) in training, without both means in
    evaluation. Weight and bias have no weight decay.

    Source: Ioffe and Szegedy 2015, "Batch normalization", https://arxiv.org/abs/1502.03167;
    https://docs.pytorch.org/docs/stable/generated/torch.nn.BatchNorm2d.html
    """

    examples: ClassVar = (
        example((3, 4, 2)),
        example((2, 3, 3), eps=0.01, momentum=0.3),
        example((2, 2, 3), momentum=None, affine=False),
        example((3, 2, 2), track_running_stats=False),
    )

    def setup(self, in_shape: Shape) -> Shape:
        image_shape(in_shape)
        return super().setup(in_shape)
