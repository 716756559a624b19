"""Users' plain classes, with methods but no base class, made to work as layers and losses."""

from __future__ import annotations

import inspect
from typing import Any, ClassVar, TypeVar

import numpy as np

from dlcli.core.arena import Array
from dlcli.core.errors import ConfigError, quote
from dlcli.nn.layer import Layer
from dlcli.nn.loss import Loss, scalar

T = TypeVar("T")


class PlainLayer(Layer):
    """A class with `forward(x)` and `backward(dy)`, as a layer that keeps the shape; `forward` may take `training`."""

    wraps: ClassVar[type]

    def __init__(self, *args: Any, **options: Any) -> None:
        common = {name: options.pop(name) for name in Layer.__dataclass_fields__ if name in options}
        Layer.__init__(self, **common)
        self.inner = self.wraps(*args, **options)
        self._told = "training" in inspect.signature(self.inner.forward).parameters

    def forward(self, x: Array, training: bool) -> Array:
        y = self.inner.forward(x, training) if self._told else self.inner.forward(x)
        return np.asarray(y)

    def backward(self, dy: Array) -> Array | None:
        dx = self.inner.backward(dy)
        return None if dx is None else np.asarray(dx)


class PlainLoss(Loss):
    """A class with `forward(y_pred, y_true)` and `backward()`, as a loss."""

    wraps: ClassVar[type]

    def __init__(self, *args: Any, **options: Any) -> None:
        self.inner = self.wraps(*args, **options)

    def forward(self, y_pred: Array, y_true: Array) -> Any:
        return scalar(self.inner.forward(y_pred, y_true))

    def backward(self) -> Array:
        return np.asarray(self.inner.backward())


def adapted(cls: type, base: type[T], kind: str) -> type[T]:
    """A subclass of `base` around the plain class; ConfigError where it lacks a method."""
    for method in ("forward", "backward"):
        if not callable(getattr(cls, method, None)):
            raise ConfigError(f"class {quote(cls.__name__)} cannot be a {kind}: it has no method {method}")
    kept = {name: getattr(cls, name) for name in ("examples", "task") if hasattr(cls, name)}
    about = {"__doc__": cls.__doc__ or "(no description)", "__module__": cls.__module__}
    return type(cls.__name__, (base,), {"wraps": cls, **about, **kept})
