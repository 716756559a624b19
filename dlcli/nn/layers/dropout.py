"""Activations dropped at random in training."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Annotated, ClassVar

import numpy as np
from annotated_types import Ge, Lt

from dlcli.core.arena import Array, shaped
from dlcli.core.options import Example, example
from dlcli.core.rng import quarters
from dlcli.nn.layer import Layer, Shape, layers

LEVELS = 1 << 16
"""Steps in which p is held: a mask costs 16 random bits an element."""

DRAWING = 2
"""An element takes so many times as long as where nothing is drawn."""


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
        size, scale = math.prod(shape[1:]), LEVELS / (LEVELS - dropped)
        y = self.buffer("y", x.shape)
        self.mask = mask = self.buffer("mask", shape)

        def work(lane: int, rows: slice) -> None:
            drawn = shaped(quarters(self.rng(), rows.start * size, rows.stop * size), mask[rows].shape)
            kept = np.greater_equal(drawn, dropped, out=mask[rows])
            kept *= scale
            np.multiply(x[rows], kept, out=y[rows])

        self.share(len(x), DRAWING * math.prod(x.shape[1:]), work)
        return y

    def backward(self, dy: Array) -> Array:
        mask = self.mask
        if mask is None:
            return dy

        def work(lane: int, rows: slice) -> None:
            np.multiply(dy[rows], mask[rows], out=dy[rows])

        self.share(len(dy), math.prod(dy.shape[1:]), work)
        return dy
