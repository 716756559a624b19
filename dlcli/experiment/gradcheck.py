"""The engine of `gradcheck`: a config, one layer, everything registered, or what a user's file brings."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import replace
from typing import Any

import numpy as np

from dlcli.config.doctor import inside
from dlcli.config.schema import Config
from dlcli.config.single import component, component_from_text
from dlcli.core.errors import ConfigError, DivergedError, ShapeError, UsageError, quote
from dlcli.core.options import Example, options
from dlcli.core.registry import Entry, Registry
from dlcli.data.dataset import DataInfo
from dlcli.experiment.assemble import build_network
from dlcli.experiment.data import require_shape, sample_batch
from dlcli.nn.gradcheck import Report, Row, Settings, check_as_trained, check_layer, check_loss, check_network
from dlcli.nn.gradcheck.as_trained import samples
from dlcli.nn.layer import Layer, layers
from dlcli.nn.loss import Loss, losses
from dlcli.nn.network import Network, walk

MAX_AXES = 32
"""More axes than a sample has ever had, and fewer than NumPy's own limit."""

MOST = 1 << 24
"""Numbers in the batch that a layer or loss is checked on, of which the check holds dozens of copies."""

SHAPE = (5,)
"""The sample on which a component without examples of its own is checked."""


def of_config(
    config: Config, info: DataInfo, burn_in: int = 0, note: Callable[[str], None] | None = None, **settings: Any
) -> Report:
    """The network and loss of a config, layer by layer and end to end, on a batch drawn from the seed.

    With `burn_in` once more after that many training steps: a fresh network has its gradients at no usual place.
    """
    require_shape(config, info)
    network = build_network(config, info)
    chosen = Settings(**settings)
    if chosen.full and note is not None:
        layered = sum(math.prod(layer.in_shape) for _, layer in walk(network.root))
        entries = 2 * network.arena.values.size + chosen.batch * (layered + math.prod(network.out_shape))
        note(f"about {entries:,} entries one by one, each with a pass or three forward; --batch 1 takes fewer")
    rows = _of_network(config, info, network, settings)
    if burn_in:
        burn(config, info, network, burn_in)
        rows += [replace(row, after=burn_in) for row in _of_network(config, info, network, settings)]
    places = {f"{name} {type(layer).__name__}": name for name, layer in walk(network.root)}
    for row in rows:
        if row.layer in places:
            row.where = _where(config, places[row.layer])
        elif row.method == "trained" and "." in row.tensor:
            row.where = _where(config, row.tensor.rpartition(".")[0])
        elif row.layer == type(config.loss.build()).__name__:
            row.where = config.document.where(config.loss.path)
    return _report(rows, settings)


def _of_network(config: Config, info: DataInfo, network: Network, settings: dict[str, Any]) -> list[Row]:
    """Layer by layer and end to end on few samples; and as training runs it, on a batch of its size."""
    loss, outputs = config.loss.build(), network.out_shape[0]
    rows = check_network(
        network, loss, *sample_batch(config, info, outputs, Settings(**settings).batch), **settings
    ).rows
    if not all(row.passed for row in rows):  # which names the layer better
        return rows
    whole = sample_batch(config, info, outputs, samples(network, config.data.batch_size))
    return rows + check_as_trained(network, loss, *whole, **settings)


def burn(config: Config, info: DataInfo, network: Network, steps: int) -> None:
    """Train on a drawn batch, with the config's loss and optimizer; DivergedError where that leads to no number."""
    loss, optimizer = config.loss.build(), config.optimizer.build()
    optimizer.bind(network.arena)
    x, y = sample_batch(config, info, network.out_shape[0], config.data.batch_size)
    y = y if y.dtype.kind in "iu" else y.astype(network.dtype)
    with np.errstate(all="ignore"):
        for step in range(steps):
            network.draws.step = step
            value = loss.forward(network.forward(x, training=True), y)
            network.backward(loss.backward())
            optimizer.step(optimizer.lr)
            network.constrain()
            if not np.isfinite(value) or not np.isfinite(network.arena.values).all():
                raise DivergedError(
                    f"--burn-in: training diverged at step {step + 1} with lr {optimizer.lr:g}; lower optimizer.lr, "
                    "or give fewer steps"
                )


def of_layer(text: str, shape: str | None, **settings: Any) -> Report:
    """One layer, given as a config writes it, on samples of that shape (`2,8,8`; by default that of its example)."""
    return _of_one(layers, text, "--layer", shape, settings)


def of_loss(text: str, shape: str | None, **settings: Any) -> Report:
    """One loss on predictions of that shape for each sample, by default that of its example."""
    return _of_one(losses, text, "--loss", shape, settings)


def _of_one(registry: Registry[Any], text: str, flag: str, shape: str | None, settings: dict[str, Any]) -> Report:
    made = component_from_text(registry.plural, text, flag)
    examples: Sequence[Example] = getattr(made.cls, "examples", ())
    sample = _shape(shape) if shape is not None else examples[0].shape if examples else SHAPE
    batch = Settings(**settings).batch
    if batch * math.prod(sample) > MOST:
        got = f"--input: got {batch} samples of {math.prod(sample):,} numbers"
        raise UsageError(f"{got}, expected at most {MOST:,} in all; give a smaller shape")
    try:
        return _report(_rows(registry, made.build(), sample, settings), settings)
    except ShapeError as error:
        raise ConfigError(f"{flag} {quote(text)}: {error}; give another --input or --batch") from None


def of_registered(origins: Sequence[str] = (), **settings: Any) -> Report:
    """Every registered layer and loss on each of its examples; with `origins`, only those of these files."""
    rows: list[Row] = []
    chosen = 0
    for registry in (layers, losses):
        for entry in registry.entries():
            if origins and entry.origin not in origins:
                continue
            chosen += 1
            for example in _examples(entry, registry):
                rows += _check(registry, entry, example, settings)
    if origins and not chosen:
        raise ConfigError(
            f"{', '.join(origins)}: registers no layer and no loss; put @dlcli.layers.register above the class, or "
            "give --optimizers to check those"
        )
    return _report(rows, settings)


def _check(registry: Registry[Any], entry: Entry[Any], example: Example, settings: dict[str, Any]) -> list[Row]:
    made = component(registry.plural, {entry.name: example.options} if example.options else entry.name, entry.source)
    given = ", ".join(f"{k}={v}" for k, v in example.options.items() if not isinstance(v, (list, dict)))
    label = f"{entry.name}({given})" if given else entry.name
    try:
        return _rows(registry, made.build(), example.shape, {"label": label, **settings})
    except ShapeError as error:
        raise ConfigError(f"{entry.source}: example {label} on samples of shape {example.shape}: {error}") from None


def _rows(registry: Registry[Any], built: Any, shape: tuple[int, ...], settings: dict[str, Any]) -> list[Row]:
    return (check_loss if registry is losses else check_layer)(built, shape, **settings)


def _report(rows: list[Row], settings: dict[str, Any]) -> Report:
    return Report(rows, Settings(**settings).threshold)


def _where(config: Config, name: str) -> str:
    """The place in the config of the layer with that name, `3.body.0`."""
    first, *path = (int(part) if part.isdigit() else part for part in name.split("."))
    return config.document.where(inside(config.model[int(first)], tuple(path)).path)


def _examples(entry: Entry[Any], registry: Registry[Any]) -> Sequence[Example]:
    """The examples of a component; one without any is tried with its defaults."""
    if entry.cls.examples:
        return entry.cls.examples
    base: type = Layer if registry is layers else Loss
    needed = [o.name for o in options(entry.cls, base) if o.required]
    if needed:
        some = ", ".join(f"{name}=..." for name in needed)
        raise ConfigError(
            f"{entry.source}: {entry.name} needs {', '.join(needed)} and has no example to check it on; add the class "
            f"attribute examples = (dlcli.example({SHAPE}, {some}),)"
        )
    return (Example(SHAPE, {}),)


def _shape(text: str) -> tuple[int, ...]:
    try:
        shape = tuple(int(part) for part in text.split(","))
    except ValueError:
        shape = ()
    if not shape or min(shape) < 1 or max(shape) >= 1 << 31 or len(shape) > MAX_AXES:
        raise UsageError(f"--input: got {quote(text)}, expected sizes of one sample such as 2,8,8")
    return shape
