"""A network: a stack of layers over one arena, with its random draws and named parameters."""

from __future__ import annotations

import copy
from collections.abc import Iterator, Sequence
from typing import Any, Self

import numpy as np

from dlcli.core.arena import Arena, Array, Views
from dlcli.core.errors import ConfigError, ShapeError, quote
from dlcli.nn.layer import Draws, Layer, Shape
from dlcli.nn.layers.sequential import Sequential


def walk(layer: Layer, prefix: str = "") -> Iterator[tuple[str, Layer]]:
    """Every layer below `layer` with the name it has in checkpoints (`0`, `3.body.0`), parents first."""
    for part, child in layer.children().items():
        yield prefix + part, child
        yield from walk(child, f"{prefix}{part}.")


class Network:
    """The stack `layers` for samples of `in_shape` (no batch axis): shapes first, then memory, then values.

    `dtype` is float32 for training, float64 or complex128 for gradient checks. The first values of parameter p of
    layer i are a function of (seed, i, p). Raises ShapeError, naming the layer, where the shapes do not chain, and
    ConfigError where one layer object stands at two places.
    """

    def __init__(self, layers: Sequence[Layer], in_shape: Shape, *, dtype: Any = np.float32, seed: int = 0) -> None:
        for i, layer in enumerate(layers):
            if not isinstance(layer, Layer):
                raise ConfigError(
                    f"layer {i}: got {quote(layer)}, expected an object of a class derived from Layer; a plain class "
                    'becomes one by @layers.register and layers.get("NAME")'
                )
        self.root = Sequential(layers=list(layers))
        self.root.needs_input_grad = False
        self.in_shape, self.seed = tuple(in_shape), seed
        seen: dict[int, str] = {}
        for name, layer in walk(self.root):
            if id(layer) in seen:
                raise ConfigError(
                    f"layer {name} is the same object as layer {seen[id(layer)]}; make one for each place"
                )
            seen[id(layer)] = name
        try:
            self.out_shape = self.root.setup(self.in_shape)
        except ShapeError as error:
            where = ".".join(map(str, error.path))
            raise ShapeError(f"layer {where} ({type(dict(walk(self.root))[where]).__name__}): {error}") from None
        self._bind(dtype)
        for i, (_, layer) in enumerate(walk(self.root)):
            layer.reset(seed, "init", i)

    def _bind(self, dtype: Any, arena: Arena | None = None) -> None:
        named = list(walk(self.root))
        self.arena = arena or Arena([p for name, layer in named for p in layer.parameters(f"{name}.")], dtype)
        self.draws = Draws(self.seed)
        self.root.bind(Views(), Views(), dtype, self.draws, -1)
        for i, (name, layer) in enumerate(named):
            params, grads = (
                Views({s.name: views[f"{name}.{s.name}"] for s in layer.specs})
                for views in (self.arena.params, self.arena.gradients)
            )
            layer.bind(params, grads, dtype, self.draws, i)

    @property
    def layers(self) -> list[Layer]:
        return self.root.layers

    @property
    def dtype(self) -> np.dtype[Any]:
        return self.arena.dtype

    @property
    def params(self) -> Views:
        """Every parameter by its name in checkpoints, such as `0.weight`."""
        return self.arena.params

    @property
    def grads(self) -> Views:
        """The gradient of every parameter, set by `backward`."""
        return self.arena.gradients

    @property
    def state(self) -> Views:
        """Arrays that are saved but not trained, by name."""
        return Views({f"{n}.{key}": a for n, layer in walk(self.root) for key, a in layer.state.items()})

    def forward(self, x: Array, training: bool = False) -> Array:
        """The outputs (N, *out_shape) of a batch x (N, *in_shape); the array is reused at the next call."""
        if np.shape(x)[1:] != self.in_shape:
            wanted = ", ".join(map(str, ("N", *self.in_shape)))
            raise ShapeError(f"network: got x of shape {np.shape(x)}, expected a batch ({wanted})")
        return self.root.forward(x, training)

    def backward(self, dy: Array) -> Array | None:
        """Set every gradient from dy (N, *out_shape), which is overwritten; dx where `needs_input_grad` asks for it."""
        return self.root.backward(dy)

    def cast(self, dtype: Any, *, needs_input_grad: bool = False) -> Self:
        """A network of another dtype with memory of its own and the same values."""
        twin = self._clone()
        twin.root.needs_input_grad = needs_input_grad
        twin.root.setup(twin.in_shape)
        twin._bind(dtype)
        twin.arena.values[:] = self.arena.values
        return twin

    def replica(self) -> Self:
        """A network that shares the parameters but has buffers of its own, for another thread."""
        twin = self._clone()
        twin._bind(self.dtype, self.arena)
        return twin

    def _clone(self) -> Self:
        """This network with copies of the layers, whose memory is still to be bound."""
        memo: dict[int, Any] = {}
        for _, layer in [("", self.root), *walk(self.root)]:
            memo |= {id(layer.params): Views(), id(layer.grads): Views(), id(layer.scratch): None}
            memo[id(layer.state)] = Views({name: array.copy() for name, array in layer.state.items()})
        twin = copy.copy(self)
        twin.root = copy.deepcopy(self.root, memo)
        return twin
