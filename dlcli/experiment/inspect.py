"""The engine of `list` and `describe`: what components there are, and all that is known of one."""

from __future__ import annotations

import inspect
from pathlib import Path
from typing import Any

from dlcli.config.reader import component_options
from dlcli.config.resolved import entry as yaml_entry
from dlcli.core import fsio
from dlcli.core.annotations import expected
from dlcli.core.errors import UsageError, quote, suggest
from dlcli.core.options import MISSING
from dlcli.core.registry import Entry, Registry


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
