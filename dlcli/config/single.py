"""One component on its own, from the text or the plain values that a config would hold for it."""

from __future__ import annotations

from typing import Any

from dlcli.config.components import Component
from dlcli.config.document import Document, fail
from dlcli.config.reader import Reader
from dlcli.config.yamlfile import parse
from dlcli.core.registry import Registry


def component(kind: str, value: Any, where: str) -> Component:
    """The checked component of `Name` or `{Name: {options}}`; ConfigError naming `where` with every problem."""
    return _read(kind, Document(value, where))


def component_from_text(kind: str, text: str, where: str) -> Component:
    """Like `component`, from YAML such as `Linear: {out_features: 3}`."""
    return _read(kind, parse(text, where))


def _read(kind: str, document: Document) -> Component:
    reader = Reader(document)
    found = reader.component(Registry.all[kind], document.value, ())
    fail(reader.problems)
    return found
