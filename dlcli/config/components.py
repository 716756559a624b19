"""Components as a config names them: a registered name and checked options, built into an object on demand."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Any

from dlcli.config.document import Path
from dlcli.core.options import Length, options
from dlcli.core.registry import Registry


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
        yield from below(self.options)

    def resolved(self, brief: bool = False) -> Any:
        """As a config writes it: `{Name: {options}}`, or the name alone where there are no options.

        `brief` leaves out what every layer takes where it stands at its default, which changes nothing.
        """
        shown = self.options
        if brief and self.kind == "layers":
            idle = {o.name: o.default for o in options(Registry.all[self.kind].base or object)}
            shown = {name: v for name, v in shown.items() if name not in idle or v != idle[name]}
        return {self.name: {name: resolved(v, brief) for name, v in shown.items()}} if shown else self.name


def below(value: Any) -> Iterator[Component]:
    """Every component in `value`, outer ones first."""
    if isinstance(value, Component):
        yield from value.walk()
    elif isinstance(value, (dict, list)):
        for item in value.values() if isinstance(value, dict) else value:
            yield from below(item)


def built(value: Any) -> Any:
    """`value` with every component in it built."""
    if isinstance(value, Component):
        return value.build()
    if isinstance(value, dict):
        return {key: built(v) for key, v in value.items()}
    if isinstance(value, (list, tuple)):
        return type(value)(built(v) for v in value)
    return value


def resolved(value: Any, brief: bool = False) -> Any:
    """`value` in the plain mappings, lists and scalars of YAML and JSON."""
    if isinstance(value, Component):
        return value.resolved(brief)
    if isinstance(value, Length):
        return str(value)
    if isinstance(value, dict):
        return {str(key): resolved(v, brief) for key, v in value.items()}
    if isinstance(value, (list, tuple)):
        return [resolved(v, brief) for v in value]
    return value
