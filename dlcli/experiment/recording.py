"""One batch forward and backward through a network and its loss, with all that passes by taken down."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import asdict, dataclass
from typing import Any

import numpy as np

from dlcli.core.arena import Array
from dlcli.core.errors import ConfigError, quote
from dlcli.experiment import formulas
from dlcli.experiment.statistics import Statistics
from dlcli.nn.layer import Layer
from dlcli.nn.layers.sequential import Part
from dlcli.nn.loss import Loss
from dlcli.nn.network import Network
from dlcli.training import journal

Pair = tuple[Array, Array]

LABELS = 20
"""Class indices that are kept in any case, at most: their statistics say nothing."""


@dataclass(frozen=True)
class Passage:
    """What one layer, or the loss, does in one direction."""

    name: str
    """As in checkpoints, such as `3.body.0`, or `loss`."""
    layer: str
    depth: int
    """How many containers it stands in."""
    options: dict[str, Any]
    formula: str
    shapes: str
    arrays: dict[str, Statistics]

    def document(self) -> dict[str, Any]:
        """As JSON has it."""
        return asdict(self) | {"arrays": {name: found._asdict() for name, found in self.arrays.items()}}


@dataclass(frozen=True)
class Trace:
    """One batch forward and backward, layer by layer in the order of the computation."""

    samples: int
    dtype: str
    forward: list[Passage]
    loss: Passage
    value: float
    backward: list[Passage]
    """The loss first, then from the last layer to the first that learns."""

    @property
    def unreached(self) -> list[Passage]:
        """Layers that no gradient comes to, as nothing up to them learns."""
        reached = {passage.name for passage in self.backward}
        return [passage for passage in self.forward if passage.name not in reached]

    def only(self, layer: str) -> Trace:
        """The passages of one layer and those inside it."""

        def chosen(passages: Sequence[Passage]) -> list[Passage]:
            return [p for p in passages if p.name == layer or p.name.startswith(f"{layer}.")]

        return Trace(self.samples, self.dtype, chosen(self.forward), self.loss, self.value, chosen(self.backward))

    def document(self) -> dict[str, Any]:
        """The JSON of `trace --json`; what is not finite is null."""
        found = {
            "samples": self.samples,
            "dtype": self.dtype,
            "forward": [passage.document() for passage in self.forward],
            "loss": {**self.loss.document(), "value": self.value},
            "backward": [passage.document() for passage in self.backward],
        }
        return {key: journal.finite(value, key, {}) for key, value in found.items()}


@dataclass
class Recorder:
    """Takes down what passes through the layers of a network while `recording`, each array when it is complete."""

    network: Network
    most: float
    """Numbers that are kept of an array, at most."""

    def __post_init__(self) -> None:
        self.forward: list[Passage] = []
        self.backward: list[Passage] = []

    @contextmanager
    def recording(self) -> Iterator[None]:
        """Inside, every layer tells what it does; layers overwrite dy and reuse their buffers, so at once."""
        told = list(self._layers(self.network.root, "", 0))
        for name, layer, depth in told:
            vars(layer).update(forward=self._forward(name, layer, depth), backward=self._backward(name, layer, depth))
        try:
            yield
        finally:
            for _, layer, _ in told:
                del vars(layer)["forward"], vars(layer)["backward"]

    def _layers(self, container: Layer, prefix: str, depth: int) -> Iterator[tuple[str, Layer, int]]:
        for part, layer in container.children().items():
            listed = isinstance(layer, Part)  # which the config writes as a mere list
            if not listed:
                yield prefix + part, layer, depth
            yield from self._layers(layer, f"{prefix}{part}.", depth + (not listed))

    def _forward(self, name: str, layer: Layer, depth: int) -> Callable[[Array, bool], Array]:
        run = layer.forward

        def recorded(x: Array, training: bool) -> Array:
            at = len(self.forward)
            arrays = {"x": self._seen(x), **{key: self._seen(a) for key, a in layer.params.items()}}
            y = _shaped(f"layer {name} ({type(layer).__name__}): forward", run(x, training), (len(x), *layer.out_shape))
            arrays["y"] = self._seen(y)
            self.forward.insert(at, self._passage(name, layer, depth, arrays, forward=True))
            return y

        return recorded

    def _backward(self, name: str, layer: Layer, depth: int) -> Callable[[Array], Array | None]:
        run = layer.backward

        def recorded(dy: Array) -> Array | None:
            at = len(self.backward)
            arrays, rows = {"dy": self._seen(dy)}, len(dy)
            dx = run(dy)
            arrays |= {f"d{key}": self._seen(a) for key, a in layer.grads.items()}
            if dx is not None:
                dx = _shaped(f"layer {name} ({type(layer).__name__}): backward", dx, (rows, *layer.in_shape))
                arrays["dx"] = self._seen(dx)
            self.backward.insert(at, self._passage(name, layer, depth, arrays, forward=False))
            return dx

        return recorded

    def _seen(self, array: Array) -> Statistics:
        return Statistics.of(array, self.most)

    def _passage(self, name: str, layer: Layer, depth: int, arrays: dict[str, Statistics], *, forward: bool) -> Passage:
        rows = arrays["x" if forward else "dy"].shape[:1]
        params = {key: a.shape for key, a in layer.params.items()}
        sizes = {"x": rows + layer.in_shape, **params, "y": rows + layer.out_shape}
        told = formulas.formula(layer, sizes)
        return Passage(
            name,
            type(layer).__name__ + (f" {quote(layer.name)}" if layer.name else ""),
            depth,
            _plain(layer),
            told.forward if forward else told.backward,
            formulas.shapes(sizes, layer) if forward else formulas.shapes({key: a.shape for key, a in arrays.items()}),
            arrays,
        )


@np.errstate(all="ignore")
def record(network: Network, loss: Loss, batch: Pair, most: float = 0) -> Trace:
    """Run a batch forward in training mode, through the loss, and backward.

    Of arrays with at most `most` numbers these are kept; of the others, the statistics.
    """
    (x, y), recorder = batch, Recorder(network, most)
    loss.scratch, loss.dtype = {}, network.dtype
    with recorder.recording():
        outputs = network.forward(x, training=True)
        value = float(loss.forward(outputs, y))
        predicted, target = formulas.sides(loss)
        kept = max(most, LABELS) if y.dtype.kind in "iu" else most
        arrays = {predicted: Statistics.of(outputs, most), target: Statistics.of(y, kept)}
        sizes = {name: a.shape for name, a in arrays.items()}
        told, name, options = formulas.formula(loss, sizes), type(loss).__name__, _plain(loss)
        forward = Passage("loss", name, 0, options, told.forward, formulas.shapes(sizes, loss), arrays)
        dy = _shaped(f"loss {name}: backward", loss.backward(), outputs.shape)
        slope, shapes = {f"d{predicted}": Statistics.of(dy, most)}, formulas.shapes({f"d{predicted}": dy.shape})
        backward = Passage("loss", name, 0, options, told.backward, shapes, slope)
        network.backward(dy)
    return Trace(len(x), str(network.dtype), recorder.forward, forward, value, [backward, *recorder.backward])


def _shaped(what: str, result: Any, shape: tuple[int, ...]) -> Array:
    """What a method gave as an array; ConfigError where it is none of that shape, as a user's may be."""
    array = np.asarray(result)
    if array.dtype.kind not in "fiub" or array.shape != shape:
        got = "nothing" if array.dtype.kind == "O" else f"{array.dtype} of shape {array.shape}"
        raise ConfigError(f"{what} gave {got}, expected numbers of shape {shape}")
    return array


def _plain(part: Any) -> dict[str, Any]:
    """The options of a layer or loss that differ from their defaults and are numbers, words or lists of numbers."""
    flat = {k: list(v) if isinstance(v, tuple) else v for k, v in formulas.settings(part, changed=True).items()}
    return {
        name: value
        for name, value in flat.items()
        if isinstance(value, (bool, int, float, str))
        or (isinstance(value, list) and all(isinstance(item, (int, float)) for item in value))
    }
