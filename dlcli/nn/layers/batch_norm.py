"""Batch normalisation: every channel brought to mean 0 and deviation 1 over the batch."""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass
from typing import Annotated, ClassVar

import numpy as np

from dlcli.core.arena import Array
from dlcli.core.errors import ShapeError
from dlcli.core.options import Count, Positive, Share, example
from dlcli.core.workers import blocks, lanes
from dlcli.nn.initializers import Constant, Zeros
from dlcli.nn.layer import Layer, Shape, layers
from dlcli.nn.layers.channels import image_shape, images, inferred, pixels

LINE = 1 << 14
"""Numbers in a row that operations run over, at most: neighbouring places are seen as one row that long."""

BLOCK = 1 << 18
"""Numbers that are worked on at a time, so that they stay in a core's cache from one operation to the next."""


@dataclass(eq=False)
class BatchNorm(Layer):
    """What BatchNorm1d and BatchNorm2d share: x seen as rows of numbers (N, rows, places in a row * C).

    Sums over all M places are kept per lane of the batch and added in the order of the lanes.
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
        self.size = places * channels
        self.step = max(1, BLOCK // self.size)
        return in_shape

    def forward(self, x: Array, training: bool) -> Array:
        self.x, self.places = self._rows(x), math.prod(x.shape) // x.shape[1]
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
        factors, shifts = self._row(factor), self._row(shift)
        y = self.buffer("y", self.x.shape)

        def work(lane: int, block: slice) -> None:
            np.multiply(self.x[block], factors, out=y[block])
            y[block] += shifts

        self._each(work)
        return self._images(y, x)

    def backward(self, dy: Array) -> Array | None:
        d, mean = self._rows(dy), self._row(self.mean)

        def with_x(lane: int, block: slice) -> Array:
            centred = np.subtract(self.x[block], mean, out=self._spare(block))
            return np.multiply(centred, d[block], out=centred)

        total, product = np.add.reduce(self._sums(lambda lane, block: d[block], with_x), axis=1)
        product *= self.scale
        factor = self.scale
        if self.affine:
            self.grads["bias"], self.grads["weight"] = total, product
            factor = factor * self.params["weight"]
        if not self.needs_input_grad:
            return None
        slope = factor * self.scale * product / -self.places
        factors, slopes = self._row(factor), self._row(slope)
        shifts = self._row(factor * total / -self.places - slope * self.mean)

        def work(lane: int, block: slice) -> None:
            d[block] *= factors
            if self.by_batch:
                through = np.multiply(self.x[block], slopes, out=self._spare(block))
                through += shifts
                d[block] += through

        self._each(work)
        return self._images(d, dy)

    def flops(self) -> int:
        return 2 * math.prod(self.out_shape)

    def _moments(self) -> tuple[Array, Array]:
        """Mean and biased variance of every channel: those of each lane, merged as Chan, Golub and LeVeque 1979 do."""
        if self.places == 1:
            raise ShapeError(
                f"{type(self).__name__}: got one value for each channel, expected two or more to train on; use a "
                "larger batch_size, or drop_last where only the last batch is that short"
            )
        cut = lanes(len(self.x), self.size)
        per_sample = self.places // len(self.x)
        counts = np.array([(rows.stop - rows.start) * per_sample for _, rows in cut], self.x.dtype)
        means = self._sums(lambda lane, block: self.x[block])[0]
        means /= counts[:, None]
        mean = counts @ means / self.places
        centres = [self._row(m) for m in means]

        def squares(lane: int, block: slice) -> Array:
            centred = np.subtract(self.x[block], centres[lane], out=self._spare(block))
            return np.multiply(centred, centred, out=centred)

        means -= mean
        total = np.add.reduce(self._sums(squares)[0], axis=0) + counts @ (means * means)
        return mean, total / self.places

    def _track(self, mean: Array, var: Array) -> None:
        """Move the running statistics towards those of this batch."""
        state, weight = self.state, self.momentum
        if weight is None:  # the mean over all batches so far
            state["num_batches_tracked"] += 1
            weight = 1 / float(state["num_batches_tracked"].real)
        for name, new in (("running_mean", mean), ("running_var", var * (self.places / (self.places - 1)))):
            state[name] += weight * (new - state[name])

    def _rows(self, x: Array) -> Array:
        """x (N, C, *spatial) as rows (N, rows, row), without a copy where the channels lie innermost."""
        return pixels(x).reshape(len(x), -1, self.row)

    def _images(self, rows: Array, like: Array) -> Array:
        """The way back."""
        return images(rows.reshape(len(rows), -1, like.shape[1]), like.shape[2:])

    def _row(self, values: Array) -> Array:
        """One number for each channel, repeated for the places of a row."""
        return np.tile(values, self.repeats)

    def _spare(self, block: slice) -> Array:
        """Room for a block: one for each thread, so that it stays in that core's cache from lane to lane."""
        return self.own("spare", (self.step, *self.x.shape[1:]))[: block.stop - block.start]

    def _each(self, work: Callable[[int, slice], None]) -> None:
        """Call work(lane, rows) for every block of every lane."""

        def by_blocks(lane: int, rows: slice) -> None:
            for block in blocks(rows, self.step):
                work(lane, block)

        self.share(len(self.x), self.size, by_blocks)

    def _sums(self, *terms: Callable[[int, slice], Array]) -> Array:
        """The sums over all places of what each term gives for every block: (terms, lanes, C)."""
        count = len(lanes(len(self.x), self.size))
        sums = self.buffer("sums", (len(terms) * count, self.row)).reshape(len(terms), count, -1)
        sums.fill(0)

        def work(lane: int, block: slice) -> None:
            for total, term in zip(sums, terms, strict=True):
                rows = term(lane, block).reshape(-1, self.row)
                total[lane] += np.ones(len(rows), rows.dtype) @ rows  # faster than a sum over the first axis

        self._each(work)
        return np.add.reduce(sums.reshape(len(terms), count, self.repeats, -1), axis=2)


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
