"""The JSON Schema of config files, for editors: from the same annotations that check them."""

from __future__ import annotations

import inspect
from collections.abc import Iterable
from typing import Any

from annotated_types import Len
from pydantic.errors import PydanticInvalidForJsonSchema, PydanticOmit

from dlcli.config import annotations as ann
from dlcli.config.components import resolved
from dlcli.config.reader import component_options, section_options
from dlcli.config.schema import Config
from dlcli.core.options import Option
from dlcli.core.registry import Entry, Registry

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
    bare = [e.name for e in entries if not any(o.required for o in component_options(e.cls, registry.base))]
    return {"anyOf": [*([{"enum": bare}] if bare else []), *(_component(e, registry) for e in entries)]}


def _component(entry: Entry[Any], registry: Registry[Any]) -> dict[str, Any]:
    options = _object(component_options(entry.cls, registry.base))
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


def _value(annotation: Any) -> dict[str, Any]:
    registry, cls = ann.kind(annotation), ann.section(annotation)
    if registry is not None:
        return {"$ref": f"#/$defs/{registry.plural}"}
    if cls is not None:
        return _object(section_options(cls))
    if ann.is_length(annotation):
        return {"type": "string", "pattern": ann.LENGTH_PATTERN, "examples": ["500 steps", "3 epochs", "10%"]}
    if ann.is_plain(annotation):
        return _plain(annotation)
    alternatives = ann.members(annotation)
    if len(alternatives) > 1:
        return {"anyOf": [_value(a) for a in alternatives]}
    if (item := ann.sequence(annotation)) is not None:
        limits: dict[str, Any] = {}
        for extra in ann.split(annotation)[1]:
            if isinstance(extra, Len):
                limits = {"minItems": extra.min_length, "maxItems": extra.max_length}
        return {"type": "array", "items": _value(item), **{k: v for k, v in limits.items() if v is not None}}
    return {"type": "object", "additionalProperties": _value(ann.mapping(annotation))}


def _plain(annotation: Any) -> dict[str, Any]:
    try:
        return ann.plain_schema(annotation)
    except (PydanticInvalidForJsonSchema, PydanticOmit):  # a type of a user's own
        return {}
