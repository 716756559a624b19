"""What an option's annotation allows: its parts, and the words for it.

One walk serves numbers, lengths, sections and nested components alike, with words of our own for each, so that no
validation library is needed here.
"""

from __future__ import annotations

import dataclasses
import operator
import types
import typing
from collections.abc import Iterable, Iterator
from typing import Annotated, Any, Literal, Union

from annotated_types import Ge, GroupedMetadata, Gt, Le, Lt

from dlcli.core.errors import quote
from dlcli.core.options import Length
from dlcli.core.registry import Registry


class Kind(str):
    """Marks a field that holds a component, by the plural of its kind: `Annotated[Component, Kind("losses")]`."""


SECONDS = "seconds too"
"""Marks a `Length` that may also be given in seconds."""

BOUNDS = (
    (Gt, "gt", ">", operator.gt, "exclusiveMinimum"),
    (Ge, "ge", ">=", operator.ge, "minimum"),
    (Lt, "lt", "<", operator.lt, "exclusiveMaximum"),
    (Le, "le", "<=", operator.le, "maximum"),
)
"""Each bound with its attribute, its sign, what it asks of a value, and its name in JSON Schema."""


def split(annotation: Any) -> tuple[Any, tuple[Any, ...]]:
    """The type itself, and what `Annotated` says about it."""
    if typing.get_origin(annotation) is Annotated:
        return annotation.__origin__, annotation.__metadata__
    return annotation, ()


def kind(annotation: Any) -> Registry[Any] | None:
    """The registry whose components the annotation stands for: a marked field, or the base class of a kind."""
    inner, extras = split(annotation)
    for extra in extras:
        if isinstance(extra, Kind):
            return Registry.all[extra]
    return next((r for r in Registry.all.values() if r.base is not None and inner is r.base), None)


def named(registry: Registry[Any]) -> str:
    """`a layer`, `an optimizer`."""
    return f"{'an' if registry.kind[0] in 'aeiou' else 'a'} {registry.kind}"


def description(annotation: Any) -> str:
    """The sentence that stands beside the type in `Annotated`, if any."""
    return next((e for e in split(annotation)[1] if type(e) is str and e != SECONDS), "")


def members(annotation: Any) -> list[Any]:
    """The alternatives of a union, else the annotation alone."""
    inner, _ = split(annotation)
    is_union = typing.get_origin(inner) in (Union, types.UnionType)
    return list(typing.get_args(inner)) if is_union else [annotation]


def sequence(annotation: Any) -> Any | None:
    """X for `list[X]` and `tuple[X, ...]`, else None."""
    inner, _ = split(annotation)
    args = typing.get_args(inner)
    if typing.get_origin(inner) is list or (typing.get_origin(inner) is tuple and args[-1:] == (...,)):
        return args[0]
    return None


def mapping(annotation: Any) -> Any | None:
    """X for `dict[str, X]`, else None."""
    inner, _ = split(annotation)
    return typing.get_args(inner)[1] if typing.get_origin(inner) is dict else None


def is_length(annotation: Any) -> bool:
    """Whether the values are lengths with their units."""
    return split(annotation)[0] is Length


def section(annotation: Any) -> type | None:
    """The dataclass of a section with fixed keys, else None."""
    inner, _ = split(annotation)
    fixed = dataclasses.is_dataclass(inner) and isinstance(inner, type) and inner is not Length
    return inner if fixed and kind(annotation) is None else None


def parts(annotation: Any) -> Iterator[Any]:
    """The annotation and everything inside it."""
    yield annotation
    inner, _ = split(annotation)
    for arg in typing.get_args(inner) if typing.get_origin(inner) is not Literal else ():
        yield from parts(arg)


def is_plain(annotation: Any) -> bool:
    """Whether the values are plain numbers, texts, and lists or mappings of them."""
    return not any(kind(part) or is_length(part) or section(part) for part in parts(annotation))


def bounds(annotation: Any) -> list[str]:
    """The bounds of an annotated number in words, such as `> 0` and `< 1`."""
    words = []
    for extra in split(annotation)[1]:
        for bound in extra if isinstance(extra, GroupedMetadata) else (extra,):
            for cls, name, sign, _, _ in BOUNDS:
                if isinstance(bound, cls):
                    limit = getattr(bound, name)
                    words.append(f"{sign} {limit if isinstance(limit, int) else format(limit, 'g')}")
    return words


def expected(annotation: Any) -> str:
    """What the annotation allows, in words: `an integer >= 1`, `true or false`, `'relu' or 'tanh'`."""
    registry = kind(annotation)
    if registry is not None:
        return named(registry)
    alternatives = members(annotation)
    if len(alternatives) > 1:
        return _either([words for a in alternatives for words in _alternative(a, alternatives)])
    inner, extras = split(annotation)
    if typing.get_origin(inner) is Literal:
        return _either(_alternative(annotation))
    if section(annotation) is not None:
        return f"a mapping with keys such as {quote(dataclasses.fields(inner)[0].name)}"
    limits = " and ".join(bounds(annotation))
    if inner is Length:
        examples = "'3 epochs', '10%' or '90 s'" if SECONDS in extras else "'500 steps', '3 epochs' or '10%'"
        return f"a length {limits + ' ' if limits else ''}with its unit, such as {examples}"
    if (item := sequence(annotation)) is not None:
        return f"a list, each {expected(item)}"
    if typing.get_origin(inner) is tuple:
        items = [expected(a) for a in typing.get_args(inner)]
        each = f"each {items[0]}" if len(set(items)) == 1 else ", ".join(items)
        return f"a list of {len(items)}, {each}"
    if (item := mapping(annotation)) is not None:
        return f"a mapping {{name: {expected(item)}}}"
    names = {
        int: "an integer",
        float: "a number",
        bool: "true or false",
        str: "text",
        type(None): "null",
        None: "null",
        Any: "a value",
        list: "a list",
        dict: "a mapping",
    }
    return f"{names.get(inner, getattr(inner, '__name__', str(inner)))} {limits}".rstrip()


def _alternative(annotation: Any, others: Iterable[Any] = ()) -> list[str]:
    """The words for one of the alternatives `others`: each of its constants, or a list of another one."""
    inner, _ = split(annotation)
    items = typing.get_args(inner)
    if typing.get_origin(inner) is Literal:
        return [quote(v) for v in items]
    if typing.get_origin(inner) is tuple and items[0] in others and set(items) == {items[0]}:
        return [f"a list of {len(items)} of them"]
    if sequence(annotation) in others:
        return ["a list of them"]
    return [expected(annotation)]


def _either(words: list[str]) -> str:
    words = sorted(dict.fromkeys(words), key=lambda w: "," in w)  # so that no other one seems to be inside a list
    return " or ".join((", ".join(words[:-1]), words[-1])) if len(words) > 1 else words[0]
