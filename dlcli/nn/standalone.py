"""Layers outside a network: every `setup`, `forward` and `backward` is wrapped once, so that a layer works alone too.

Inside a network the wrappers add one test of a flag. A layer's own file knows nothing of them.
"""

from __future__ import annotations

import functools
import inspect
import itertools
import os
import sys
from collections.abc import Callable, Iterator
from typing import TYPE_CHECKING, Any

import numpy as np

from dlcli.core.arena import Array, Views
from dlcli.core.errors import ConfigError, ShapeError, quote, suggest
from dlcli.core.rng import Draws, Seed, stream
from dlcli.core.values import checked
from dlcli.nn.initializers import as_mapping

if TYPE_CHECKING:
    from dlcli.nn.layer import Layer, Shape

_made = itertools.count()
_seed = int.from_bytes(os.urandom(8), sys.byteorder)


def manual_seed(seed: int) -> None:
    """Make layers and models that are set up outside a config from here on draw the same values in every process.

    Raises ConfigError where the seed is no whole number from 0 to 2**64 - 1.
    """
    global _made, _seed
    _made, _seed = itertools.count(), checked("manual_seed", "seed", Seed, seed)


def next_seed() -> int:
    """A seed for something that draws values outside a config: another one at every call, repeated by `manual_seed`."""
    return int(stream(_seed, "standalone", next(_made)).integers(1 << 63))


def guard(cls: type[Layer]) -> None:
    """Wrap the methods that a layer's class body defines."""
    for method, wrap in (("setup", _setup), ("forward", _forward), ("backward", _backward)):
        if method in vars(cls):
            setattr(cls, method, wrap(vars(cls)[method]))


def _setup(inner: Callable[..., Shape]) -> Callable[..., Shape]:
    @functools.wraps(inner)
    def setup(self: Layer, in_shape: Shape) -> Shape:
        self.specs, self.state = [], Views()
        out_shape = tuple(inner(self, tuple(in_shape)))
        if not all(isinstance(size, (int, np.integer)) for size in out_shape):
            raise ShapeError(f"{type(self).__name__}: setup gave shape {out_shape}, expected whole numbers; use //")
        if min(out_shape, default=1) < 1:
            raise ShapeError(f"{type(self).__name__}: setup gave shape {out_shape} for {in_shape}, expected sizes >= 1")
        self.out_shape = out_shape
        self.in_shape = tuple(in_shape)
        declared = [s.name for s in self.specs]
        for option, what in (("init", "an initializer"), ("constraint", "a constraint")):
            for name in as_mapping(getattr(self, option)):
                if name not in declared:
                    has = suggest(name, declared) if declared else f"{type(self).__name__} has no parameter"
                    raise ConfigError(f"{option}: got {what} for {quote(name)}; {has}")
        return self.out_shape

    return setup


def _forward(inner: Callable[..., Array]) -> Callable[..., Array]:
    told = "training" in inspect.signature(inner).parameters

    @functools.wraps(inner)
    def forward(self: Layer, x: Array, training: bool = False) -> Array:
        alone = self.scratch is None
        if alone:
            x = _prepared(self, x, training)
            self.rows = len(x)
        y = inner(self, x, training) if told else inner(self, x)
        return np.array(y) if alone else y  # a copy: the layer may keep its own y for backward

    return forward


def _backward(inner: Callable[..., Array | None]) -> Callable[..., Array | None]:
    @functools.wraps(inner)
    def backward(self: Layer, dy: Array) -> Array | None:
        if self.scratch is None:
            if self.rows is None:
                raise RuntimeError(f"{type(self).__name__}: backward before forward; call forward(x) first")
            dy = np.array(dy, dtype=np.result_type(np.asarray(dy).dtype, np.float64))
            wanted = (self.rows, *self.out_shape)
            if dy.shape != wanted:
                raise ShapeError(f"{type(self).__name__}: got dy of shape {dy.shape}, expected {wanted}, as y")
        return inner(self, dy)

    return backward


def _moved(layer: Layer, shape: Shape) -> None:
    """Set a layer up for batches of another shape with its parameters and state; as it was where it cannot take it."""
    inside, known = list(_inside(layer)), layer.in_shape
    before, states = _declared(inside), [part.state for part in inside]
    try:
        layer.setup(shape[1:])
        if before != _declared(inside):
            name = type(layer).__name__
            raise ShapeError(f"{name}: got x of shape {shape}, which needs other parameters; make a new layer")
    except Exception:
        layer.setup(known)
        raise
    finally:
        for part, state in zip(inside, states, strict=True):
            part.state = state


def _inside(layer: Layer) -> Iterator[Layer]:
    """A layer and all below it."""
    yield layer
    for child in layer.children().values():
        yield from _inside(child)


def _declared(layers: list[Layer]) -> list[tuple[str, Shape]]:
    """The names and shapes of the parameters of layers."""
    return [s[:2] for layer in layers for s in layer.specs]


def _prepared(layer: Layer, x: Any, training: bool) -> Array:
    """x as a copy in float64 at least, and the layer ready for its shape: parameters at the first call."""
    x = np.asarray(x)
    name = type(layer).__name__
    if x.ndim < 2 or not x.size:
        raise ShapeError(f"{name}: got x of shape {x.shape}, expected a batch (N, ...) with N >= 1")
    if x.dtype.kind not in "buifc":
        raise ShapeError(f"{name}: got x of type {x.dtype}, expected numbers")
    x = x.astype(np.result_type(x.dtype, np.float64))
    layer.dtype = x.dtype
    if layer.rows is None:
        layer.setup(x.shape[1:])
        layer.params = Views({s.name: np.zeros(s.shape) for s in layer.specs})
        layer.grads = Views({s.name: np.zeros(s.shape) for s in layer.specs})
        layer.draws, layer.index = Draws(_seed), next(_made)
        layer.reset(_seed, "standalone", layer.index)
    elif layer.in_shape != x.shape[1:]:
        _moved(layer, x.shape)
    if training:
        layer.draws.step += 1
    return x
