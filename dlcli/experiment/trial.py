"""One forward and backward pass before a run begins, to check what a user's own components return."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np

from dlcli.config.components import Component
from dlcli.config.schema import Config
from dlcli.core.arena import Array
from dlcli.core.blame import place, user_entries
from dlcli.core.errors import ConfigError, quote
from dlcli.core.registry import Entry
from dlcli.data.picked import Picked
from dlcli.nn.network import Network, walk
from dlcli.optim.schedule import Span

ROWS = 4
"""Samples in the batch."""


def rehearse(config: Config, build: Callable[[], Network], inputs: Array | Picked, targets: Array) -> None:
    """ConfigError, with file and line, where a user's component of `config` returns what training cannot use.

    `build` makes a network to be thrown away; without components of a user's nothing is built and computed.
    """
    components = (*config.model, config.loss, config.optimizer, *([config.schedule] if config.schedule else []))
    if not any(own(part) for c in (*components, *config.metrics) for part in c.walk()):
        return
    network = build()
    x, y = inputs[:ROWS].astype(network.dtype), targets[:ROWS]
    for _, layer in walk(network.root):
        entry = next((e for e in user_entries() if type(layer) is e.cls), None)
        if entry is not None:
            _watch(entry, layer, len(x))
    loss, optimizer = config.loss.build(), config.optimizer.build()
    loss.scratch, loss.dtype = {}, network.dtype
    optimizer.bind(network.arena)
    with np.errstate(all="ignore"):
        network.forward(x, training=False)
        outputs = network.forward(x, training=True)
        _number(config.loss, "forward", _call(loss, "forward", outputs, y))
        for metric in config.metrics:
            measure = metric.build()
            sums = _sums(metric, _call(measure, "sums", loss.logits(outputs), y))
            value = _call(measure, "value", sums)
            if measure.scalar:
                _number(metric, "value", value)
            if measure.proportion:
                _share(metric, sums)
        dy = loss.backward()
        _expect(own(config.loss), "backward", dy, outputs.shape)
        network.backward(dy)
        if config.schedule is not None:
            _number(config.schedule, "lr", _call(config.schedule.build(), "lr", 0, Span(optimizer.lr, 1, 1)))
        optimizer.step(optimizer.lr)
        network.constrain()


def _call(self: Any, method: str, *arguments: Any) -> Any:
    """The result of a component's method; `blame` finds both by their names here where the call itself is wrong."""
    return getattr(self, method)(*arguments)


def own(component: Component) -> Entry[Any] | None:
    """The entry of a component that a user brought."""
    return next((e for e in user_entries() if e.cls is component.cls), None)


def _watch(entry: Entry[Any], layer: Any, rows: int) -> None:
    """Check whatever this layer returns from here on."""

    def checked(method: str, call: Callable[..., Any], shape: tuple[int, ...]) -> Callable[..., Any]:
        def watched(*arguments: Any) -> Any:
            result = call(*arguments)
            if result is not None or method == "forward" or layer.needs_input_grad:
                _expect(entry, method, result, (rows, *shape))
            return result

        return watched

    layer.forward = checked("forward", layer.forward, layer.out_shape)
    layer.backward = checked("backward", layer.backward, layer.in_shape)


def _expect(entry: Entry[Any] | None, method: str, got: Any, shape: tuple[int, ...]) -> None:
    fits = isinstance(got, np.ndarray) and got.shape == shape and got.dtype.kind == "f"
    if entry is not None and not fits:
        raise ConfigError(f"{place(entry)}: {method} gave {kind(got)}, expected real numbers of shape {shape}")


def _number(component: Component, method: str, got: Any) -> None:
    """Check that a result is one real number, finite or not."""
    entry = own(component)
    if entry is not None and (np.ndim(got) or np.asarray(got).dtype.kind not in "uif"):
        raise ConfigError(f"{place(entry)}: {method} gave {kind(got)}, expected a number")


def _sums(component: Component, got: Any) -> Array:
    entry = own(component)
    if entry is not None and (np.ndim(got) != 1 or np.asarray(got).dtype.kind not in "uif"):
        raise ConfigError(f"{place(entry)}: sums gave {kind(got)}, expected a vector of numbers")
    return np.asarray(got, np.float64)


def _share(component: Component, sums: Array) -> None:
    """Check that the sums of a share of samples are those counted and all."""
    entry = own(component)
    if entry is not None and not (len(sums) > 1 and 0 <= sums[0] <= sums[1]):
        got = f"{place(entry)}: sums gave {sums[:2].tolist()}"
        raise ConfigError(f"{got}, expected the samples that count and all of them, as for any proportion")


def kind(value: Any) -> str:
    """What a value is, in words."""
    if isinstance(value, np.ndarray):
        numbers = "" if value.dtype.kind == "f" else f"{value.dtype} "
        return f"{numbers}shape {value.shape}"
    return quote(value)
