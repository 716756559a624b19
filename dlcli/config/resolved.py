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


def to_yaml(config: Config) -> str:
    """`config` with every default written out; loading the text gives an equal config."""
    lines: list[str] = []
    _block(config.resolved(), "", lines)
    return "\n".join(lines) + "\n"


def _block(section: dict[str, Any], indent: str, lines: list[str]) -> None:
    """The sections as indented lines, lists of components an entry a line, everything smaller in one line."""
    for key, value in section.items():
        if isinstance(value, dict) and not indent and key in ("data", "train"):
            lines.append(f"{key}:")
            _block(value, "  ", lines)
        elif isinstance(value, list) and value and not indent:
            lines.append(f"{key}:")
            lines += [f"  - {entry(item)}" for item in value]
        else:
            lines.append(f"{indent}{key}: {flow(value)}")


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
