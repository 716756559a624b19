"""The negative log likelihood of classes, on log-probabilities."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, ClassVar

import numpy as np

from dlcli.core.arena import Array
from dlcli.core.options import example
from dlcli.nn.loss import Reduction, losses, scalar
from dlcli.nn.losses.weighted import WeightedLoss


@losses.register
@dataclass(eq=False)
class NLLLoss(WeightedLoss):
    """L = mean over the batch of -x_t, a mean weighted by w_t where `weight` w is given

    Log-probabilities x (N, K) as a LogSoftmax gives them, class indices t (N,) with 0 <= t < K.
    dL/dx = -one_hot(t) * w_t / sum over the batch of w_t; a batch whose weights are all 0 is not divided.

    Source: https://docs.pytorch.org/docs/stable/generated/torch.nn.NLLLoss.html
    """

    reduction: Reduction = "mean"

    outputs: ClassVar[str | None] = "log-probabilities"
    examples: ClassVar = (example((3,)), example((2,), weight=[1.0, 3.0]), example((3,), reduction="sum"))

    def forward(self, y_pred: Array, y_true: Array) -> Any:
        x, targets = self.labelled(y_pred, y_true)
        self.shape, self.places = x.shape, (np.arange(len(targets)), targets)
        self.share = self.of_targets(x, targets) / self.divisor(self.count(targets))
        return scalar(np.add.reduce(-x[self.places] * self.share))

    def backward(self) -> Array:
        dx = self.buffer("dx", self.shape)
        dx[...] = 0
        dx[self.places] = -self.share
        return dx
