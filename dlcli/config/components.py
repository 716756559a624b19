"""Components as a config names them: a registered name and checked options, built into an object on demand."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Any

from dlcli.config.yamlfile import Path
from dlcli.core.options import Length


@dataclass(frozen=True)
class Component:
    """One component of a checked config; equal where kind, name and options are."""

    kind: str
    """The plural of its kind, as in `Registry.all`."""
    name: str
    options: dict[str, Any]
    """Every option, defaults included; nested components are Components."""
    cls: type = field(compare=False)
    path: Path = field(default=(), compare=False)
    """Where the config names it: `("model", 2)`."""

    @property
    def inside(self) -> Path:
        """Where its options are: `("model", 2, "Linear")`."""
        return (*self.path, self.name)

    def build(self) -> Any:
        """A new instance, with the components inside its options built too."""
        return self.cls(**{name: built(value) for name, value in self.options.items()})

    def walk(self) -> Iterator[Component]:
        """This component and every one inside its options, outer ones first."""
        yield self
        for value in self.options.values():
            for item in value if isinstance(value, list) else value.values() if isinstance(value, dict) else (value,):
                if isinstance(item, Component):
                    yield from item.walk()

    def resolved(self) -> Any:
        """As a config writes it: `{Name: {options}}`, or the name alone where there are no options."""
        return {self.name: {name: resolved(v) for name, v in self.options.items()}} if self.options else self.name


def built(value: Any) -> Any:
    """`value` with every component in it built."""
    if isinstance(value, Component):
        return value.build()
    if isinstance(value, dict):
        return {key: built(v) for key, v in value.items()}
    if isinstance(value, (list, tuple)):
        return type(value)(built(v) for v in value)
    return value


def resolved(value: Any) -> Any:
    """`value` in the plain mappings, lists and scalars of YAML and JSON."""
    if isinstance(value, Component):
        return value.resolved()
    if isinstance(value, Length):
        return str(value)
    if isinstance(value, dict):
        return {str(key): resolved(v) for key, v in value.items()}
    if isinstance(value, (list, tuple)):
        return [resolved(v) for v in value]
    return value
