"""The loss contract: a scalar from predictions and targets, and its gradient."""

from __future__ import annotations

import functools
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, ClassVar

import numpy as np

from dlcli.core.arena import Array, Scratch
from dlcli.core.component import Checked
from dlcli.core.errors import ShapeError
from dlcli.core.options import Example
from dlcli.core.registry import Registry

losses: Registry[Loss] = Registry("loss", "losses", adapt=lambda cls: plain_loss(cls))


def plain_loss(cls: type) -> type[Loss]:
    """A loss made of a user's plain class."""
    from dlcli.nn.plain import PlainLoss, adapted

    return adapted(cls, PlainLoss, "loss")


@dataclass(kw_only=True, eq=False)
class Loss(Scratch, metaclass=Checked):
    """L = mean over the batch of a loss of (y_pred, y_true); `backward` gives dL/dy_pred for the last `forward`.

    Outside a network it takes lists and integers too, checks the shapes, refuses an empty batch (ShapeError) and a
    `backward` without a `forward` (RuntimeError), and returns fresh arrays.
    """

    examples: ClassVar[tuple[Example, ...]] = ()
    """Options with the shape of one prediction."""
    task: ClassVar[str | None] = None
    """`classification` (targets are class indices (N,)), `regression` (values shaped like y_pred), or None for both."""
    complex_step: ClassVar[bool] = False
    """Whether forward and backward stay analytic, or branch on the real part, when y_pred is complex."""

    _ready = False
    """Outside a network: whether the last `forward` came to its end."""

    def __init_subclass__(cls, **kwargs: Any) -> None:
        super().__init_subclass__(**kwargs)
        for method, guard in (("forward", _forward), ("backward", _backward)):
            if method in vars(cls):
                setattr(cls, method, guard(vars(cls)[method]))

    def check(self, out_shape: tuple[int, ...], classes: int | None, target_shape: tuple[int, ...]) -> None:
        """Raise ShapeError, with both numbers, where predictions of `out_shape` do not fit the targets."""
        wanted = target_shape if classes is None else (classes,)
        if out_shape != wanted:
            what = f"{classes} classes" if classes is not None else f"targets of shape {target_shape}"
            raise ShapeError(
                f"got outputs of shape {out_shape} from the last layer, expected {wanted} for {what}; "
                f"end the stack with Linear: {{out_features: {wanted[0] if wanted else 1}}}"
            )

    def forward(self, y_pred: Array, y_true: Array) -> Any:
        """The loss of a batch, a float (complex where y_pred is complex)."""
        raise NotImplementedError

    def backward(self) -> Array:
        """dL/dy_pred, shaped like y_pred, for the last `forward`."""
        raise NotImplementedError

    def branch(self) -> Array | None:
        """The branch that the last forward took at every element; None for a loss without kinks."""
        return None

    def logits(self, outputs: Array) -> Array:
        """Scores (N, K) whose softmax are the probabilities of the classes: what metrics and predictions go by."""
        return outputs

    def paired(self, y_pred: Any, y_true: Any) -> tuple[Array, Array]:
        """Both as arrays of numbers of one shape; ShapeError where the shapes differ."""
        y_pred, y_true = np.asarray(y_pred), np.asarray(y_true)
        if y_pred.shape != y_true.shape:
            raise ShapeError(
                f"{type(self).__name__}: got y_pred of shape {y_pred.shape} and y_true of shape "
                f"{y_true.shape}, expected the same; reshape one, for example y_true[:, None]"
            )
        if y_pred.dtype.kind not in "fc":
            y_pred = y_pred.astype(np.float64)
        self.dtype = y_pred.dtype
        return y_pred, y_true


def _forward(inner: Callable[..., Any]) -> Callable[..., Any]:
    @functools.wraps(inner)
    def forward(self: Loss, y_pred: Array, y_true: Array) -> Any:
        if self.scratch is not None:  # inside a network: batches and targets were checked when they were read
            return inner(self, y_pred, y_true)
        if not np.size(y_pred):
            got = f"{type(self).__name__}: got y_pred of shape {np.shape(y_pred)}"
            raise ShapeError(f"{got}, an empty batch, expected (N, ...) with N >= 1")
        self._ready = False
        value = inner(self, y_pred, y_true)
        self._ready = True
        return value

    return forward


def _backward(inner: Callable[..., Array]) -> Callable[..., Array]:
    @functools.wraps(inner)
    def backward(self: Loss) -> Array:
        if self.scratch is None and not self._ready:
            raise RuntimeError(f"{type(self).__name__}: backward before forward; call forward(y_pred, y_true) first")
        return inner(self)

    return backward


losses.base = Loss


def scalar(value: Any) -> Any:
    """A NumPy scalar as a Python number, complex where it is."""
    return complex(value) if np.iscomplexobj(value) else float(value)
