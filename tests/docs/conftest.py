"""What the tests of pages share: a room in which a page may register components and import files of its own."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest

import dlcli
from dlcli.core.registry import Registry


@pytest.fixture
def page_room(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    """A folder of its own to work in and to import from; what is registered or imported meanwhile is forgotten."""
    dir(dlcli)  # the built-in components are registered before what replaces them
    entries = {registry: dict(registry._entries) for registry in Registry.all.values()}
    modules = set(sys.modules)
    monkeypatch.chdir(tmp_path)
    monkeypatch.syspath_prepend(tmp_path)
    yield tmp_path
    for registry, before in entries.items():
        registry._entries = before
    for name in set(sys.modules) - modules:
        if str(tmp_path) in (getattr(sys.modules[name], "__file__", None) or ""):
            del sys.modules[name]


@pytest.fixture
def namespace(page_room: Path, monkeypatch: pytest.MonkeyPatch) -> dict[str, Any]:
    """Where a page's code runs: a module, because dataclasses look theirs up."""
    module = ModuleType("page")
    monkeypatch.setitem(sys.modules, "page", module)
    return vars(module)
