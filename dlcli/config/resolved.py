"""Resolved configs as text and side by side: YAML that loads back to the same config, and what differs between two."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from typing import Any

from dlcli.config.schema import Config
from dlcli.config.yamlfile import scalar

_UNQUOTED = re.compile(r"[A-Za-z0-9_./][A-Za-z0-9_./%-]*( [A-Za-z0-9_./%-]+)*")
"""Texts that mean themselves anywhere in the YAML subset, unless they mean a number or a constant."""


WIDTH = 80
"""Characters of a container of layers that is still written in one line."""


def to_yaml(config: Config) -> str:
    """`config` with every default written out, but for what every layer takes; loading it gives an equal config."""
    lines: list[str] = []
    _block(config.resolved(brief=True), "", lines)
    return "\n".join(lines) + "\n"


def _block(section: dict[str, Any], indent: str, lines: list[str]) -> None:
    """The sections as indented lines, lists of components entry by entry, everything smaller in one line."""
    for key, value in section.items():
        if isinstance(value, dict) and not indent and key in ("data", "train"):
            lines.append(f"{key}:")
            _block(value, "  ", lines)
        elif isinstance(value, list) and value and not indent:
            lines.append(f"{key}:")
            lines += _items(value, "  ")
        else:
            lines.append(f"{indent}{key}: {flow(value)}")


def _items(values: list[Any], indent: str) -> list[str]:
    """The entries of a list, each in one line; a long one that holds layers has these in lines of their own."""
    lines = []
    for value in values:
        text, inner = entry(value), []
        if _deep(value):
            inner = _items(value, "")
        elif isinstance(value, dict) and len(text) > WIDTH:
            ((name, options),) = value.items()
            if any(map(_deep, options.values())):
                inner = [f"{name}:"]
                for key, v in options.items():
                    inner += [f"  {key}:", *_items(v, "    ")] if _deep(v) else [f"  {key}: {flow(v)}"]
        first, *rest = inner or [text]
        lines += [f"{indent}- {first}", *(f"{indent}  {line}" for line in rest)]
    return lines


def _deep(value: Any) -> bool:
    """Whether it is a list of more than scalars."""
    return isinstance(value, list) and any(isinstance(v, (dict, list)) for v in value)


def entry(component: Any) -> str:
    """A resolved component without its outer braces: `Linear: {out_features: 10}`."""
    return flow(component)[1:-1] if isinstance(component, dict) else flow(component)


def flow(value: Any) -> str:
    """`value` in one line of YAML that loads back as it is."""
    if isinstance(value, dict):
        return "{" + ", ".join(f"{flow(str(key))}: {flow(v)}" for key, v in value.items()) + "}"
    if isinstance(value, list):
        return "[" + ", ".join(flow(v) for v in value) + "]"
    if isinstance(value, str) and _UNQUOTED.fullmatch(value) and scalar(value) == value:
        return value
    text = json.dumps(value)
    # 1e-08 is a number here and in YAML 1.2; readers of YAML 1.1 want the point.
    return text.replace("e", ".0e") if isinstance(value, float) and "e" in text and "." not in text else text


def differences(a: dict[str, Any], b: dict[str, Any]) -> list[tuple[str, Any, Any]]:
    """The dotted keys in which two resolved configs differ, with both values; None where one has no such key.

    Components of different names and lists of different lengths differ as a whole.
    """
    return list(_differences(a, b, ()))


def _differences(a: Any, b: Any, path: tuple[Any, ...]) -> Iterator[tuple[str, Any, Any]]:
    if isinstance(a, dict) and isinstance(b, dict) and a.keys() & b.keys():
        for key in dict.fromkeys([*a, *b]):
            yield from _differences(a.get(key), b.get(key), (*path, key))
    elif isinstance(a, list) and isinstance(b, list) and len(a) == len(b):
        for i, (x, y) in enumerate(zip(a, b, strict=True)):
            yield from _differences(x, y, (*path, i))
    elif a != b or type(a) is not type(b):
        yield ".".join(map(str, path)), a, b
