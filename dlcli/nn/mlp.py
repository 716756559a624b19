"""The classifier that a first lesson trains: two linear layers with a ReLU between them."""

from __future__ import annotations

import math
from typing import Any

import numpy as np

from dlcli.core.arena import Array
from dlcli.core.errors import ConfigError, DivergedError, ShapeError, quote
from dlcli.core.options import Count
from dlcli.core.values import checked
from dlcli.nn.layers.linear import Linear
from dlcli.nn.layers.relu import ReLU
from dlcli.nn.losses.cross_entropy import CrossEntropyLoss
from dlcli.nn.network import Network
from dlcli.nn.standalone import next_seed


class TwoLayerMLP:
    """z = max(0, x @ W1.T + b1) @ W2.T + b2, trained by gradient descent on the cross entropy of z

    x (N, in_features), z (N, out_features): one score for each class. W1 is `network.params["0.weight"]`,
    b2 is `network.params["2.bias"]`. Every model starts from other values; `manual_seed` or `seed` repeats them.
    """

    def __init__(
        self,
        in_features: int = 784,
        hidden_features: int = 128,
        out_features: int = 10,
        *,
        seed: int | None = None,
        dtype: Any = np.float32,
    ) -> None:
        sizes = {"in_features": in_features, "hidden_features": hidden_features, "out_features": out_features}
        for name, size in sizes.items():
            checked("TwoLayerMLP", name, Count, size)
        stack = [Linear(in_features, hidden_features), ReLU(), Linear(hidden_features, out_features)]
        self.network = Network(stack, (in_features,), dtype=dtype, seed=next_seed() if seed is None else seed)
        self.loss = CrossEntropyLoss()

    def train_step(self, x: Any, y: Any, lr: float) -> float:
        """w = w - lr * dL/dw for every parameter w, once; the loss L of the batch before the step.

        x (N, in_features) of any real type, y (N,) class indices. Raises ShapeError where they do not fit, and
        DivergedError, with the parameters as they were, where the loss is not finite.
        """
        if not (lr > 0 and math.isfinite(lr)):
            raise ConfigError(f"TwoLayerMLP: got lr = {quote(lr)}, expected a number above 0")
        with np.errstate(over="ignore", invalid="ignore"):  # the check says it better than a warning
            loss: float = self.loss.forward(self.network.forward(self._inputs(x), training=True), y)
            if not math.isfinite(loss):
                raise DivergedError(f"TwoLayerMLP: the loss is {loss}; train with a lower lr or scale x to deviation 1")
            self.network.backward(self.loss.backward())
            self.network.arena.values -= lr * self.network.arena.grads
        return loss

    def predict(self, x: Any) -> Array:
        """The class with the largest score for every row of x: integers (N,)."""
        return self.network.forward(self._inputs(x)).argmax(axis=1)

    def evaluate(self, x: Any, y: Any) -> float:
        """The fraction of rows whose predicted class is the one in y (N,)."""
        predicted, y = self.predict(x), np.asarray(y)
        if y.shape != predicted.shape:
            raise ShapeError(f"TwoLayerMLP: got y of shape {y.shape}, expected {predicted.shape}: a class for each row")
        return float(np.mean(predicted == y))

    def __repr__(self) -> str:
        return f"{type(self).__name__} on {self.network!r}"

    def _inputs(self, x: Any) -> Array:
        x = np.asarray(x)
        if x.ndim != 2 or x.shape[1:] != self.network.in_shape or not len(x):
            raise ShapeError(
                f"TwoLayerMLP: got x of shape {x.shape}, expected (N, {self.network.in_shape[0]}) with N >= 1; "
                "images are made rows by x.reshape(len(x), -1)"
            )
        if x.dtype.kind not in "fiub":
            raise ShapeError(f"TwoLayerMLP: got x of type {x.dtype}, expected real numbers")
        return x
