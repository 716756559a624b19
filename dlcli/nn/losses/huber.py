"""Losses that are linear where the error is large, so that outliers pull less than in the squared error."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

import numpy as np

from dlcli.core.arena import Array
from dlcli.core.options import NonNegative, Positive, example
from dlcli.nn.loss import Reduction, losses
from dlcli.nn.losses.elementwise import DistanceLoss


@dataclass(eq=False)
class Cornered(DistanceLoss):
    """L = mean over all elements of |d| with its corner rounded off, d**2 / (2 * width) where |d| <= width."""

    def rounded(self, d: Array, width: float) -> tuple[Array, Array]:
        """|d| - width / 2, below `width` the parabola that goes on from there, and the slope of both."""
        self.side = np.sign(d.real) * (abs(d.real) > width)  # -1, 0 or 1: below, inside or above the corners
        slope = np.where(self.side == 0, d / width if width else 0, self.side).astype(d.dtype, copy=False)
        return slope * (d - 0.5 * width * slope), slope

    def branch(self) -> Array:
        return self.side


@losses.register
@dataclass(eq=False)
class HuberLoss(Cornered):
    """L = mean over all elements of d**2 / 2 where |d| <= delta, else delta * (|d| - delta / 2);  d = y_pred - y_true

    y_pred and y_true (N, *shape), the same shape, or y_pred (N, K) and classes (N,), which become one-hot rows.
    dL/dy_pred = clip(d, -delta, delta) / number of elements.

    Source: Huber 1964, "Robust estimation of a location parameter", https://doi.org/10.1214/aoms/1177703732;
    https://docs.pytorch.org/docs/stable/generated/torch.nn.HuberLoss.html
    """

    delta: Positive = 1.0
    reduction: Reduction = "mean"

    examples: ClassVar = (example((3,)), example((1,), delta=2.0), example((3,), reduction="sum"))

    def curve(self, y_pred: Array, y_true: Array) -> tuple[Array, Array]:
        f, slope = self.rounded(y_pred - y_true, self.delta)
        return self.delta * f, self.delta * slope


@losses.register
@dataclass(eq=False)
class SmoothL1Loss(Cornered):
    """L = mean over all elements of d**2 / (2 * beta) where |d| <= beta, else |d| - beta / 2;  d = y_pred - y_true

    y_pred and y_true (N, *shape), the same shape, or y_pred (N, K) and classes (N,), which become one-hot rows.
    dL/dy_pred = clip(d / beta, -1, 1) / number of elements. It is HuberLoss divided by its delta; beta = 0 is L1Loss.

    Source: Girshick 2015, "Fast R-CNN", https://arxiv.org/abs/1504.08083;
    https://docs.pytorch.org/docs/stable/generated/torch.nn.SmoothL1Loss.html
    """

    beta: NonNegative = 1.0
    reduction: Reduction = "mean"

    examples: ClassVar = (example((3,)), example((1,), beta=2.0), example((3,), beta=0.0, reduction="sum"))

    def curve(self, y_pred: Array, y_true: Array) -> tuple[Array, Array]:
        return self.rounded(y_pred - y_true, self.beta)


@losses.register
@dataclass(eq=False)
class L1Loss(Cornered):
    """L = mean over all elements of |y_pred - y_true|

    y_pred and y_true (N, *shape), the same shape, or y_pred (N, K) and classes (N,), which become one-hot rows.
    dL/dy_pred = sign(y_pred - y_true) / number of elements, 0 where they are equal.

    Source: https://docs.pytorch.org/docs/stable/generated/torch.nn.L1Loss.html
    """

    reduction: Reduction = "mean"

    examples: ClassVar = (example((8,)), example((1,), reduction="sum"))

    def curve(self, y_pred: Array, y_true: Array) -> tuple[Array, Array]:
        return self.rounded(y_pred - y_true, 0.0)
