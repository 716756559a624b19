"""A layer and a loss seen as one function of their tensors: its value, its analytic gradients, its numeric slopes."""

from __future__ import annotations

import copy
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any, ClassVar

import numpy as np

from dlcli.core.arena import Array
from dlcli.core.errors import escape
from dlcli.nn.layer import Layer
from dlcli.nn.loss import Loss
from dlcli.nn.network import walk

Where = slice | Array
"""Places in a flattened tensor."""


class BrokenError(Exception):
    """A layer or loss that breaks the contract: `what` it was doing, and the reason in a few words."""

    def __init__(self, what: str, reason: str, layer: str | None = None) -> None:
        self.what, self.reason, self.layer = what, reason, layer
        super().__init__(reason)


@dataclass(eq=False)
class Projection(Loss):
    """L = sum of r * y: makes a scalar of a layer's outputs, with r as the gradient that comes from above."""

    complex_step: ClassVar[bool] = True

    def forward(self, y: Array, r: Array) -> Any:
        self.r = r
        return np.sum(r * y)

    def backward(self) -> Array:
        return self.r.copy()


def call(what: str, function: Callable[..., Any], *args: Any) -> Any:
    """`function(*args)`; BrokenError, with the kind and text of the exception, where it raises."""
    try:
        return function(*args)
    except (BrokenError, MemoryError):
        raise
    except Exception as error:
        raise BrokenError(what, f"{what} raised {type(error).__name__}: {escape(str(error))[:160]}") from error


@contextmanager
def calm() -> Iterator[None]:
    """No floating-point warnings (what is not finite is found), and NumPy's global random state put back."""
    before = np.random.get_state()
    try:
        with np.errstate(all="ignore"):
            yield
    finally:
        np.random.set_state(before)


def checked(layer: Layer, run: Callable[..., Any], x: Array, training: bool) -> Array:
    """y = run(x, training), the layer's forward; BrokenError where it raises, errs in shape or type, or writes x."""
    before = x.copy()
    y = call("forward", run, x, training)
    if not isinstance(y, np.ndarray):
        raise BrokenError("forward", f"forward gave {type(y).__name__}, expected an array")
    shape = (len(x), *layer.out_shape)
    if y.shape != shape:
        raise BrokenError("forward", f"forward gave shape {y.shape}, expected {shape}")
    if y.dtype != x.dtype:
        raise BrokenError("forward", f"forward gave {y.dtype} for {x.dtype}; keep the type of x")
    if not np.array_equal(x, before, equal_nan=True):
        raise BrokenError("forward", "forward writes its input x; work on a copy")
    return y


@dataclass(eq=False)
class Probe:
    """L(tensors) = loss(layer(x), target), with everything else held fixed.

    The layer is bound to memory of its own, of the dtype of x. `params` names the parameters that are checked. The
    stochastic layers draw the same at every call, because their step stands still; NumPy's global random numbers are
    put back before every forward pass, arrays in `state` after it.
    """

    layer: Layer
    loss: Loss
    x: Array
    target: Any
    params: dict[str, tuple[Array, Array]]
    """Name: (values, gradient), both the layer's own arrays."""
    training: bool = True
    tensors: dict[str, Array] = field(init=False)
    """What can be moved: the parameters and `input`."""

    def __post_init__(self) -> None:
        self.x = np.array(self.x)
        self.tensors = {name: values for name, (values, _) in self.params.items()} | {"input": self.x}
        self.loss = copy.deepcopy(self.loss)
        self.loss.scratch = None
        self._inside = [self.layer, *(inner for _, inner in walk(self.layer))]
        self._state = [(array, array.copy()) for inner in self._inside for array in inner.state.values()]
        self._random = np.random.get_state()

    def output(self) -> Array:
        """y = layer(x)."""
        np.random.set_state(self._random)
        try:
            return checked(self.layer, self.layer.forward, self.x, self.training)
        finally:
            for array, kept in self._state:
                np.copyto(array, kept)

    def value(self) -> Any:
        """L, a float; complex where the tensors are."""
        value = call("loss", self.loss.forward, self.output(), self.target)
        kinds = (float, complex) if self.x.dtype.kind == "c" else float
        if not isinstance(value, kinds):  # NumPy's float64 and complex128 are such
            got = f"shape {np.shape(value)}" if np.shape(value) else type(value).__name__
            raise BrokenError("loss", f"the loss gave {got}, expected a number")
        return value

    def branches(self) -> list[Array]:
        """The branches that the last forward took, copied."""
        found = [*(layer.branch() for layer in self._inside), self.loss.branch()]
        return [np.array(branch) for branch in found if branch is not None]

    def entries(self, name: str, where: Where) -> Array:
        """A copy of a part of one tensor."""
        return np.array(self.tensors[name].flat[where])

    def moved(self, name: str, where: Where, step: Array) -> Any:
        """L with `step` added to a part of one tensor."""
        tensor, before = self.tensors[name], self.entries(name, where)
        tensor.flat[where] = before + step
        try:
            return self.value()
        finally:
            tensor.flat[where] = before

    def gradients(self) -> dict[str, Array]:
        """dL/dtensor of every tensor by backward; BrokenError where they are incomplete or differ at a second run."""
        first, second = self._backward(), self._backward()
        for name, gradient in first.items():
            if not np.isfinite(gradient + second[name]).all():
                where = "returns a dx" if name == "input" else f"leaves a gradient of {name}"
                raise BrokenError(name, f"backward {where} that is not finite; set it (do not add to it)")
            if not np.array_equal(gradient, second[name]):
                raise BrokenError(
                    name,
                    "a second run gives another gradient; draw random numbers from self.rng(), and write neither x nor "
                    "parameters",
                )
        if not self.layer.children():
            self._without_dx(first)
        return first

    def _without_dx(self, expected: dict[str, Array]) -> None:
        """BrokenError where a layer that may leave dx out, as the first one, gives other gradients."""
        self.layer.needs_input_grad = False
        try:
            self._passed()
        finally:
            self.layer.needs_input_grad = True
        for name, (_, gradient) in self.params.items():
            if not np.allclose(gradient, expected[name], rtol=1e-9, atol=1e-12 * np.abs(expected[name]).max(initial=0)):
                raise BrokenError(name, "without needs_input_grad backward gives another gradient")

    def _passed(self) -> Any:
        """dx after one pass forward and backward, before which what is left from earlier ones is spoilt."""
        for _, gradient in self.params.values():
            gradient.fill(np.nan)
        for kept in (array for inner in self._inside for array in (inner.scratch or {}).values()):
            if kept.dtype.kind in "fc":
                kept.fill(np.nan)
        values = {name: tensor.copy() for name, tensor in self.tensors.items()}
        y = self.output()
        call("loss", self.loss.forward, y, self.target)
        dy = call("backward", self.loss.backward)
        if np.shape(dy) != y.shape:
            raise BrokenError("backward", f"backward of the loss gave shape {np.shape(dy)}, expected {y.shape}")
        dx = call("backward", self.layer.backward, np.array(dy, self.x.dtype))
        for name, before in values.items():
            if not np.array_equal(self.tensors[name], before, equal_nan=True):
                raise BrokenError(name, f"forward and backward change {name}; leave it as it is")
        return dx

    def _backward(self) -> dict[str, Array]:
        dx = self._passed()
        if dx is None or np.shape(dx) != self.x.shape:
            got = "nothing" if dx is None else f"shape {np.shape(dx)}"
            raise BrokenError("input", f"backward gave {got}, expected dx of shape {self.x.shape}")
        if np.asarray(dx).dtype != self.x.dtype:
            raise BrokenError("input", f"backward gave {np.asarray(dx).dtype} for {self.x.dtype}; keep the type of dy")
        return {name: gradient.copy() for name, (_, gradient) in self.params.items()} | {"input": np.array(dx)}
