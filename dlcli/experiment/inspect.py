"""The engine of `summary`, `list` and `describe`: what a network is made of, and what components there are."""

from __future__ import annotations

import inspect
import math
from dataclasses import dataclass
from pathlib import Path
from typing import Any, NamedTuple

from dlcli.config.reader import component_options
from dlcli.config.resolved import entry as yaml_entry
from dlcli.config.schema import Config
from dlcli.core import fsio
from dlcli.core.annotations import expected
from dlcli.core.errors import ConfigError, UsageError, quote, suggest
from dlcli.core.options import MISSING
from dlcli.core.registry import Entry, Registry
from dlcli.data.dataset import DataInfo
from dlcli.experiment.assemble import build_network
from dlcli.nn.network import Network, walk


class LayerRow(NamedTuple):
    """One layer of a summary; FLOPs and activation bytes are those of one sample's forward pass."""

    name: str
    layer: str
    output: tuple[int, ...]
    parameters: int
    flops: int
    activation: int


@dataclass(frozen=True)
class Summary:
    """A network layer by layer, with its sums."""

    input: tuple[int, ...]
    dtype: str
    rows: list[LayerRow]
    parameters: int
    trainable: int
    flops: int
    """Of one sample's forward pass."""
    parameter_bytes: int
    activation_bytes: int
    """Of one batch, forward."""
    batch_size: int

    def document(self) -> dict[str, Any]:
        """The JSON of `summary --json`."""
        rows = [{**row._asdict(), "output": list(row.output)} for row in self.rows]
        return {**vars(self), "input": list(self.input), "rows": rows}


def summarize(config: Config, info: DataInfo) -> Summary:
    """The network of a config, layer by layer."""
    if info.input_shape is None:
        raise ConfigError("the shapes are not known: the data's file is not there; put it where the config names it")
    network: Network = build_network(config, info)
    rows = []
    for name, layer in walk(network.root):
        children = bool(layer.children())
        label = type(layer).__name__ + (f" {quote(layer.name)}" if layer.name else "")
        count = sum(math.prod(s.shape) for s in layer.specs)
        size = 0 if children else math.prod(layer.out_shape or ()) * network.dtype.itemsize
        rows.append(LayerRow(name, label, layer.out_shape or (), count, 0 if children else layer.flops(), size))
    values = network.arena
    return Summary(
        network.in_shape,
        config.dtype,
        rows,
        len(values.values),
        values.trainable,
        network.root.flops(),
        values.values.nbytes,
        sum(row.activation for row in rows) * config.data.batch_size,
        config.data.batch_size,
    )


def kinds() -> dict[str, Registry[Any]]:
    """The kinds of components by the plural that `list` takes."""
    return dict(sorted(Registry.all.items()))


def kind_named(plural: str) -> Registry[Any]:
    """The registry of a kind, also by its singular; UsageError with the near one."""
    for name, registry in Registry.all.items():
        if plural.lower() in (name, registry.kind, registry.kind.replace(" ", "")):
            return registry
    raise UsageError(f"no kind of component is called {quote(plural)}; {suggest(plural, Registry.all)}")


def find(name: str) -> list[tuple[Registry[Any], Entry[Any]]]:
    """Every component of that name; UsageError with the near name where there is none."""
    found = [(r, r.entry(name)) for r in Registry.all.values() if name in r]
    if not found:
        hint = suggest(name, [n for r in Registry.all.values() for n in r])
        raise UsageError(f"no component is called {quote(name)}; {hint}")
    return found


def first_line(entry: Entry[Any]) -> str:
    """The formula, which opens a component's docstring."""
    return (inspect.getdoc(entry.cls) or "").split("\n\n")[0].replace("\n", " ").strip()


def describe(registry: Registry[Any], entry: Entry[Any]) -> dict[str, Any]:
    """All that is known of a component: docstring, options, an example as YAML, and where it is written."""
    options = [
        {
            "name": o.name,
            "expected": expected(o.type),
            "default": None if o.default is MISSING else _text(o.default),
            "required": o.default is MISSING,
            "common": o.common,
        }
        for o in component_options(entry, registry)
    ]
    written = (yaml_entry({entry.name: e.options} if e.options else entry.name) for e in entry.cls.examples)
    return {
        "kind": registry.kind,
        "name": entry.name,
        "doc": inspect.getdoc(entry.cls) or "",
        "options": options,
        "examples": list(dict.fromkeys(written)),
        "source": _relative(entry.source),
        "origin": entry.origin,
    }


def _text(value: Any) -> str:
    from dlcli.config.components import resolved
    from dlcli.config.resolved import flow

    return flow(resolved(value))


def _relative(source: str) -> str:
    path, _, line = source.rpartition(":")
    return f"{fsio.nearby(Path(path))}:{line}"
