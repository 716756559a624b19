"""What an option's annotation allows: its parts, the words for it, and the check of a value against it.

One walk serves numbers, lengths, sections and nested components alike, with words of our own for each, so that no
validation library is needed here. Configs and constructors are checked by the same function.
"""

from __future__ import annotations

import dataclasses
import math
import operator
import sys
import types
import typing
from collections.abc import Iterable, Iterator
from typing import Annotated, Any, Literal, Union

from annotated_types import Ge, GroupedMetadata, Gt, Le, Len, Lt

from dlcli.core.errors import ConfigError, quote
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
    return [expected(annotation)]


def _either(words: list[str]) -> str:
    words = sorted(dict.fromkeys(words), key=lambda w: "," in w)  # so that no other one seems to be inside a list
    return " or ".join((", ".join(words[:-1]), words[-1])) if len(words) > 1 else words[0]


def plain(annotation: Any, value: Any) -> Any:
    """`value` as the annotation has it; ValueError, with the words for what is expected, where it does not fit.

    A list is taken as a tuple, 64 as 64.0, a NumPy number as a plain one, and a text such as `10%` as a length;
    nothing else serves as another type, and numbers are finite. A component is an object of its kind's base class.
    """
    alternatives = members(annotation)
    if len(alternatives) > 1:
        for alternative in alternatives:
            try:
                return plain(alternative, value)
            except ValueError:
                continue
        raise ValueError(expected(annotation))
    inner, limits = split(annotation)
    origin, args = typing.get_origin(inner), typing.get_args(inner)
    value = value.item() if getattr(value, "ndim", None) == 0 else value
    if inner is float and type(value) is int:
        value = float(value) if abs(value) < sys.float_info.max else math.inf
    if inner is Length:
        return length(annotation, value)
    if (registry := kind(annotation)) is not None:
        fits = isinstance(value, registry.base or object)
    elif origin is Literal:
        fits = any(value == a and type(value) is type(a) for a in args)
    elif (item := sequence(annotation)) is not None:
        fits = isinstance(value, (list, tuple))
        value = origin(plain(item, v) for v in value) if fits else value
    elif origin is tuple:
        fits = isinstance(value, (list, tuple)) and len(value) == len(args)
        value = tuple(plain(a, v) for a, v in zip(args, value, strict=True)) if fits else value
    elif (item := mapping(annotation)) is not None:
        fits = isinstance(value, dict)
        value = {k: plain(item, v) for k, v in value.items()} if fits else value
    elif inner is tuple and isinstance(value, list):
        fits, value = True, tuple(value)
    else:
        fits = _is(value, origin or inner)
    if not fits or (isinstance(value, float) and not math.isfinite(value)) or not within(limits, value):
        raise ValueError(expected(annotation))
    return value


def _is(value: Any, cls: Any) -> bool:
    """Whether `value` is of that class; true or false is no number, and what is no class allows everything."""
    if cls in (Any, None):
        return cls is Any or value is None
    if isinstance(value, bool) and cls in (int, float):
        return False
    return isinstance(value, cls) if isinstance(cls, type) else True


def checked(where: str, name: str, annotation: Any, value: Any, hint: str = "") -> Any:
    """`plain`, with a ConfigError that names the place and the option."""
    try:
        return plain(annotation, value)
    except ValueError:
        raise ConfigError(f"{where}: got {name} = {quote(value)}, expected {expected(annotation)}{hint}") from None


def within(limits: Iterable[Any], value: Any) -> bool:
    """Whether `value` keeps the bounds and the length limits among `limits`."""
    for limit in limits:
        if isinstance(limit, Len):
            if not limit.min_length <= len(value) <= (limit.max_length or len(value)):
                return False
        elif isinstance(limit, GroupedMetadata):
            if not within(limit, value):
                return False
        elif any(isinstance(limit, cls) and not keeps(value, getattr(limit, at)) for cls, at, _, keeps, _ in BOUNDS):
            return False
    return True


def length(annotation: Any, value: Any) -> Length:
    """`value` as a length; ValueError where it is none, out of bounds, or in seconds where those are not allowed."""
    limits = split(annotation)[1]
    try:
        found = value if isinstance(value, Length) else Length.parse(value)
    except ValueError:
        raise ValueError(expected(annotation)) from None
    if not within(limits, found.value) or (found.unit == "s" and SECONDS not in limits) or math.isinf(found.value):
        raise ValueError(expected(annotation))
    return found
