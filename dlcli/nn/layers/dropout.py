"""Activations dropped at random in training."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Annotated, ClassVar

import numpy as np
from annotated_types import Ge, Lt

from dlcli.core.arena import Array, shaped
from dlcli.core.options import Example, example
from dlcli.nn.layer import Layer, Shape, layers

LEVELS = 1 << 16
"""Steps in which p is held: a mask costs 16 random bits an element."""


@layers.register
@dataclass(eq=False)
class Dropout(Layer):
    """y = x * m / (1 - p) in training, with m = 0 with probability p, else 1;  y = x in evaluation

    x, m and y (N, *shape).  dx = dy * m / (1 - p).
    p is held in steps of 2**-16, and the scale goes with the held value, so that the mean of y is x.

    Source: Srivastava et al. 2014, "Dropout: a simple way to prevent neural networks from overfitting",
    https://jmlr.org/papers/v15/srivastava14a.html; https://docs.pytorch.org/docs/stable/generated/torch.nn.Dropout.html
    """

    p: Annotated[float, Ge(0), Lt(1)] = 0.5

    complex_step: ClassVar[bool] = True
    stochastic: ClassVar[bool] = True
    examples: ClassVar[tuple[Example, ...]] = (example((5,)), example((2, 3), p=0.2), example((4,), p=0.0))

    def mask_shape(self, x_shape: Shape) -> Shape:
        """The shape of m, one number for all that is dropped together."""
        return x_shape

    def forward(self, x: Array, training: bool) -> Array:
        self.mask = None
        dropped = min(round(self.p * LEVELS), LEVELS - 1)
        if not training or dropped == 0:
            return x
        shape = self.mask_shape(x.shape)
        size = math.prod(shape)
        words = self.rng().integers(0, 1 << 64, size=-(-size // 4), dtype=np.uint64)
        drawn = shaped(words.view(np.uint16)[:size], shape)
        kept = np.greater_equal(drawn, dropped, out=self.buffer("kept", shape, bool))
        self.mask = np.multiply(kept, LEVELS / (LEVELS - dropped), out=self.buffer("mask", shape))
        return np.multiply(x, self.mask, out=self.buffer("y", x.shape))

    def backward(self, dy: Array) -> Array:
        return dy if self.mask is None else np.multiply(dy, self.mask, out=dy)
