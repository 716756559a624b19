"""A network: a stack of layers over one arena, with its random draws and named parameters."""

from __future__ import annotations

import copy
import math
from collections.abc import Iterator, Sequence
from typing import Any, Self

import numpy as np

from dlcli.core.arena import Arena, Array, Views
from dlcli.core.errors import ConfigError, ShapeError, quote
from dlcli.core.options import Count
from dlcli.core.rng import Draws, Seed
from dlcli.core.values import checked
from dlcli.core.workers import Workers
from dlcli.nn.layer import Layer, Shape
from dlcli.nn.layers.sequential import Part, Sequential

DEEPEST = 50
"""The most parts of a layer's name; `3.body.0` has three."""


def walk(layer: Layer, prefix: str = "") -> Iterator[tuple[str, Layer]]:
    """Every layer below `layer` with the name it has in checkpoints (`0`, `3.body.0`), parents first.

    Raises ConfigError where layers stand deeper inside each other than `DEEPEST`.
    """
    if prefix.count(".") > DEEPEST:
        raise ConfigError(f"layer {quote(prefix)}: more than {DEEPEST} levels inside each other; put less into it")
    for part, child in layer.children().items():
        yield prefix + part, child
        yield from walk(child, f"{prefix}{part}.")


class Network:
    """The stack `layers` for samples of `in_shape` (no batch axis): shapes first, then memory, then values.

    `dtype` is float32 for training, float64 or complex128 for gradient checks. The first values of parameter p of
    layer i are a function of (seed, i, p). Raises ShapeError, naming the layer, where the shapes do not chain, and
    ConfigError for other wrong arguments and where one layer object stands at two places.

    `copy.deepcopy` and `pickle` give a network with parameters of its own.
    """

    def __init__(self, layers: Sequence[Layer], in_shape: Shape, *, dtype: Any = np.float32, seed: int = 0) -> None:
        if not isinstance(layers, Sequence):
            raise ConfigError(f"Network: got layers = {quote(layers)}, expected a list of layers")
        for i, layer in enumerate(layers):
            if not isinstance(layer, Layer):
                raise ConfigError(
                    f"layer {i}: got {quote(layer)}, expected an object of a class derived from Layer; a plain class "
                    'becomes one by @layers.register and layers.get("NAME")'
                )
        self.in_shape: Shape = checked(
            "Network", "in_shape", tuple[Count, ...], in_shape, "; write (2,) for 2 features"
        )
        self.seed: int = checked("Network", "seed", Seed, seed)
        if np.dtype(dtype).kind not in "fc":
            raise ConfigError(f"Network: got dtype = {np.dtype(dtype)}, expected float32 or float64")
        self._rows: int | None = None  # of the last batch
        self.workers = Workers()
        self.root = Sequential(layers=list(layers))
        self.root.needs_input_grad = False
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
        self._bind(self._allocated(dtype))
        for i, (_, layer) in enumerate(walk(self.root)):
            layer.reset(self.seed, "init", i)

    def _allocated(self, dtype: Any) -> Arena:
        return Arena(self.root.parameters(""), dtype)

    def _bind(self, arena: Arena, step: int = 0) -> None:
        """Tie every layer to its parameters in the arena, with fresh buffers and the random draws of that step."""
        named, dtype = list(walk(self.root)), arena.dtype
        self.arena, self.draws = arena, Draws(self.seed, step)
        self.root.bind(Views(), Views(), dtype, self.draws, -1)
        for i, (name, layer) in enumerate(named):
            params, grads = (
                Views({s.name: views[f"{name}.{s.name}"] for s in layer.specs})
                for views in (self.arena.params, self.arena.gradients)
            )
            layer.bind(params, grads, dtype, self.draws, i)
        moving = {p.name for p in arena.parameters if p.trainable}
        self.trained = {n: layer for n, layer in named if any(f"{n}.{s.name}" in moving for s in layer.specs)}
        """The layers by name whose own parameters an optimizer changes."""
        self.use(self.workers)

    def use(self, workers: Workers) -> None:
        """Run the lanes of a batch on these threads; copies of the network do not."""
        self.workers = workers
        for _, layer in walk(self.root):
            layer.workers = workers

    @property
    def layers(self) -> list[Layer]:
        """The layers of the stack, from the input to the output."""
        return self.root.layers

    @property
    def dtype(self) -> np.dtype[Any]:
        """The type of the parameters, and of everything that is computed."""
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
        """The outputs (N, *out_shape) of a batch x (N, *in_shape); the array is reused at the next call.

        x may have any real type and is taken in the network's. Raises ShapeError where it does not fit or is empty, and
        ConfigError where the layers have gone into another network.
        """
        x = np.asarray(x)
        if x.shape[1:] != self.in_shape or not x.size:
            wanted = ", ".join(map(str, ("N", *self.in_shape)))
            raise ShapeError(f"network: got x of shape {x.shape}, expected a batch ({wanted}) with N >= 1")
        if x.dtype != self.arena.dtype:
            if not np.can_cast(x.dtype, self.arena.dtype, "same_kind"):
                raise ShapeError(f"network: got x of type {x.dtype}, expected numbers that fit {self.arena.dtype}")
            x = x.astype(self.arena.dtype)
        for layer in self.layers:
            if layer.draws is not self.draws:
                raise ConfigError("network: another network was made of its layers since; make new layers for each")
        self._rows = len(x)
        return self.root.forward(x, training)

    def backward(self, dy: Array) -> Array | None:
        """Set every gradient from dy (N, *out_shape), which is overwritten; dx where `needs_input_grad` asks for it.

        Raises RuntimeError before any `forward`, and ShapeError where dy is not shaped like its outputs.
        """
        if self._rows is None:
            raise RuntimeError("network: backward before forward; call forward(x) first")
        dy, wanted = np.asarray(dy), (self._rows, *self.out_shape)
        if dy.shape != wanted:
            raise ShapeError(f"network: got dy of shape {dy.shape}, expected {wanted}, as the outputs")
        return self.root.backward(dy)

    def constrain(self) -> None:
        """Project the trained parameters that have a constraint; due after every step of the optimizer."""
        for layer in self.trained.values():
            layer.constrain()

    def cast(self, dtype: Any, *, needs_input_grad: bool = False) -> Self:
        """A network of another dtype with memory of its own and the same values and state."""
        twin = copy.deepcopy(self)
        twin.root.needs_input_grad, twin._rows = needs_input_grad, None
        twin.root.setup(twin.in_shape)
        twin._bind(twin._allocated(dtype))
        twin.arena.values[:] = self.arena.values
        twin.state.update(self.state)
        return twin

    def replica(self) -> Self:
        """A network that shares parameters and state but has buffers of its own, for another thread."""
        return copy.copy(self)

    def __getstate__(self) -> dict[str, Any]:
        """The arena, and copies of the layers without their memory, which are tied to the arena again from there.

        `copy.copy` makes a network of it that shares arena and state; `copy.deepcopy` and `pickle` copy these first.
        """
        memo: dict[int, Any] = {}
        for _, layer in [("", self.root), *walk(self.root)]:
            memo |= {id(layer.params): Views(), id(layer.grads): Views(), id(layer.scratch): None}
            memo[id(layer.state)] = layer.state
        return vars(self) | {"root": copy.deepcopy(self.root, memo), "workers": Workers(), "trained": {}}

    def __setstate__(self, state: dict[str, Any]) -> None:
        vars(self).update(state)
        self._bind(self.arena, self.draws.step)

    def __repr__(self) -> str:
        return f"{type(self).__name__} {self._table()}"

    def _table(self) -> str:
        """What it holds: a line in all, and one for each layer with its shapes and the number of its parameters."""
        rows = []
        for name, layer in walk(self.root):
            if isinstance(layer, Part):  # a mere list in what the container was made of
                continue
            text = type(layer).__name__ if layer.children() else repr(layer)
            count = sum(math.prod(spec.shape) for spec in layer.specs)
            rows.append((name, text, f"{layer.in_shape} -> {layer.out_shape}", f"{count:,} parameters" * bool(count)))
        widths = [max(map(len, column)) for column in zip(*rows, strict=True)]
        lines = ["  ".join(cell.ljust(width) for cell, width in zip(row, widths, strict=True)) for row in rows]
        head = f"{self.in_shape} -> {self.out_shape}, {self.arena.values.size:,} parameters, {self.dtype}"
        return "\n  ".join([head, *map(str.rstrip, lines)])
