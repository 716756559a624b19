"""The engine of `summary`: what a network is made of, layer by layer, and what it costs."""

from __future__ import annotations

import math
from collections.abc import Iterator
from dataclasses import asdict, dataclass
from itertools import groupby
from typing import Any, NamedTuple

from dlcli.config.schema import Config
from dlcli.core.errors import quote
from dlcli.data.dataset import DataInfo
from dlcli.experiment.assemble import build_network
from dlcli.experiment.data import require_shape
from dlcli.experiment.memory import Taken, of_training
from dlcli.nn.layer import Layer
from dlcli.nn.layers.repeat import Repeat
from dlcli.nn.layers.sequential import Part


class LayerRow(NamedTuple):
    """One layer without the layers inside it; FLOPs and activation bytes are those of one sample."""

    name: str
    layer: str
    output: tuple[int, ...]
    parameters: int
    flops: int
    activation: int
    backward_flops: int
    scratch: int
    """Bytes of all other buffers that the layer keeps in training, for a whole batch."""
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
    backward_flops: int
    """Of one sample's backward pass."""
    threads: int
    memory: dict[str, int]
    """Bytes that training keeps with such batches and threads, by what they are for."""
    training_bytes: int
    """Their sum; the data set and validation come on top."""
    checkpoint_bytes: int
    """Of one file."""
    folded: list[LayerRow]
    """The rows, with equal copies in a Repeat as one row that holds their sums."""

    def document(self) -> dict[str, Any]:
        """The JSON of `summary --json`."""
        rows = [{**row._asdict(), "output": list(row.output)} for row in self.rows]
        return {k: v for k, v in asdict(self).items() if k != "folded"} | {"input": list(self.input), "rows": rows}


def summarize(config: Config, info: DataInfo, threads: int) -> Summary:
    """The network of a config, layer by layer, and what training it on so many threads takes."""
    require_shape(config, info)
    network = build_network(config, info)
    arena, root, batch = network.arena, network.root, config.data.batch_size
    taken = of_training(config, info, root.flops(), network.out_shape[0], threads)
    table, parts = Table(network.dtype.itemsize, batch, taken), taken.parts
    rows = list(table.rows(root, fold=False))
    activations, scratch = batch * sum(row.activation for row in rows), sum(row.scratch for row in rows)
    memory = {
        "parameters": parts["parameters"],
        "gradients": parts["gradients"],
        "optimizer": parts["optimizer"],
        "averages": parts["averages"],
        "activations": activations,
        "scratch": scratch + parts["loss"] + parts["step"],
        "batch": parts["batch"],
    }
    return Summary(
        input=network.in_shape,
        dtype=config.dtype,
        rows=rows,
        parameters=len(arena.values),
        trainable=arena.trainable,
        state=sum(array.size for array in network.state.values()),
        flops=int(root.flops()),
        parameter_bytes=arena.values.nbytes,
        activation_bytes=activations,
        batch_size=batch,
        backward_flops=int(root.backward_flops()),
        threads=threads,
        memory=memory,
        training_bytes=sum(memory.values()),
        checkpoint_bytes=taken.checkpoint,
        folded=list(table.rows(root, fold=True)),
    )


@dataclass(frozen=True)
class Table:
    """Makes the rows of a network."""

    width: int
    """Bytes of a number."""
    batch: int
    taken: Taken

    def rows(self, container: Layer, *, fold: bool, prefix: str = "", depth: int = 0) -> Iterator[LayerRow]:
        """The layers inside, each followed by those inside it."""
        if fold and isinstance(container, Repeat):
            yield from self._copies(container, prefix, depth)
            return
        for part, layer in container.children().items():
            inside = depth
            if not isinstance(layer, Part):  # which the config writes as a mere list
                yield self._row(layer, prefix + part, depth)
                inside += 1
            yield from self.rows(layer, fold=fold, prefix=f"{prefix}{part}.", depth=inside)

    def _row(self, layer: Layer, name: str, depth: int) -> LayerRow:
        inside = layer.children().values()
        kept = self.taken.layers[name]
        activation = min(layer.activations() * self.width, kept // self.batch)  # y may lie in the memory of x
        return LayerRow(
            name,
            type(layer).__name__ + (f" {quote(layer.name)}" if layer.name else ""),
            layer.out_shape,
            sum(math.prod(spec.shape) for spec in layer.specs),
            int(layer.flops()) - sum(child.flops() for child in inside),
            activation,
            int(layer.backward_flops()) - sum(child.backward_flops() for child in inside),
            kept + self.taken.own[name] - activation * self.batch,
            depth,
        )

    def _copies(self, repeat: Repeat, prefix: str, depth: int) -> Iterator[LayerRow]:
        """The copies in a Repeat: of those with the same figures the first as it is, the others in one row."""
        parts = enumerate(repeat.children().values())
        copies = [(i, list(self.rows(part, fold=True, prefix=f"{prefix}{i}.", depth=depth))) for i, part in parts]
        for _, group in groupby(copies, lambda copy: [row[1:] for row in copy[1]]):
            (_, rows), *others = group
            yield from rows
            if others:
                same = [row for _, copy in others for row in copy]
                numbers = "-".join(dict.fromkeys(str(i) for i, _ in (others[0], others[-1])))
                columns = list(zip(*same, strict=True))[3:-1]
                parameters, flops, activation, backward, scratch = (sum(column) for column in columns)
                yield LayerRow(
                    f"{prefix}{numbers}",
                    f"{len(others)} more alike",
                    same[-1].output,
                    parameters,
                    flops,
                    activation,
                    backward,
                    scratch,
                    depth,
                )
