"""Group normalisation: every group of a sample's channels brought to mean 0 and deviation 1."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Annotated, ClassVar

import numpy as np

from dlcli.core.arena import Array
from dlcli.core.errors import ShapeError
from dlcli.core.options import Count, Positive, example
from dlcli.nn.initializers import Constant, Zeros
from dlcli.nn.layer import Layer, Shape, layers
from dlcli.nn.layers.channels import images, inferred, pixels


@layers.register
@dataclass(eq=False)
class GroupNorm(Layer):
    """y = h * weight + bias,  h = (x - mean) / sqrt(var + eps)

    x and y (N, C, *spatial), weight and bias (C,): one number for each channel. Mean and var (biased) are those of each
    sample over C / num_groups channels and all their places.  dbias = sum of dy,  dweight = sum of dy * h over samples
    and places; with dh = dy * weight:  dx = (dh - mean of dh - h * mean of (dh * h)) / sqrt(var + eps), with means
    over the group. Weight and bias have no weight decay.

    Source: Wu and He 2018, "Group normalization", https://arxiv.org/abs/1803.08494;
    https://docs.pytorch.org/docs/stable/generated/torch.nn.GroupNorm.html
    """

    num_groups: Count
    num_channels: Count | None  # None: inferred from the layer before
    eps: Positive = 1e-5
    affine: Annotated[bool, "whether there are weight and bias"] = True

    complex_step: ClassVar[bool] = True
    examples: ClassVar = (
        example((4, 3, 2), num_groups=2),
        example((3, 5), num_groups=1, eps=0.01),
        example((6, 4), num_groups=3, affine=False),
    )

    def setup(self, in_shape: Shape) -> Shape:
        if not in_shape or in_shape[0] % self.num_groups:
            raise ShapeError(
                f"got num_groups = {self.num_groups} for samples of shape {in_shape}, expected a divisor of the "
                "channels, the first axis"
            )
        self.num_channels = inferred("num_channels", self.num_channels, in_shape[0])
        if self.affine:
            self.declare("weight", (self.num_channels,), Constant(1.0))
            self.declare("bias", (self.num_channels,), Zeros())
        return in_shape

    def forward(self, x: Array, training: bool) -> Array:
        places = pixels(x)
        h = self.h = self.buffer("h", places.shape)
        y = self.buffer("y", places.shape)
        np.subtract(places, self._means(places), out=h)
        np.multiply(h, h, out=y)
        self.scale = 1 / np.sqrt(self._means(y) + self.eps)
        h *= self.scale
        if not self.affine:
            return images(h, x.shape[2:])
        np.multiply(h, self.params["weight"], out=y)
        y += self.params["bias"]
        return images(y, x.shape[2:])

    def backward(self, dy: Array) -> Array | None:
        d = pixels(dy)
        product = np.multiply(d, self.h, out=self.buffer("product", d.shape))
        if self.affine:
            rows, ones = d.reshape(-1, d.shape[2]), np.ones(d.shape[0] * d.shape[1], d.dtype)
            self.grads["bias"], self.grads["weight"] = ones @ rows, ones @ product.reshape(rows.shape)
        if not self.needs_input_grad:
            return None
        if self.affine:
            d *= self.params["weight"]
            product *= self.params["weight"]
        along = self._means(product)
        d -= self._means(d)
        d -= np.multiply(self.h, along, out=product)
        d *= self.scale
        return images(d, dy.shape[2:])

    def flops(self) -> int:
        return 7 * math.prod(self.out_shape)

    def _means(self, places: Array) -> Array:
        """The mean of each group of places (n, P, C), repeated for its channels: (n, 1, C)."""
        n, count, channels = places.shape
        each = channels // self.num_groups
        sums = np.matmul(np.ones((1, count), places.dtype), places)  # (n, 1, C)
        means = np.add.reduce(sums.reshape(n, 1, self.num_groups, each), axis=3) / (count * each)
        return np.repeat(means, each, axis=2)
