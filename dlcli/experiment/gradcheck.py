"""The engine of `gradcheck`: a config, one layer, everything registered, or what a user's file brings."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from dlcli.config.schema import Config
from dlcli.config.single import component, component_from_text
from dlcli.core.errors import ConfigError, ShapeError, UsageError, quote
from dlcli.core.options import Example, options
from dlcli.core.registry import Entry, Registry
from dlcli.data.dataset import DataInfo
from dlcli.experiment.assemble import build_network
from dlcli.experiment.data import sample_batch
from dlcli.nn.gradcheck import Report, Row, check_layer, check_loss, check_network
from dlcli.nn.layer import Layer, layers
from dlcli.nn.loss import Loss, losses

BATCH = 4
"""Samples in a check; more of them cross more kinks and tell nothing new."""

MAX_AXES = 32
"""More axes than a sample has ever had, and fewer than NumPy's own limit."""

SHAPE = (5,)
"""The sample on which a component without examples of its own is checked."""


def of_config(config: Config, info: DataInfo, seed: int, threshold: float) -> Report:
    """The network and loss of a config, layer by layer and end to end, on a batch drawn from the seed."""
    if info.input_shape is None:
        raise ConfigError(
            f"{config.document.where(config.data.dataset.path)}: data.dataset: the file is not there, so the shape "
            "of a sample is not known; put it where the config names it"
        )
    network = build_network(config, info)
    x, y = sample_batch(config, info, network.out_shape[0], BATCH)
    return Report(check_network(network, config.loss.build(), x, y, seed=seed, threshold=threshold).rows, threshold)


def of_layer(text: str, shape: str | None, seed: int, threshold: float) -> Report:
    """One layer, given as a config writes it, on samples of that shape (`2,8,8`; by default that of its example)."""
    made = component_from_text("layers", text, "--layer")
    examples: Sequence[Example] = getattr(made.cls, "examples", ())
    sample = _shape(shape) if shape is not None else examples[0].shape if examples else SHAPE
    try:
        return Report(check_layer(made.build(), sample, seed=seed, batch=BATCH, threshold=threshold), threshold)
    except ShapeError as error:
        raise ConfigError(f"--layer {quote(text)}: {error}; give --input") from None


def of_registered(seed: int, threshold: float, origins: Sequence[str] = ()) -> Report:
    """Every registered layer and loss on each of its examples; with `origins`, only those of these files."""
    rows: list[Row] = []
    chosen = 0
    for registry in (layers, losses):
        for entry in registry.entries():
            if origins and entry.origin not in origins:
                continue
            chosen += 1
            for example in _examples(entry, registry):
                rows += _check(registry, entry, example, seed, threshold)
    if origins and not chosen:
        raise ConfigError(
            f"{', '.join(origins)}: registers no layer and no loss; put @dlcli.layers.register above the class"
        )
    return Report(rows, threshold)


def _check(registry: Registry[Any], entry: Entry[Any], example: Example, seed: int, threshold: float) -> list[Row]:
    made = component(registry.plural, {entry.name: example.options} if example.options else entry.name, entry.source)
    given = ", ".join(f"{k}={v}" for k, v in example.options.items() if not isinstance(v, (list, dict)))
    label = f"{entry.name}({given})" if given else entry.name
    try:
        built: Any = made.build()
        if registry is losses:
            return check_loss(built, example.shape, seed=seed, batch=BATCH, threshold=threshold, label=label)
        return check_layer(built, example.shape, seed=seed, batch=BATCH, threshold=threshold, label=label)
    except ShapeError as error:
        raise ConfigError(f"{entry.source}: example {label} on samples of shape {example.shape}: {error}") from None


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
