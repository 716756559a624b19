"""The cross entropy of classes, on logits."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, ClassVar

import numpy as np

from dlcli.core.arena import Array
from dlcli.core.errors import ShapeError
from dlcli.core.options import example
from dlcli.nn.loss import Loss, losses, scalar


@losses.register
@dataclass(eq=False)
class CrossEntropyLoss(Loss):
    """L = mean over the batch of log(sum over k of exp(z_k)) - z_t

    Logits z (N, K), class indices t (N,) with 0 <= t < K.  dL/dz = (softmax(z) - one_hot(t)) / N.
    The softmax is part of the loss (log-sum-exp with the largest score taken out, finite for any finite z); the
    network must not end with one.

    Source: https://docs.pytorch.org/docs/stable/generated/torch.nn.CrossEntropyLoss.html
    """

    task: ClassVar[str | None] = "classification"
    complex_step: ClassVar[bool] = True
    examples: ClassVar = (example((10,)), example((2,)))

    def forward(self, y_pred: Array, y_true: Array) -> Any:
        logits, targets = self._checked(y_pred, y_true)
        self.targets, self.rows = targets, np.arange(len(targets))
        top = np.maximum.reduce(logits.real, axis=1, keepdims=True)
        z = np.subtract(logits, top, out=self.buffer("z", logits.shape))
        chosen = z[self.rows, targets]
        self.p = np.exp(z, out=z)
        total = np.add.reduce(self.p, axis=1, keepdims=True)
        self.p /= total
        return scalar(np.add.reduce(np.log(total[:, 0]) - chosen)) / len(targets)

    def backward(self) -> Array:
        dz = np.divide(self.p, len(self.p), out=self.buffer("dz", self.p.shape))
        dz[self.rows, self.targets] -= 1 / len(self.p)
        return dz

    def _checked(self, logits: Any, targets: Any) -> tuple[Array, Array]:
        if self.scratch is not None:  # inside a network: the targets were checked when they were read
            return logits, targets
        logits, targets = np.asarray(logits), np.asarray(targets)
        shapes = f"CrossEntropyLoss: got logits of shape {logits.shape} and targets of shape {targets.shape}"
        if logits.ndim < targets.ndim:
            raise ShapeError(f"{shapes}, expected (N, K) and (N,); swap the arguments")
        if logits.ndim != 2 or targets.shape != logits.shape[:1]:
            raise ShapeError(f"{shapes}, expected (N, K) and class indices (N,)")
        if targets.dtype.kind not in "iu":
            raise ShapeError(f"CrossEntropyLoss: got targets of type {targets.dtype}, expected integers, a class each")
        if targets.size and not (targets.min() >= 0 and targets.max() < logits.shape[1]):
            raise ShapeError(
                f"CrossEntropyLoss: got classes {targets.min()} to {targets.max()}, expected 0 to "
                f"{logits.shape[1] - 1} for {logits.shape[1]} logits"
            )
        if logits.dtype.kind not in "fc":
            logits = logits.astype(np.float64)
        self.dtype = logits.dtype
        return logits, targets
