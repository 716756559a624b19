"""Layer normalisation: every sample brought to mean 0 and deviation 1 over its own numbers."""

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


@layers.register
@dataclass(eq=False)
class LayerNorm(Layer):
    """y = h * weight + bias,  h = (x - mean) / sqrt(var + eps)

    x and y (N, *shape), weight and bias (*normalized_shape,), the last axes of a sample (all of them by default);
    mean and var (biased) are taken over these axes.  dbias = sum of dy,  dweight = sum of dy * h over everything else;
    with dh = dy * weight:  dx = (dh - mean of dh - h * mean of (dh * h)) / sqrt(var + eps).
    Weight and bias have no weight decay.

    Source: Ba, Kiros and Hinton 2016, "Layer normalization", https://arxiv.org/abs/1607.06450;
    https://docs.pytorch.org/docs/stable/generated/torch.nn.LayerNorm.html
    """

    normalized_shape: Count | list[Count] | None  # None: inferred from the layer before, the whole sample
    eps: Positive = 1e-5
    elementwise_affine: Annotated[bool, "whether there is a weight, and with it a bias"] = True
    bias: bool = True

    complex_step: ClassVar[bool] = True
    examples: ClassVar = (
        example((5,)),
        example((2, 3, 4), normalized_shape=[3, 4], bias=False),
        example((3, 4), normalized_shape=4, eps=0.01),
        example((3, 2), elementwise_affine=False),
    )

    def setup(self, in_shape: Shape) -> Shape:
        given = in_shape if self.normalized_shape is None else self.normalized_shape
        axes = (given,) if isinstance(given, int) else tuple(given)
        if not axes or in_shape[-len(axes) :] != axes:
            raise ShapeError(
                f"got samples of shape {in_shape}, expected them to end with normalized_shape = {list(axes)}; leave "
                "normalized_shape out to infer it"
            )
        self.normalized_shape, self.size = list(axes), math.prod(axes)
        if self.elementwise_affine:
            self.declare("weight", axes, Constant(1.0), decays=False)
            if self.bias:
                self.declare("bias", axes, Zeros(), decays=False)
        return in_shape

    def forward(self, x: Array, training: bool) -> Array:
        rows = np.ascontiguousarray(x).reshape(-1, self.size)
        self.mean_of = np.full(self.size, 1 / self.size, x.dtype)
        h = self.h = self.buffer("h", rows.shape)
        y = self.buffer("y", rows.shape)
        np.subtract(rows, (rows @ self.mean_of)[:, None], out=h)
        np.multiply(h, h, out=y)
        self.scale = 1 / np.sqrt(y @ self.mean_of + self.eps)[:, None]
        h *= self.scale
        if not self.elementwise_affine:
            return h.reshape(x.shape)
        np.multiply(h, self.params["weight"].reshape(-1), out=y)
        if self.bias:
            y += self.params["bias"].reshape(-1)
        return y.reshape(x.shape)

    def backward(self, dy: Array) -> Array | None:
        d = np.ascontiguousarray(dy).reshape(-1, self.size)
        product = self.buffer("product", d.shape)
        if self.elementwise_affine:
            ones = np.ones(len(d), d.dtype)
            np.multiply(d, self.h, out=product)
            self.grads["weight"] = (ones @ product).reshape(self.grads["weight"].shape)
            if self.bias:
                self.grads["bias"] = (ones @ d).reshape(self.grads["bias"].shape)
        if not self.needs_input_grad:
            return None
        if self.elementwise_affine:
            d *= self.params["weight"].reshape(-1)
        np.multiply(d, self.h, out=product)
        along = (product @ self.mean_of)[:, None]
        d -= (d @ self.mean_of)[:, None]
        d -= np.multiply(self.h, along, out=product)
        d *= self.scale
        return d.reshape(dy.shape)

    def flops(self) -> int:
        return 7 * math.prod(self.out_shape)
