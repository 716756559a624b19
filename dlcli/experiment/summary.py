"""The engine of `summary`: what a network is made of, layer by layer, and what it costs."""

from __future__ import annotations

import math
from collections.abc import Iterator
from dataclasses import asdict, dataclass
from itertools import groupby
from typing import Any, NamedTuple

from dlcli.config.schema import Config
from dlcli.core.errors import ConfigError, quote
from dlcli.data.dataset import DataInfo
from dlcli.experiment.assemble import build_network
from dlcli.nn.layer import Layer
from dlcli.nn.layers.repeat import Repeat
from dlcli.nn.layers.sequential import Part


class LayerRow(NamedTuple):
    """One layer without the layers inside it; FLOPs and activation bytes are those of one sample's forward pass."""

    name: str
    layer: str
    output: tuple[int, ...]
    parameters: int
    flops: int
    activation: int
    depth: int
    """How many containers it stands in."""


@dataclass(frozen=True)
class Summary:
    """A network layer by layer, with its sums."""

    input: tuple[int, ...]
    dtype: str
    rows: list[LayerRow]
    parameters: int
    trainable: int
    state: int
    """Numbers that are saved but not trained, such as running statistics."""
    flops: int
    """Of one sample's forward pass."""
    parameter_bytes: int
    activation_bytes: int
    """Of one batch, forward."""
    batch_size: int
    folded: list[LayerRow]
    """The rows, with equal copies in a Repeat as one row that holds their sums."""

    def document(self) -> dict[str, Any]:
        """The JSON of `summary --json`."""
        rows = [{**row._asdict(), "output": list(row.output)} for row in self.rows]
        return {k: v for k, v in asdict(self).items() if k != "folded"} | {"input": list(self.input), "rows": rows}


def summarize(config: Config, info: DataInfo) -> Summary:
    """The network of a config, layer by layer."""
    if info.input_shape is None:
        raise ConfigError("the shapes are not known: the data's file is not there; put it where the config names it")
    network = build_network(config, info)
    width = network.dtype.itemsize
    rows = list(_rows(network.root, width, fold=False))
    arena = network.arena
    return Summary(
        input=network.in_shape,
        dtype=config.dtype,
        rows=rows,
        parameters=len(arena.values),
        trainable=arena.trainable,
        state=sum(array.size for array in network.state.values()),
        flops=network.root.flops(),
        parameter_bytes=arena.values.nbytes,
        activation_bytes=sum(row.activation for row in rows) * config.data.batch_size,
        batch_size=config.data.batch_size,
        folded=list(_rows(network.root, width, fold=True)),
    )


def _rows(container: Layer, width: int, *, fold: bool, prefix: str = "", depth: int = 0) -> Iterator[LayerRow]:
    """The layers inside, each followed by those inside it; `width` is that of a number in bytes."""
    if fold and isinstance(container, Repeat):
        yield from _copies(container, width, prefix, depth)
        return
    for part, layer in container.children().items():
        inside = depth
        if not isinstance(layer, Part):  # which the config writes as a mere list
            yield _row(layer, prefix + part, width, depth)
            inside += 1
        yield from _rows(layer, width, fold=fold, prefix=f"{prefix}{part}.", depth=inside)


def _row(layer: Layer, name: str, width: int, depth: int) -> LayerRow:
    return LayerRow(
        name,
        type(layer).__name__ + (f" {quote(layer.name)}" if layer.name else ""),
        layer.out_shape,
        sum(math.prod(spec.shape) for spec in layer.specs),
        layer.flops() - sum(child.flops() for child in layer.children().values()),
        layer.activations() * width,
        depth,
    )


def _copies(repeat: Repeat, width: int, prefix: str, depth: int) -> Iterator[LayerRow]:
    """The copies in a Repeat: of those with the same figures the first as it is, the others in one row."""
    parts = enumerate(repeat.children().values())
    copies = [(i, list(_rows(part, width, fold=True, prefix=f"{prefix}{i}.", depth=depth))) for i, part in parts]
    for _, group in groupby(copies, lambda copy: [row[1:] for row in copy[1]]):
        (_, rows), *others = group
        yield from rows
        if others:
            same = [row for _, copy in others for row in copy]
            parameters, flops, activation = (sum(column) for column in list(zip(*same, strict=True))[3:6])
            numbers = "-".join(dict.fromkeys(str(i) for i, _ in (others[0], others[-1])))
            label = f"{len(others)} more alike"
            yield LayerRow(f"{prefix}{numbers}", label, same[-1].output, parameters, flops, activation, depth)
