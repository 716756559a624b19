"""The check of a value against an option's annotation: configs and constructors are checked by the same function."""

from __future__ import annotations

import math
import sys
import typing
from collections.abc import Iterable
from typing import Any, Literal

from annotated_types import GroupedMetadata, Len

from dlcli.core.annotations import BOUNDS, SECONDS, expected, kind, mapping, members, sequence, split
from dlcli.core.errors import ConfigError, quote
from dlcli.core.options import Length


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
