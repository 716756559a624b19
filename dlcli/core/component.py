"""The metaclass of components: constructors that check their options, and a repr that shows the ones that matter."""

from __future__ import annotations

import inspect
from abc import ABCMeta
from functools import cache
from typing import Any, NamedTuple

from dlcli.core.errors import ConfigError
from dlcli.core.options import MISSING, Option, options
from dlcli.core.registry import Registry
from dlcli.core.values import checked


class Constructor(NamedTuple):
    """How a component is made."""

    options: dict[str, Option]
    types: dict[str, Any]
    """The annotations to check by; a type that a plain class's default only suggests is not among them."""
    positional: tuple[str, ...]
    """The parameters that may be given by position, in order."""
    inferred: tuple[str, ...]
    """The parameters without default that may be left out all the same: those where None is allowed."""


@cache
def constructor(cls: type) -> Constructor:
    """The constructor of a component; without options where its annotations cannot be read from here."""
    base = next((r.base for r in Registry.all.values() if r.base is not None and issubclass(cls, r.base)), None)
    try:
        known = {o.name: o for o in options(cls, base)}
        parameters = _signature(cls).parameters.values()
    except (NameError, TypeError, ValueError, AttributeError):
        return Constructor({}, {}, (), ())
    free = {p.name for p in parameters if p.annotation is p.empty}
    return Constructor(
        known,
        {name: option.type for name, option in known.items() if name not in free},
        tuple(p.name for p in parameters if p.kind in (p.POSITIONAL_ONLY, p.POSITIONAL_OR_KEYWORD)),
        tuple(p.name for p in parameters if p.default is p.empty and p.name in known and not known[p.name].required),
    )


def _signature(cls: Any) -> inspect.Signature:
    target = getattr(cls, "wraps", None) or cls
    if target.__init__ is object.__init__:
        return inspect.Signature()
    found = inspect.signature(target.__init__)
    return found.replace(parameters=list(found.parameters.values())[1:])


class Checked(ABCMeta):
    """Makes a class whose constructor takes options as a config does, by their annotations and before `__init__` runs.

    An option that does not fit raises ConfigError with a line for each: `SGD: got lr = -1, expected a number > 0`.
    What fits comes to `__init__` as a config would hand it over, and one that may be inferred may be left out.
    """

    def __new__(mcs, name: str, bases: tuple[type, ...], body: dict[str, Any], **more: Any) -> Any:
        body.setdefault("__repr__", shown)  # before `dataclass` sees the class, which leaves a repr alone
        return super().__new__(mcs, name, bases, body, **more)

    def __call__(cls, *args: Any, **given: Any) -> Any:
        _, types, positional, inferred = constructor(cls)
        problems: list[str] = []

        def taken(name: str, value: Any) -> Any:
            try:
                return checked(cls.__name__, name, types[name], value) if name in types else value
            except ConfigError as error:
                problems.extend(error.problems)

        placed = [taken(name, value) for name, value in zip(positional, args, strict=False)]
        named = {name: taken(name, value) for name, value in given.items()}
        if problems:
            raise ConfigError(*problems)
        missing = dict.fromkeys(name for name in inferred if name not in named and name not in positional[: len(args)])
        return super().__call__(*placed, *args[len(placed) :], **named, **missing)

    @property
    def __signature__(cls) -> inspect.Signature:
        """What `help` shows."""
        return _signature(cls)


def shown(self: Any) -> str:
    """The call that makes such a component, with the options that differ from their defaults."""
    holders = (self, getattr(self, "inner", None))  # a user's plain class keeps its own options inside
    cls: Any = type(self)
    parts = []
    for option in constructor(cls).options.values():
        value = next((getattr(h, option.name) for h in holders if hasattr(h, option.name)), option.default)
        if value is not MISSING and repr(value) != repr(option.default):
            parts.append(f"{option.name}={value!r}")
    return f"{cls.__name__}({', '.join(parts)})"
