"""The loss contract: a scalar from predictions and targets, and its gradient."""

from __future__ import annotations

import functools
from collections.abc import Callable
from dataclasses import dataclass
from typing import Annotated, Any, ClassVar, Literal

import numpy as np

from dlcli.core.arena import Array, Scratch
from dlcli.core.component import Checked
from dlcli.core.errors import ShapeError
from dlcli.core.options import Example
from dlcli.core.registry import Registry

Reduction = Annotated[Literal["mean", "sum"], "of the losses of a batch; the mean is as large for any batch size"]

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
    one_hot: ClassVar[bool] = False
    """Whether a loss on values takes class indices too, as rows with 1 at the class and 0 elsewhere."""
    binary: ClassVar[bool] = False
    """Whether a single output, for the second class, does for two classes."""
    outputs: ClassVar[str | None] = None
    """What y_pred has to be: `logits`, `probabilities` or `log-probabilities`; None for any numbers."""
    complex_step: ClassVar[bool] = False
    """Whether forward and backward stay analytic, or branch on the real part, when y_pred is complex."""

    reduction = "mean"
    """An option of losses that can also give the `sum`; here the one choice of those that cannot."""
    of_classes = False
    """Whether the targets of the last `forward` were class indices, for `logits`. To be set where there are none."""

    _ready = False
    """Outside a network: whether the last `forward` came to its end."""

    def __init_subclass__(cls, **kwargs: Any) -> None:
        super().__init_subclass__(**kwargs)
        for method, guard in (("forward", _forward), ("backward", _backward)):
            if method in vars(cls):
                setattr(cls, method, guard(vars(cls)[method]))

    def check(self, out_shape: tuple[int, ...], classes: int | None, target_shape: tuple[int, ...]) -> None:
        """Raise ShapeError, with both numbers, where predictions of `out_shape` do not fit the targets."""
        wanted = [target_shape if classes is None else (classes,)]
        if classes == 2 and self.binary:
            wanted.append((1,))
        if out_shape not in wanted:
            what = f"{classes} classes" if classes is not None else f"targets of shape {target_shape}"
            either, sizes = (" or ".join(str(w) for w in some) for some in (wanted, [w[0] if w else 1 for w in wanted]))
            raise ShapeError(
                f"got outputs of shape {out_shape} from the last layer, expected {either} for {what}; "
                f"end the stack with Linear: {{out_features: {sizes}}}"
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
        """Scores (N, K) whose softmax are the probabilities of the classes: what metrics and predictions go by.

        Where the targets are values, what the outputs say of them in their own units: here the outputs as they are.
        """
        return outputs

    def count(self, y_true: Array) -> float:
        """What a batch counts in a mean over several: its samples, unless classes have weights."""
        return len(y_true)

    def sums(self, value: float, y_true: Array) -> tuple[float, float]:
        """(sum, count) of a batch whose loss is `value`: over many batches, the loss is total sum over total count."""
        count = self.count(y_true)
        return (value if self.reduction == "sum" else value * count), count

    def draw(self, rng: np.random.Generator, shape: tuple[int, ...]) -> tuple[Array, Array]:
        """Random y_pred of that shape (N, ...), and y_true of the loss's task: what a check of its gradient takes."""
        y_pred = 2 * rng.normal(size=shape)
        of_classes = self.task == "classification"
        return y_pred, rng.integers(shape[1], size=len(y_pred)) if of_classes else rng.normal(size=shape)

    def divisor(self, count: float) -> float:
        """What the sum of `count` losses is divided by; 1 where all weights are 0, so that 0 / 0 is 0."""
        return 1 if self.reduction == "sum" else count or 1

    def paired(self, y_pred: Any, y_true: Any) -> tuple[Array, Array]:
        """Both as arrays of numbers of one shape, class indices as one-hot rows where the loss takes them; ShapeError.

        A single output for two classes gets 0 or 1.
        """
        y_pred, y_true = self._numbers(y_pred), np.asarray(y_true)
        self.of_classes = (
            (self.one_hot and y_true.ndim == 1 and y_true.dtype.kind in "iu")
            and y_pred.ndim == 2
            and (y_pred.shape[1] > 1 or self.binary)
        )
        if self.of_classes:
            y_true = self._one_hot(*self.labelled(y_pred, y_true))
        if y_pred.shape != y_true.shape:
            raise ShapeError(
                f"{type(self).__name__}: got y_pred of shape {y_pred.shape} and y_true of shape "
                f"{y_true.shape}, expected the same; reshape one, for example y_true[:, None]"
            )
        return y_pred, y_true.astype(y_pred.real.dtype, copy=False)

    def labelled(self, y_pred: Any, y_true: Any) -> tuple[Array, Array]:
        """Scores (N, K) and class indices (N,) as arrays; ShapeError where they are none or do not fit."""
        if self.scratch is not None:  # inside a network: the targets were checked when they were read
            return y_pred, y_true
        scores, targets = self._numbers(y_pred), np.asarray(y_true)
        got = f"{type(self).__name__}: got"
        shapes = f"{got} logits of shape {scores.shape} and targets of shape {targets.shape}"
        if scores.ndim < targets.ndim:
            raise ShapeError(f"{shapes}, expected (N, K) and (N,); swap the arguments")
        if scores.ndim != 2 or targets.shape != scores.shape[:1]:
            raise ShapeError(f"{shapes}, expected (N, K) and class indices (N,)")
        if targets.dtype.kind not in "iu":
            raise ShapeError(f"{got} targets of type {targets.dtype}, expected integers, a class each")
        top = max(scores.shape[1] - 1, int(self.binary))
        if not (targets.min() >= 0 and targets.max() <= top):
            raise ShapeError(
                f"{got} classes {targets.min()} to {targets.max()}, expected 0 to {top} for {scores.shape[1]} logits"
            )
        return scores, targets

    def _numbers(self, y_pred: Any) -> Array:
        y_pred = np.asarray(y_pred)
        if y_pred.dtype.kind not in "fc":
            y_pred = y_pred.astype(np.float64)
        self.dtype = y_pred.dtype
        return y_pred

    def _one_hot(self, y_pred: Array, targets: Array) -> Array:
        if y_pred.shape[1] == 1:
            return targets[:, None]
        rows = self.buffer("one_hot", y_pred.shape, y_pred.real.dtype)
        rows[...] = 0
        rows[np.arange(len(rows)), targets] = 1
        return rows


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
