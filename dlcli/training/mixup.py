"""MixUp: training on mixtures of two samples, with the loss mixed alike."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from dlcli.core.arena import Array, Scratch
from dlcli.core.rng import stream
from dlcli.nn.loss import Loss


@dataclass(eq=False)
class MixUp(Scratch):
    """x_i = lam * x_i + (1 - lam) * x_j;  L = lam * L(y_pred, y_i) + (1 - lam) * L(y_pred, y_j)

    j is a permutation of the batch and lam ~ Beta(alpha, alpha), one of each a batch, drawn from (seed, batch). The
    larger of lam and 1 - lam goes to i: the mixtures are the same ones, since the permutation may be turned round, and
    metrics against y_i then count the sample that has the larger share. Mixing the losses, not the targets, is the
    same for cross entropy and serves every loss.

    Source: Zhang et al. 2018, "mixup: beyond empirical risk minimization", https://arxiv.org/abs/1710.09412
    """

    loss: Loss
    alpha: float
    seed: int

    def __post_init__(self) -> None:
        self.scratch, self.dtype = {}, self.loss.dtype

    def inputs(self, x: Array, batch: int) -> Array:
        """The mixed inputs of that batch, counted from the first of the run; what is drawn also serves the loss."""
        rng = stream(self.seed, "mixup", batch)
        share = rng.beta(self.alpha, self.alpha)
        self.share = max(share, 1 - share)
        self.order = rng.permutation(len(x))
        mixed = np.take(x, self.order, axis=0, out=self.buffer("x", x.shape), mode="clip")
        mixed -= x
        mixed *= 1 - self.share
        mixed += x
        return mixed

    def forward(self, y_pred: Array, y_true: Array) -> float:
        """The mixed loss of these outputs, whose targets were `y_true` before mixing."""
        room = self.buffer("y", y_true.shape, y_true.dtype)
        other = np.take(y_true, self.order, axis=0, out=room, mode="clip")
        lesser = float(self.loss.forward(y_pred, other))
        self.dy = self.buffer("dy", y_pred.shape)
        np.multiply(self.loss.backward(), 1 - self.share, out=self.dy)
        return self.share * float(self.loss.forward(y_pred, y_true)) + (1 - self.share) * lesser

    def backward(self) -> Array:
        """dL/dy_pred for the last `forward`."""
        dy = self.loss.backward()
        dy *= self.share
        dy += self.dy
        return dy
