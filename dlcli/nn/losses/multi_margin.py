"""The hinge loss of several classes: the right score has to lead every other one by a margin."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, ClassVar, Literal

import numpy as np

from dlcli.core.arena import Array
from dlcli.core.options import NonNegative, example
from dlcli.nn.loss import Reduction, losses, scalar
from dlcli.nn.losses.weighted import ClassLoss


@losses.register
@dataclass(eq=False)
class MultiMarginLoss(ClassLoss):
    """L = mean over the batch of w_t / K * sum over k other than t of max(0, margin - x_t + x_k)**p

    Scores x (N, K), class indices t (N,) with 0 <= t < K; w is `weight`, or 1 for every class. The mean divides by N.
    dL/dx_k = w_t / K * p * max(0, margin - x_t + x_k)**(p - 1) / N where that lead is missed, and dL/dx_t takes back
    the sum of those.

    Source: Crammer and Singer 2001, "On the algorithmic implementation of multiclass kernel-based vector machines";
    https://docs.pytorch.org/docs/stable/generated/torch.nn.MultiMarginLoss.html
    """

    p: Literal[1, 2] = 1
    margin: float = 1.0
    weight: list[NonNegative] | None = None
    reduction: Reduction = "mean"

    examples: ClassVar = (
        example((3,)),
        example((4,), p=2, margin=0.5),
        example((3,), weight=[1.0, 0.5, 2.0], reduction="sum"),
    )

    def per_class(self) -> list[float] | None:
        return self.weight

    def forward(self, y_pred: Array, y_true: Array) -> Any:
        x, targets = self.labelled(y_pred, y_true)
        self.places = np.arange(len(targets)), targets
        lacking = x - x[self.places][:, None] + self.margin
        lacking[self.places] = 0
        self.missed = lacking.real > 0
        lacking *= self.missed
        share = self.of_targets(x, targets) / (x.shape[1] * self.divisor(len(targets)))
        self.share = np.broadcast_to(share, targets.shape)[:, None]
        self.slope = 2 * lacking if self.p == 2 else self.missed
        return scalar(np.add.reduce(lacking**self.p * self.share, axis=None))

    def backward(self) -> Array:
        dx = np.multiply(self.slope, self.share, out=self.buffer("dx", self.slope.shape), casting="same_kind")
        dx[self.places] = -np.add.reduce(dx, axis=1)
        return dx

    def branch(self) -> Array:
        return self.missed
