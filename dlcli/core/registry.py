"""Registries: one table a kind of component, from the name that a config uses to the class."""

from __future__ import annotations

import inspect
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any, Generic, TypeVar

from dlcli.core.errors import ConfigError, quote, suggest

T = TypeVar("T")
C = TypeVar("C", bound=type)


@dataclass(frozen=True)
class Entry(Generic[T]):
    """A registered component: its class, and the file it came from where a user brought it."""

    name: str
    cls: type[T]
    origin: str | None
    """None for a built-in, else the user's file or package."""

    @property
    def source(self) -> str:
        """`FILE:LINE` of the class."""
        target = getattr(self.cls, "wraps", None) or self.cls
        try:
            return f"{inspect.getsourcefile(target)}:{inspect.getsourcelines(target)[1]}"
        except (OSError, TypeError):
            return sys.modules[target.__module__].__file__ or target.__module__


class Registry(Generic[T]):
    """The components of one kind by name.

    `register` is a class decorator; the registered name is the class name, or the class attribute `config_name` where
    a config spells it otherwise (`fashion-mnist`). A class that is no subclass of the
    kind's base is passed to `adapt`, so that a plain class with the right methods can serve.
    """

    all: dict[str, Registry[Any]] = {}  # noqa: RUF012
    """Every registry by the plural of its kind, in the order of their making."""

    notes: list[str] = []  # noqa: RUF012
    """What a user should know about what was registered, such as a replaced built-in."""

    _origin: str | None = None

    def __init__(self, kind: str, plural: str, adapt: Callable[[type], type[T]] | None = None) -> None:
        self.kind, self.plural = kind, plural
        self._adapt = adapt
        self._entries: dict[str, Entry[T]] = {}
        self.base: type[T] | None = None
        Registry.all[plural] = self

    def register(self, cls: C) -> C:
        """Enter `cls` under its own name and return it unchanged."""
        name, origin = vars(cls).get("config_name", cls.__name__), Registry._origin
        known = self._entries.get(name)
        if known is not None and known.origin is not None and known.origin != origin:
            raise ConfigError(
                f"{origin}: {self.kind} {quote(name)} is already registered by {known.origin}; rename one of them"
            )
        if known is not None and known.origin is None and origin is not None:
            Registry.notes.append(f"{self.kind} {name} of {origin} replaces the built-in one")
        if self.base is not None and issubclass(cls, self.base):
            usable = cls
        elif self._adapt is not None:
            usable = self._adapt(cls)
        else:
            raise ConfigError(
                f"{origin or name}: class {quote(name)} is no {self.kind}: derive it from "
                f"dlcli.{self.base.__name__ if self.base else self.kind}"
            )
        self._entries[name] = Entry(name, usable, origin)
        return cls

    def entry(self, name: str) -> Entry[T]:
        """The entry of that name; ConfigError with the near name where there is none."""
        if name not in self._entries:
            raise ConfigError(f"unknown {self.kind} {quote(name)}; {suggest(name, self._entries)}")
        return self._entries[name]

    def get(self, name: str) -> type[T]:
        """The class of that name; ConfigError with the near name where there is none."""
        return self.entry(name).cls

    def __contains__(self, name: object) -> bool:
        return name in self._entries

    def __iter__(self) -> Iterator[str]:
        return iter(sorted(self._entries))

    def entries(self) -> list[Entry[T]]:
        """All entries by name."""
        return [self._entries[n] for n in self]

    @staticmethod
    @contextmanager
    def origin(source: str) -> Iterator[None]:
        """Mark everything that is registered inside as coming from the user's `source`."""
        before, Registry._origin = Registry._origin, source
        try:
            yield
        finally:
            Registry._origin = before
