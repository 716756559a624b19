"""What losses on classes share: a factor for every class, and the mean that goes by those factors."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, ClassVar

import numpy as np

from dlcli.core.arena import Array
from dlcli.core.errors import ConfigError, ShapeError
from dlcli.core.options import NonNegative
from dlcli.nn.loss import Loss


@dataclass(eq=False)
class ClassLoss(Loss):
    """A loss of scores (N, K) and class indices (N,), whose classes may count differently."""

    task: ClassVar[str | None] = "classification"
    complex_step: ClassVar[bool] = True

    def per_class(self) -> list[float] | None:
        """The factor of every class; None where all count alike."""
        raise NotImplementedError

    def __post_init__(self) -> None:
        factors = self.per_class()
        if factors is not None and not any(factors):
            raise ConfigError(f"got {factors} as factors of the classes, expected one above 0")

    def check(self, out_shape: tuple[int, ...], classes: int | None, target_shape: tuple[int, ...]) -> None:
        super().check(out_shape, classes, target_shape)
        factors = self.per_class()
        if factors is not None and classes is not None and len(factors) != classes:
            raise ConfigError(f"got factors of {len(factors)} classes, expected {classes}: one for each class")

    def factors(self, y_pred: Array) -> Any:
        """The factors of the K classes, an array in the real type of y_pred (N, K); 1 where all count alike."""
        factors = self.per_class()
        if factors is None:
            return 1.0
        if len(factors) != y_pred.shape[1]:
            got = f"{type(self).__name__}: got factors of {len(factors)} classes"
            raise ShapeError(f"{got} and y_pred of shape {y_pred.shape}, expected one for each class")
        return np.asarray(factors, y_pred.real.dtype)

    def of_targets(self, y_pred: Array, targets: Array) -> Any:
        """The factor (N,) of every sample's class; 1 where all count alike."""
        factors = self.factors(y_pred)
        return factors[targets] if self.per_class() else factors


@dataclass(eq=False)
class WeightedLoss(ClassLoss):
    """A loss whose mean divides by the weights of the samples' classes, so that it is a mean for any weights."""

    weight: list[NonNegative] | None = None

    def per_class(self) -> list[float] | None:
        return self.weight

    def count(self, y_true: Array) -> float:
        return len(y_true) if self.weight is None else float(np.asarray(self.weight)[y_true].sum())
