"""The cross entropy of classes, on logits."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, ClassVar

import numpy as np

from dlcli.core.arena import Array
from dlcli.core.options import Share, example
from dlcli.nn.layers.softmax import below_top, normalized
from dlcli.nn.loss import Reduction, losses, scalar
from dlcli.nn.losses.weighted import WeightedLoss


@losses.register
@dataclass(eq=False)
class CrossEntropyLoss(WeightedLoss):
    """L = mean over the batch of log(sum over k of exp(z_k)) - z_t

    Logits z (N, K), class indices t (N,) with 0 <= t < K.  dL/dz = (softmax(z) - one_hot(t)) / N.
    The softmax is part of the loss (log-sum-exp with the largest score taken out, finite for any finite z); the
    network must not end with one.

    With `label_smoothing` s or `weight` w, L = sum over the batch and k of q_k * (log(sum over j of exp(z_j)) - z_k)
    / sum over the batch of w_t, where q_k = w_k * ((1 - s) * one_hot(t)_k + s / K) and w is 1 unless given.
    With `label_smoothing` or `weight`, dL/dz = (softmax(z) * sum of q - q) / sum over the batch of w_t; a batch whose
    weights are all 0 is not divided.

    Source: https://docs.pytorch.org/docs/stable/generated/torch.nn.CrossEntropyLoss.html; Szegedy et al. 2016,
    "Rethinking the inception architecture for computer vision", https://arxiv.org/abs/1512.00567
    """

    label_smoothing: Share = 0.0
    reduction: Reduction = "mean"

    outputs: ClassVar[str | None] = "logits"
    examples: ClassVar = (
        example((10,)),
        example((2,), reduction="sum"),
        example((3,), weight=[1.0, 0.5, 2.0]),
        example((4,), weight=[1.0, 0.5, 0.0, 2.0], label_smoothing=0.1),
    )

    def forward(self, y_pred: Array, y_true: Array) -> Any:
        logits, targets = self.labelled(y_pred, y_true)
        rows, k = logits.shape
        self.places = np.add(np.arange(0, rows * k, k), targets, out=self.buffer("places", (rows,), np.intp))
        self.total = self.divisor(self.count(targets))
        z = below_top(logits, out=self.buffer("z", logits.shape))
        chosen = z.reshape(-1)[self.places]
        plain = self.weight is None and not self.label_smoothing
        self.wanted = None if plain else self._wanted(z, targets)
        tilt = z @ self.wanted[1] if self.wanted else None
        self.p, total = normalized(z)
        log_total = np.log(total[:, 0])
        if self.wanted is None:
            return scalar(np.add.reduce(log_total - chosen)) / self.total
        own, _, mass = self.wanted
        return scalar(np.add.reduce(mass * log_total - own * chosen - tilt)) / self.total

    def backward(self) -> Array:
        dz = self.buffer("dz", self.p.shape)
        if self.wanted is None:
            np.divide(self.p, self.total, out=dz)
            dz.reshape(-1)[self.places] -= 1 / self.total
            return dz
        own, rest, mass = self.wanted
        np.multiply(self.p, (mass / self.total)[:, None], out=dz)
        dz -= rest / self.total
        dz.reshape(-1)[self.places] -= own / self.total
        return dz

    def _wanted(self, z: Array, targets: Array) -> tuple[Array, Array, Array]:
        """q in parts: what the class of a sample gets alone (N,), what every class gets (K,), and their sum (N,)."""
        smooth, k = self.label_smoothing, z.shape[1]
        weights = np.broadcast_to(np.asarray(self.factors(z), z.real.dtype), (k,))
        own, rest = (1 - smooth) * weights[targets], smooth / k * weights
        return own, rest, own + np.add.reduce(rest)
