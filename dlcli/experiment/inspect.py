"""The engine of `list` and `describe`: what components there are, and all that is known of one."""

from __future__ import annotations

import inspect
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from dlcli.config.components import resolved
from dlcli.config.reader import component_options, section_options
from dlcli.config.resolved import entry as yaml_entry
from dlcli.config.resolved import flow
from dlcli.config.schema import Config
from dlcli.core import fsio
from dlcli.core.annotations import description, expected, kind, members, named, parts, section
from dlcli.core.component import constructor
from dlcli.core.errors import UsageError, quote, suggest
from dlcli.core.options import Option, options
from dlcli.core.registry import Entry, Registry

ORDER = (
    *("layers", "initializers", "constraints", "losses", "optimizers", "schedules"),
    *("metrics", "datasets", "augmentations"),
)
"""The kinds in the order in which they are read about."""


def kinds() -> dict[str, Registry[Any]]:
    """The kinds of components by the plural that `list` takes, in their order."""
    return {plural: Registry.all[plural] for plural in dict.fromkeys([*ORDER, *Registry.all])}


def sections(cls: type = Config, path: str = "") -> Iterator[tuple[str, str, tuple[Option, ...]]]:
    """Every section of a config: its dotted path (empty for the whole), what it is for, and its keys."""
    yield path, first_line(cls), section_options(cls)
    for option in section_options(cls):
        for inner in filter(None, map(section, members(option.type))):
            yield from sections(inner, f"{path}.{option.name}".lstrip("."))


def place(registry: Registry[Any]) -> str:
    """Where a config has components of a kind: `data.dataset`, `init of a layer`; an empty text where it has none."""
    keys = [(o, f"{path}.{o.name}".lstrip(".")) for path, _, declared in sections() for o in declared]
    keys += [(o, f"{o.name} of {named(r)}") for r in kinds().values() if r.base for o in options(r.base)]
    return next((key for o, key in keys if any(kind(part) is registry for part in parts(o.type))), "")


def kind_named(plural: str) -> Registry[Any]:
    """The registry of a kind, also by its singular; UsageError with the near one."""
    for name, registry in Registry.all.items():
        if plural.lower() in (name, registry.kind, registry.kind.replace(" ", "")):
            return registry
    raise UsageError(f"no kind of component is called {quote(plural)}; {suggest(plural, Registry.all)}")


def everything() -> list[tuple[Registry[Any], Entry[Any]]]:
    """Every component, kind by kind."""
    return [(registry, entry) for registry in kinds().values() for entry in registry.entries()]


def find(name: str) -> list[tuple[Registry[Any], Entry[Any]]]:
    """Every component of that name; UsageError with the near name where there is none."""
    found = [(r, r.entry(name)) for r in kinds().values() if name in r]
    if not found:
        hint = suggest(name, [n for r in Registry.all.values() for n in r])
        raise UsageError(f"no component is called {quote(name)}; {hint}")
    return found


def first_line(cls: type) -> str:
    """What opens a docstring: a component's formula."""
    return (inspect.getdoc(cls) or "").split("\n\n")[0].replace("\n", " ").strip()


def describe(registry: Registry[Any], entry: Entry[Any]) -> dict[str, Any]:
    """All that is known of a component: docstring, options, examples as YAML, and where it is written."""
    cls: Any = entry.cls
    inferred = constructor(cls).inferred
    found = [
        {
            "name": o.name,
            "expected": expected(o.type),
            "default": None if o.required else default_text(o.default),
            "required": o.required,
            "inferred": o.name in inferred,
            "meaning": description(o.type),
            "common": o.common,
        }
        for o in component_options(entry, registry)
    ]
    written = (yaml_entry({entry.name: e.options} if e.options else entry.name) for e in cls.examples)
    return {
        "kind": registry.kind,
        "name": entry.name,
        "doc": inspect.getdoc(cls) or "",
        "options": found,
        "place": place(registry),
        "examples": list(dict.fromkeys(written)),
        "source": _relative(entry.source),
        "origin": entry.origin,
    }


def default_text(value: Any) -> str:
    """A default as a config writes it."""
    return flow(resolved(value))


def _relative(source: str) -> str:
    path, _, line = source.rpartition(":")
    return f"{fsio.nearby(Path(path))}:{line}"
