"""The logarithm of the hyperbolic cosine of the error: smooth everywhere, and linear where the error is large."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import ClassVar

import numpy as np

from dlcli.core.arena import Array
from dlcli.core.options import example
from dlcli.nn.loss import Reduction, losses
from dlcli.nn.losses.elementwise import DistanceLoss


@losses.register
@dataclass(eq=False)
class LogCoshLoss(DistanceLoss):
    """L = mean over all elements of log(cosh(d));  d = y_pred - y_true

    y_pred and y_true (N, *shape), the same shape, or y_pred (N, K) and classes (N,), which become one-hot rows.
    dL/dy_pred = tanh(d) / number of elements. Near d**2 / 2 for small errors and |d| - log(2) for large ones; it is
    computed as |d| + log(1 + exp(-2 * |d|)) - log(2), which cannot overflow.

    Source: Green 1990, "Bayesian reconstructions from emission tomography data using a modified EM algorithm",
    https://doi.org/10.1109/42.52985
    """

    reduction: Reduction = "mean"

    examples: ClassVar = (example((3,)), example((1,), reduction="sum"))

    def curve(self, y_pred: Array, y_true: Array) -> tuple[Array, Array]:
        d = y_pred - y_true
        size = np.where(d.real < 0, -d, d)
        return size + np.log1p(np.exp(-2 * size)) - math.log(2), np.tanh(d)
