"""What the tests of pages share: a room in which a page may register components and import files of its own."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Callable, Iterator
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


@pytest.fixture
def shell(page_room: Path, monkeypatch: pytest.MonkeyPatch) -> Callable[[str], subprocess.CompletedProcess[str]]:
    """Runs shell lines in the room, up to the first that fails; `dlcli` is this one, and the configs are there."""
    root = Path(__file__).parents[2]
    (page_room / "configs").symlink_to(root / "configs")
    command = page_room / "bin" / "dlcli"
    command.parent.mkdir()
    command.write_text(f'#!/bin/sh\nexec "{sys.executable}" -m dlcli "$@"\n', encoding="utf-8")
    command.chmod(0o755)
    monkeypatch.setenv("PATH", f"{command.parent}{os.pathsep}{os.environ['PATH']}")
    monkeypatch.setenv("PYTHONPATH", str(root))
    monkeypatch.delenv("DLCLI_RUNS", raising=False)
    return lambda lines: subprocess.run(["sh", "-e", "-c", lines], capture_output=True, text=True, timeout=300)
