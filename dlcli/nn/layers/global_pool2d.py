"""Pooling to a given size, whatever that of the image: to a grid of means, to one mean, to one maximum."""

from __future__ import annotations

import math
from dataclasses import dataclass
from functools import lru_cache
from typing import ClassVar

import numpy as np

from dlcli.core.arena import Array
from dlcli.core.options import Pair, example, pair
from dlcli.nn.layer import Layer, Shape, layers
from dlcli.nn.layers.channels import image_shape, images, pixels


@lru_cache
def averages(size: int, parts: int) -> Array:
    """The matrix (parts, size) that takes a line of numbers to the means of `parts` even stretches, rounded outwards.

    Stretch i begins at floor(i * size / parts) and ends before ceil((i + 1) * size / parts).
    """
    matrix = np.zeros((parts, size))
    for i in range(parts):
        stretch = slice(i * size // parts, -(-(i + 1) * size // parts))
        matrix[i, stretch] = 1 / (stretch.stop - stretch.start)
    return matrix


@layers.register
@dataclass(eq=False)
class AdaptiveAvgPool2d(Layer):
    """y = down @ x @ across.T, the means of H' x W' even stretches

    x (N, C, H, W), y (N, C, H', W') with (H', W') = output_size, down (H', H) and across (W', W) matrices of means.
    dx = down.T @ dy @ across.

    Source: https://docs.pytorch.org/docs/stable/generated/torch.nn.AdaptiveAvgPool2d.html
    """

    output_size: Pair

    complex_step: ClassVar[bool] = True
    examples: ClassVar = (example((2, 5, 4), output_size=2), example((2, 3, 7), output_size=[1, 3]))

    def setup(self, in_shape: Shape) -> Shape:
        return (image_shape(in_shape)[0], *pair(self.output_size))

    def forward(self, x: Array, training: bool) -> Array:
        down, across = pair(self.output_size)
        self.down, self.across = averages(x.shape[2], down), averages(x.shape[3], across)
        return self._product("y", self.down, x, self.across)

    def backward(self, dy: Array) -> Array:
        return self._product("dx", self.down.T, dy, self.across.T)

    def _product(self, name: str, down: Array, x: Array, across: Array) -> Array:
        """down @ x @ across.T, with the channels innermost in memory."""
        down, across = down.astype(x.dtype), across.astype(x.dtype)
        n, channels, height, width = x.shape
        lines = np.matmul(down, np.ascontiguousarray(x.transpose(0, 2, 3, 1)).reshape(n, height, -1))
        y = self.buffer(name, (n, channels, len(down), len(across)))
        np.matmul(across, lines.reshape(n, len(down), width, channels), out=y.transpose(0, 2, 3, 1))
        return y

    def flops(self) -> int:
        channels, height, width = self.in_shape
        down, across = pair(self.output_size)
        return 2 * channels * down * width * (height + across)


@layers.register
@dataclass(eq=False)
class GlobalAvgPool2d(Layer):
    """y = the mean of x over all pixels of a channel

    x (N, C, H, W), y (N, C): no Flatten is needed after it.  dx = dy / (H * W) at every pixel.

    Source: Lin, Chen and Yan 2014, "Network in network", https://arxiv.org/abs/1312.4400
    """

    complex_step: ClassVar[bool] = True
    examples: ClassVar = (example((3, 4, 2)),)

    def setup(self, in_shape: Shape) -> Shape:
        return (image_shape(in_shape)[0],)

    def forward(self, x: Array, training: bool) -> Array:
        places = pixels(x)
        self.shape, self.share_of_one = x.shape, 1 / places.shape[1]
        means = np.full((1, places.shape[1]), self.share_of_one, x.dtype)
        y = self.buffer("y", (len(x), x.shape[1]))
        np.matmul(means, places, out=y[:, None])
        return y

    def backward(self, dy: Array) -> Array:
        dy *= self.share_of_one
        dx = self.buffer("dx", self.shape)
        np.copyto(dx, dy[:, :, None, None])
        return dx

    def flops(self) -> int:
        return math.prod(self.in_shape)


@layers.register
@dataclass(eq=False)
class GlobalMaxPool2d(Layer):
    """y = the maximum of x over all pixels of a channel

    x (N, C, H, W), y (N, C): no Flatten is needed after it.
    dx = dy at the pixel that won, the first among equal ones, else 0.

    Source: Oquab et al. 2015, "Is object localization for free?", https://doi.org/10.1109/CVPR.2015.7298668
    """

    complex_step: ClassVar[bool] = True
    examples: ClassVar = (example((3, 4, 2)),)

    def setup(self, in_shape: Shape) -> Shape:
        return (image_shape(in_shape)[0],)

    def forward(self, x: Array, training: bool) -> Array:
        places, self.spatial = pixels(x), x.shape[2:]
        self.winner = np.argmax(places.real, axis=1, keepdims=True)
        y = self.buffer("y", (len(x), x.shape[1]))
        np.copyto(y, np.take_along_axis(places, self.winner, axis=1)[:, 0])
        return y

    def backward(self, dy: Array) -> Array:
        n, channels = dy.shape
        dx = self.buffer("dx", (n, math.prod(self.spatial), channels))
        dx.fill(0)
        np.put_along_axis(dx, self.winner, dy[:, None], axis=1)
        return images(dx, self.spatial)

    def branch(self) -> Array:
        return self.winner

    def flops(self) -> int:
        return math.prod(self.in_shape)
