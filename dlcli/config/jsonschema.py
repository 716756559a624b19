"""The JSON Schema of config files, for editors: from the same annotations that check them."""

from __future__ import annotations

import inspect
import typing
from collections.abc import Iterable
from typing import Any, Literal

from annotated_types import GroupedMetadata, Len

from dlcli.config.components import resolved
from dlcli.config.reader import component_options, section_options
from dlcli.config.schema import Config
from dlcli.core import annotations as ann
from dlcli.core.options import Length, Option
from dlcli.core.registry import Entry, Registry

LENGTH_PATTERN = r"^\s*[0-9]+(\.[0-9]+)?\s*(steps?|epochs?|%|s)\s*$"

DRAFT = "https://json-schema.org/draft/2020-12/schema"


def json_schema() -> dict[str, Any]:
    """The schema of a whole config, with a definition for every kind of component."""
    return {
        "$schema": DRAFT,
        "title": "dlcli config",
        **_object(section_options(Config)),
        "$defs": {plural: _kind(registry) for plural, registry in Registry.all.items()},
    }


def _kind(registry: Registry[Any]) -> dict[str, Any]:
    """A bare name, where no option is required, or a mapping with one name as its only key."""
    entries = registry.entries()
    bare = [e.name for e in entries if not any(o.required for o in component_options(e, registry))]
    return {"anyOf": [*([{"enum": bare}] if bare else []), *(_component(e, registry) for e in entries)]}


def _component(entry: Entry[Any], registry: Registry[Any]) -> dict[str, Any]:
    options = _object(component_options(entry, registry))
    if "required" not in options:
        options["type"] = ["object", "null"]
    return {
        "type": "object",
        "description": inspect.getdoc(entry.cls) or entry.name,
        "properties": {entry.name: options},
        "required": [entry.name],
        "additionalProperties": False,
    }


def _object(declared: Iterable[Option]) -> dict[str, Any]:
    declared = list(declared)
    schema: dict[str, Any] = {
        "type": "object",
        "properties": {o.name: _option(o) for o in declared},
        "additionalProperties": False,
    }
    required = [o.name for o in declared if o.required]
    return schema | ({"required": required} if required else {})


def _option(option: Option) -> dict[str, Any]:
    schema = _value(option.type)
    if description := ann.description(option.type):
        schema = {"description": description, **schema}
    if not option.required and ann.section(option.type) is None:
        schema = {**schema, "default": resolved(option.default)}
    return schema


TYPES: dict[Any, dict[str, Any]] = {
    int: {"type": "integer"},
    float: {"type": "number"},
    bool: {"type": "boolean"},
    str: {"type": "string"},
    list: {"type": "array"},
    tuple: {"type": "array"},
    dict: {"type": "object"},
    type(None): {"type": "null"},
    Length: {"type": "string", "pattern": LENGTH_PATTERN, "examples": ["500 steps", "3 epochs", "10%"]},
}


def _value(annotation: Any) -> dict[str, Any]:
    registry, cls = ann.kind(annotation), ann.section(annotation)
    if registry is not None:
        return {"$ref": f"#/$defs/{registry.plural}"}
    if cls is not None:
        return _object(section_options(cls))
    alternatives = ann.members(annotation)
    if len(alternatives) > 1:
        return {"anyOf": [_value(a) for a in alternatives]}
    inner, limits = ann.split(annotation)
    if typing.get_origin(inner) is Literal:
        return {"enum": list(typing.get_args(inner))}
    if (item := ann.sequence(annotation)) is not None:
        return {"type": "array", "items": _value(item), **_limits(limits)}
    if typing.get_origin(inner) is tuple:
        items = [_value(a) for a in typing.get_args(inner)]
        return {"type": "array", "prefixItems": items, "minItems": len(items), "maxItems": len(items)}
    if (item := ann.mapping(annotation)) is not None:
        return {"type": "object", "additionalProperties": _value(item)}
    bounds = {} if inner is Length else _limits(limits)
    return TYPES.get(inner, {}) | bounds


def _limits(limits: Iterable[Any]) -> dict[str, Any]:
    """The bounds and length limits among what `Annotated` says."""
    found: dict[str, Any] = {}
    for limit in limits:
        if isinstance(limit, Len):
            found["minItems"] = limit.min_length
            if limit.max_length is not None:
                found["maxItems"] = limit.max_length
        elif isinstance(limit, GroupedMetadata):
            found |= _limits(limit)
        for kind, attribute, _, _, keyword in ann.BOUNDS:
            if isinstance(limit, kind):
                found[keyword] = getattr(limit, attribute)
    return found
