"""The cache: what is in it is verified at every start, and what is not can be imported or fetched (E99, E109, E116)."""

from __future__ import annotations

import os
import socket
import time
from pathlib import Path

import pytest
from loopback import Server, source_of

from dlcli.core.errors import DataError, UnavailableError, UsageError
from dlcli.data import cache
from dlcli.data.cache import fetch, import_folder, list_cached, obtain, verify
from dlcli.data.dataset import Access
from dlcli.data.sources import MNIST

DATA = {"a.gz": bytes(range(256)) * 40, "b.gz": b"labels"}


@pytest.fixture
def no_sockets(monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(*_: object, **__: object) -> None:
        raise AssertionError("a socket was opened")

    monkeypatch.setattr(socket, "socket", refuse)
    monkeypatch.setattr(socket, "getaddrinfo", refuse)


def fill(folder: Path, files: dict[str, bytes] = DATA) -> None:
    folder.mkdir(parents=True, exist_ok=True)
    for name, data in files.items():
        (folder / name).write_bytes(data)


@pytest.mark.usefixtures("no_sockets")
@pytest.mark.parametrize("offline", [True, False])
def test_a_full_cache_needs_no_network_and_is_not_touched(tmp_path: Path, offline: bool) -> None:
    fill(tmp_path)
    before = {path: path.stat().st_mtime_ns for path in tmp_path.iterdir()}
    assert obtain(source_of(DATA, ("http://127.0.0.1:1/",)), Access(tmp_path, offline=offline)) == DATA
    assert {path: path.stat().st_mtime_ns for path in tmp_path.iterdir()} == before


@pytest.mark.usefixtures("no_sockets")
def test_e116_offline_with_an_empty_cache(tmp_path: Path) -> None:
    folder = tmp_path / "none"
    with pytest.raises(UnavailableError) as caught:
        obtain(source_of(DATA, ("http://127.0.0.1:1/",)), Access(folder, offline=True))
    assert caught.value.code == 5
    assert [problem.split(":")[0] for problem in caught.value.problems[:2]] == [str(folder / name) for name in DATA]
    assert "dlcli data import DIR" in caught.value.problems[2]
    assert not folder.exists()


@pytest.mark.parametrize(
    "damaged",
    [b"", b"<html>403</html>", DATA["a.gz"][:-1], DATA["a.gz"] + b"\0", b"\xff" + DATA["a.gz"][1:]],
    ids=["empty", "page", "short", "long", "flipped"],
)
def test_e99_damaged_file_is_fetched_again(server: Server, tmp_path: Path, damaged: bytes) -> None:
    fill(tmp_path, {**DATA, "a.gz": damaged})
    notes: list[str] = []
    source = source_of(DATA, (server.serve(DATA),))
    assert obtain(source, Access(tmp_path, note=notes.append)) == DATA
    assert notes == [f"{tmp_path / 'a.gz'}: damaged; fetching it again"]
    assert server.asked == ["/a.gz"]
    assert (tmp_path / "a.gz").read_bytes() == DATA["a.gz"]


def test_e99_damaged_file_offline(tmp_path: Path) -> None:
    fill(tmp_path, {**DATA, "a.gz": b"?"})
    with pytest.raises(UnavailableError, match=r"a\.gz: damaged"):
        obtain(source_of(DATA), Access(tmp_path, offline=True))


def test_e112_only_old_unfinished_files_are_removed(server: Server, tmp_path: Path) -> None:
    fill(tmp_path, {".tmp-1-old": b"x", ".tmp-2-young": b"x", "mine.txt": b"x"})
    day = time.time() - 25 * 3600
    for name in (".tmp-1-old", "mine.txt"):
        os.utime(tmp_path / name, (day, day))
    obtain(source_of(DATA, (server.serve(DATA),)), Access(tmp_path))
    assert sorted(path.name for path in tmp_path.iterdir()) == [".tmp-2-young", "a.gz", "b.gz", "mine.txt"]


@pytest.fixture
def sources(monkeypatch: pytest.MonkeyPatch, server: Server) -> None:
    """Two small sources in the place of the real ones, of which `other` has files of the same names."""
    base = server.serve(DATA)
    others = {name: data[::-1] for name, data in DATA.items()}
    monkeypatch.setattr(cache, "SOURCES", {"small": source_of(DATA, (base,)), "other": source_of(others, (), "other")})


@pytest.mark.usefixtures("sources")
def test_commands_over_the_cache(tmp_path: Path) -> None:
    access = Access(tmp_path)
    assert [status.state for status in verify("small", access)] == ["missing", "missing"]
    assert fetch("small", access) == [tmp_path / "a.gz", tmp_path / "b.gz"]
    (tmp_path / "b.gz").write_bytes(b"?")
    listed = list_cached(access)
    assert [status.state for status in listed["small"]] == ["verified", "damaged"]
    assert [status.state for status in listed["other"]] == ["missing", "missing"]
    assert [status.size for status in listed["small"]] == [len(data) for data in DATA.values()]
    with pytest.raises(UsageError, match="did you mean 'small'"):
        fetch("smal", access)


@pytest.mark.usefixtures("sources")
@pytest.mark.parametrize("name", [None, "other"])
def test_import_recognises_files_by_their_content(tmp_path: Path, name: str | None) -> None:
    fill(tmp_path / "stick", {file: data[::-1] for file, data in DATA.items()})
    access = Access(tmp_path / "cache", offline=True)
    found, copies = import_folder(name, tmp_path / "stick", access)
    assert found == "other"
    assert copies == [tmp_path / "cache" / "other" / file for file in DATA]
    assert [status.state for status in verify("other", access)] == ["verified", "verified"]


@pytest.mark.usefixtures("sources")
def test_import_copies_nothing_unless_all_files_are_right(tmp_path: Path) -> None:
    fill(tmp_path / "stick", {"a.gz": DATA["a.gz"]})
    with pytest.raises(DataError, match=r"b\.gz: missing, expected the file of small"):
        import_folder(None, tmp_path / "stick", Access(tmp_path / "cache"))
    assert not (tmp_path / "cache").exists()


def test_mirrors_are_complete_addresses() -> None:
    assert all(base.startswith("https://") and base.endswith("/") for base in MNIST.mirrors)
    assert sum(fingerprint.size for fingerprint in MNIST.files.values()) == 11_594_722
