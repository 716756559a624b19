"""What tests of data share: a mirror on this machine, and the files that it can serve."""

from __future__ import annotations

from collections.abc import Iterator

import pytest
from loopback import Server, small_files

from dlcli.data import download


@pytest.fixture
def server(monkeypatch: pytest.MonkeyPatch) -> Iterator[Server]:
    """A mirror that lives as long as the test; no attempt waits for longer than a moment."""
    monkeypatch.setenv("NO_PROXY", "127.0.0.1")
    monkeypatch.setattr(download, "PATIENCE", 0.8)
    running = Server()
    yield running
    running.stop()


@pytest.fixture(scope="session")
def files() -> dict[str, bytes]:
    return small_files()
