"""The binary cross entropy: of every output alone, as a probability or as its log odds."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, ClassVar

import numpy as np

from dlcli.core.arena import Array
from dlcli.core.errors import ConfigError, ShapeError
from dlcli.core.options import NonNegative, example
from dlcli.nn.layers.elementwise import logistic, softplus
from dlcli.nn.loss import Reduction, losses
from dlcli.nn.losses.elementwise import ElementwiseLoss

LOG_FLOOR = -100.0
"""What the logarithm of a probability is cut off at, as in PyTorch, so that a certain mistake costs a finite loss."""

VARIANCE_FLOOR = 1e-12
"""The least p * (1 - p) that a gradient is divided by, as in PyTorch."""


@dataclass(eq=False)
class BinaryLoss(ElementwiseLoss):
    """A loss of every output alone, as the probability of yes against no."""

    one_hot: ClassVar[bool] = True
    binary: ClassVar[bool] = True
    bounds: ClassVar[tuple[float, float]] = (0.0, 1.0)

    def log_odds(self, outputs: Array) -> Array:
        """log(p / (1 - p)) of the probability that each output stands for."""
        raise NotImplementedError

    def logits(self, outputs: Array) -> Array:
        """The log odds of every class; 0 and the log odds where one output stands for two classes."""
        if not self.of_classes:
            return outputs
        z = self.log_odds(outputs)
        return z if z.shape[1] > 1 else np.concatenate([np.zeros_like(z), z], axis=1)


@losses.register
@dataclass(eq=False)
class BCELoss(BinaryLoss):
    """L = mean over all elements of -(t * log(p) + (1 - t) * log(1 - p)), both logarithms at least -100

    Probabilities p and targets t in [0, 1] (N, *shape), the same shape, as a Sigmoid gives them; or p (N, K) and
    classes (N,), which become one-hot rows, or 0 and 1 for two classes and one output p (N, 1).
    dL/dp = (p - t) / max(p * (1 - p), 1e-12) / number of elements. BCEWithLogitsLoss does the same more exactly.

    Source: https://docs.pytorch.org/docs/stable/generated/torch.nn.BCELoss.html
    """

    reduction: Reduction = "mean"

    outputs: ClassVar[str | None] = "probabilities"
    examples: ClassVar = (example((3,)), example((1,), reduction="sum"))

    def curve(self, y_pred: Array, y_true: Array) -> tuple[Array, Array]:
        p, t = y_pred, y_true
        low, high = p.real.min(), p.real.max()
        if low < 0 or high > 1:
            raise ShapeError(
                f"BCELoss: got outputs from {low:.4g} to {high:.4g}, expected probabilities from 0 to 1; "
                "end the stack with Sigmoid, or use BCEWithLogitsLoss"
            )
        with np.errstate(divide="ignore"):  # log(0), which the floor takes up
            yes, no = np.log(p), np.log1p(-p)
        yes, no = (np.where(log.real > LOG_FLOOR, log, LOG_FLOOR) for log in (yes, no))
        return -(t * yes + (1 - t) * no), (p - t) / np.maximum(p * (1 - p), VARIANCE_FLOOR)

    def log_odds(self, outputs: Array) -> Array:
        """log(p / (1 - p)), between the floors of the logarithms."""
        with np.errstate(divide="ignore"):
            return np.maximum(np.log(outputs), LOG_FLOOR) - np.maximum(np.log1p(-outputs), LOG_FLOOR)

    def draw(self, rng: np.random.Generator, shape: tuple[int, ...]) -> tuple[Array, Array]:
        return rng.uniform(0.05, 0.95, size=shape), rng.uniform(size=shape)


@losses.register
@dataclass(eq=False)
class BCEWithLogitsLoss(BinaryLoss):
    """L = mean over all elements of -(w * t * log(p) + (1 - t) * log(1 - p));  p = 1 / (1 + exp(-z)), w = pos_weight

    Logits z and targets t in [0, 1] (N, *shape), the same shape; or z (N, K) and classes (N,), which become one-hot
    rows, or 0 and 1 for two classes and one output z (N, 1). `pos_weight` is one number, or one for each output.
    dL/dz = ((1 - t) * p - w * t * (1 - p)) / number of elements, finite for any finite z.

    Source: https://docs.pytorch.org/docs/stable/generated/torch.nn.BCEWithLogitsLoss.html
    """

    pos_weight: NonNegative | list[NonNegative] | None = None
    reduction: Reduction = "mean"

    outputs: ClassVar[str | None] = "logits"
    examples: ClassVar = (
        example((3,)),
        example((1,), pos_weight=4.0),
        example((3,), pos_weight=[1.0, 0.5, 3.0], reduction="sum"),
    )

    def check(self, out_shape: tuple[int, ...], classes: int | None, target_shape: tuple[int, ...]) -> None:
        super().check(out_shape, classes, target_shape)
        if isinstance(self.pos_weight, list) and len(self.pos_weight) != out_shape[-1]:
            raise ConfigError(f"got {len(self.pos_weight)} numbers as pos_weight, expected one or {out_shape[-1]}")

    def curve(self, y_pred: Array, y_true: Array) -> tuple[Array, Array]:
        z, t = y_pred, y_true
        yes = t if self.pos_weight is None else t * self._weights(z)
        # -log(p) is softplus(-z), and -log(1 - p) is softplus(-z) + z.
        both = yes + (1 - t)
        return (1 - t) * z + both * softplus(-z), (1 - t) - both * logistic(-z)

    def _weights(self, z: Array) -> Any:
        weights = np.asarray(self.pos_weight, z.real.dtype)
        if weights.ndim and weights.shape != z.shape[-1:]:
            raise ShapeError(
                f"BCEWithLogitsLoss: got {len(weights)} numbers as pos_weight and logits of shape {z.shape}, "
                "expected a number for each output"
            )
        return weights

    def log_odds(self, outputs: Array) -> Array:
        """The outputs themselves."""
        return outputs

    def logits(self, outputs: Array) -> Array:
        """The log odds of classes as for every binary loss; of values, which are probabilities, 1 / (1 + exp(-z))."""
        return super().logits(outputs) if self.of_classes else logistic(outputs)

    def draw(self, rng: np.random.Generator, shape: tuple[int, ...]) -> tuple[Array, Array]:
        return 2 * rng.normal(size=shape), rng.uniform(size=shape)
