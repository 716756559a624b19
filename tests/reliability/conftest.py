"""What the reliability tests share: a server of processes, the rig's config, and its uninterrupted result."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from pathlib import Path

import pytest
from processes import Server
from rig import STEPS, Result, result, write_config

ON_LINUX = ("failing_writes", "same_bits", "side_by_side", "signals")
"""Tests that look into /proc, choose cores or mount."""

collect_ignore = [] if sys.platform == "linux" else [f"test_{name}.py" for name in ON_LINUX]


@pytest.fixture(scope="session")
def shared_server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    logs = tmp_path_factory.mktemp("logs")
    server = Server(logs, logs)
    yield server
    server.close()


@pytest.fixture
def server(shared_server: Server, tmp_path: Path) -> Server:
    """Starts command lines in the test's own folder."""
    shared_server.folder = tmp_path
    return shared_server


@pytest.fixture(scope="session")
def rig(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The rig's config."""
    return write_config(tmp_path_factory.mktemp("rig"))


@pytest.fixture(scope="session")
def uninterrupted(shared_server: Server, rig: Path, tmp_path_factory: pytest.TempPathFactory) -> Result:
    """The result of the rig trained in one go."""
    run = tmp_path_factory.mktemp("reference") / "run"
    shared_server.must("train", rig, "--run-dir", run, real=True)
    reference = result(run)
    assert reference.step == STEPS
    assert reference.summary is not None
    return reference
