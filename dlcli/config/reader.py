"""Reads plain values as the annotations of sections and components ask for, and notes every problem at its line."""

from __future__ import annotations

import dataclasses
import typing
from collections.abc import Iterable
from difflib import get_close_matches
from functools import cache
from typing import Any

from annotated_types import Len

from dlcli.config.components import Component
from dlcli.config.document import Document, Mark, Path, dotted
from dlcli.core import annotations as ann
from dlcli.core import values
from dlcli.core.blame import refusal
from dlcli.core.errors import ConfigError, quote, suggest
from dlcli.core.options import MISSING, Length, Option, options
from dlcli.core.registry import Entry, Registry

SPACE = "put a space after ':'"
"""The way out where `lr:0.1` has become one word."""

INVALID: Any = object()
"""Stands for a value whose problem is noted."""


@cache
def section_options(cls: type) -> tuple[Option, ...]:
    """The keys of a section, in the order of its dataclass."""
    hints = typing.get_type_hints(cls, include_extras=True)
    found = []
    for f in dataclasses.fields(cls):
        make: Any = f.default_factory
        default = f.default if make is MISSING else make()
        if f.init:
            found.append(Option(f.name, hints[f.name], default, False))
    return tuple(found)


@cache
def component_options(entry: Entry[Any], registry: Registry[Any]) -> tuple[Option, ...]:
    """The options of a registered component; ConfigError where a user's constructor cannot be read."""
    try:
        return tuple(options(entry.cls, registry.base))
    except (NameError, TypeError, ValueError, AttributeError) as error:
        raise ConfigError(
            f"{entry.source}: {registry.kind} {quote(entry.name)}: its options cannot be read: {error}"
        ) from None


def _meant(key: str, known: dict[str, Option]) -> str:
    """The way out for a key that is not among the known ones."""
    if key.partition(":")[0] in known:
        return SPACE
    sections = {o.name: cls for o in known.values() for a in ann.members(o.type) if (cls := ann.section(a))}
    for name, cls in sections.items():
        if key in (o.name for o in section_options(cls)):
            return f"it belongs into {quote(name)}"
    return suggest(key, known) if known else "no options are known here"


class Reader:
    """One pass over a document; `problems` holds what is wrong, and where."""

    def __init__(self, document: Document) -> None:
        self.document = document
        self.problems: list[tuple[Mark, str]] = []

    def problem(self, path: Path, message: str, key: bool = False) -> Any:
        """Note a problem with the value at `path` (or with its key); the value is then INVALID."""
        self.problems.append((self.document.mark(path, key), f"{dotted(path)}: {message}" if path else message))
        return INVALID

    def wrong(self, annotation: Any, value: Any, path: Path) -> Any:
        counts = ann.description(annotation) if ann.split(annotation)[0] is int and self.fits(Length, value) else ""
        hint = f"; write the number alone ({counts})" if counts else ""
        return self.problem(path, f"got {self.shown(value, path)}, expected {ann.expected(annotation)}{hint}")

    def shown(self, value: Any, path: Path) -> str:
        """A value as the author of the config wrote it."""
        raw = self.document.marks[path].raw if path in self.document.marks else None
        if isinstance(value, str):
            return f"{quote(value)} (string)"
        if value is None:
            return "null" if raw else "nothing"
        if isinstance(value, dict):
            return "a mapping" if value else "an empty mapping"
        if isinstance(value, list) and any(isinstance(v, (dict, list)) for v in value):
            return "a list"
        return quote(value) if isinstance(value, list) else (raw or str(value).lower())

    def value(self, annotation: Any, value: Any, path: Path) -> Any:
        """`value` as `annotation` has it, or INVALID."""
        if ann.is_plain(annotation):
            try:
                return values.plain(annotation, value)
            except ValueError:
                return self.wrong(annotation, value, path)
        alternatives = [a for a in ann.members(annotation) if a is not type(None)]
        if value is None and len(alternatives) < len(ann.members(annotation)):
            return None
        chosen = alternatives[0]
        if len(alternatives) > 1:
            chosen = next((a for a in alternatives if self.fits(a, value)), None)
        if chosen is None:
            return self.wrong(annotation, value, path)
        return self.structured(chosen, value, path)

    def fits(self, annotation: Any, value: Any) -> bool:
        """Whether `value` is meant as this alternative of a union."""
        registry = ann.kind(annotation)
        if registry is not None:
            only = next(iter(value)) if isinstance(value, dict) and len(value) == 1 else value
            return isinstance(value, str) or (isinstance(only, str) and bool(get_close_matches(only, registry, n=1)))
        if ann.is_length(annotation) or ann.is_plain(annotation):
            try:
                (values.length if ann.is_length(annotation) else values.plain)(annotation, value)
            except ValueError:
                return False
            return True
        return isinstance(value, list if ann.sequence(annotation) is not None else dict)

    def structured(self, annotation: Any, value: Any, path: Path) -> Any:
        """Like `value`, for a length, a component, a section, or a list or mapping of these."""
        if ann.is_plain(annotation):
            return self.value(annotation, value, path)
        if ann.is_length(annotation):
            try:
                return values.length(annotation, value)
            except ValueError:
                return self.wrong(annotation, value, path)
        registry, cls = ann.kind(annotation), ann.section(annotation)
        if registry is not None:
            return self.component(registry, value, path)
        if cls is not None:
            return self.section(cls, value, path)
        if (item := ann.sequence(annotation)) is not None:
            return self.sequence(annotation, item, value, path)
        if not isinstance(value, dict):
            return self.wrong(annotation, value, path)
        read = {key: self.value(ann.mapping(annotation), v, (*path, key)) for key, v in value.items()}
        return INVALID if INVALID in read.values() else read

    def sequence(self, annotation: Any, item: Any, value: Any, path: Path) -> Any:
        if not isinstance(value, list):
            return self.wrong(annotation, value, path)
        for limit in ann.split(annotation)[1]:
            if isinstance(limit, Len) and not limit.min_length <= len(value) <= (limit.max_length or len(value)):
                some = (
                    f"{limit.min_length} to {limit.max_length:,}" if limit.max_length else f"{limit.min_length} or more"
                )
                return self.problem(path, f"got {len(value):,} entries, expected {some}, each {ann.expected(item)}")
        read = [self.value(item, v, (*path, i)) for i, v in enumerate(value)]
        return INVALID if any(v is INVALID for v in read) else read

    def section(self, cls: type, value: Any, path: Path) -> Any:
        """The dataclass `cls` from a mapping with its fields as keys."""
        declared = section_options(cls)
        if not isinstance(value, dict):
            names = ", ".join(o.name for o in declared[:8])
            hint = f"; {SPACE}" if isinstance(value, str) and ":" in value and ": " not in value else ""
            return self.problem(
                path, f"got {self.shown(value, path)}, expected a mapping with keys such as {names}{hint}"
            )
        given = self.given(declared, value, path)
        return INVALID if given is INVALID else cls(**given)

    def given(self, declared: Iterable[Option], value: dict[str, Any], path: Path) -> Any:
        """The declared options from a mapping, defaults filled in."""
        known = {o.name: o for o in declared}
        before = len(self.problems)
        for key in value:
            if key not in known:
                self.problem((*path, key), f"unknown key; {_meant(key, known)}", key=True)
        read = {}
        for name, option in known.items():
            if name in value:
                read[name] = self.value(option.type, value[name], (*path, name))
            elif option.required:
                self.problem(path, f"missing {quote(name)}, expected {ann.expected(option.type)}", key=True)
            else:
                read[name] = self.default(option, (*path, name))
        return read if len(self.problems) == before else INVALID

    def default(self, option: Option, path: Path) -> Any:
        """A default as it would have been read, so that leaving an option out and writing its default are the same."""
        if isinstance(option.default, str) and not ann.is_plain(option.type):
            return self.value(option.type, option.default, path)
        if type(option.default) is int and ann.is_plain(option.type):
            return values.plain(option.type, option.default)
        return option.default

    def component(self, registry: Registry[Any], value: Any, path: Path) -> Any:
        """A Component from `Name` or `{Name: {options}}`."""
        if isinstance(value, dict) and len(value) > 1:
            first, *others = value
            if value[first] is None and first in registry:
                return self.problem(
                    path,
                    f"got the keys {quote(first)} and {quote(others[0])} side by side; "
                    f"indent the options below '{first}:'",
                )
            return self.problem(
                path,
                f"got {len(value)} names, {quote(first)} and {quote(others[0])} among them, "
                f"expected {ann.named(registry)}: one 'Name' or one 'Name: {{options}}'",
            )
        if not isinstance(value, (str, dict)) or not value:
            article = ann.named(registry)
            return self.problem(
                path, f"got {self.shown(value, path)}, expected {article}: 'Name' or 'Name: {{options}}'"
            )
        name, given = (value, {}) if isinstance(value, str) else next(iter(value.items()))
        inside = path if isinstance(value, str) else (*path, name)
        if name not in registry:
            hint = SPACE if name.partition(":")[0] in registry else suggest(name, registry)
            return self.problem(
                inside,
                f"unknown {registry.kind}; {hint}"
                if inside != path
                else f"unknown {registry.kind} {quote(name)}; {hint}",
                key=inside != path,
            )
        if not isinstance(given, (dict, type(None))):
            return self.problem(inside, f"got {self.shown(given, inside)}, expected its options as a mapping")
        entry = registry.entry(name)
        read = self.given(component_options(entry, registry), given or {}, (*path, name))
        if read is INVALID:
            return INVALID
        component = Component(registry.plural, name, read, entry.cls, path)
        try:
            component.build()
        except Exception as error:  # a user's constructor may raise anything
            return self.problem(inside, refusal(error))
        return component
