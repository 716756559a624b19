"""The run lock: one owner at a time, freed by the system when the owner is killed, visible without disturbing."""

from __future__ import annotations

import errno
import fcntl
import os
import signal
import socket
import subprocess
import sys
import threading
import time
from pathlib import Path

import pytest

from dlcli.core import faults
from dlcli.core.errors import BusyError, OutputError
from dlcli.core.lock import RunLock, is_locked

OWNER = """
import sys, time
from pathlib import Path
from dlcli.core.lock import RunLock
with RunLock(Path(sys.argv[1]), print):
    print("held", flush=True)
    time.sleep(60)
"""


def no_note(text: str) -> None:
    raise AssertionError(text)


@pytest.fixture
def owner(tmp_path: Path):
    with subprocess.Popen(
        [sys.executable, "-c", OWNER, tmp_path / ".lock"], stdout=subprocess.PIPE, text=True
    ) as process:
        assert process.stdout is not None
        assert process.stdout.readline() == "held\n"
        yield process
        process.kill()


def test_r14_a_second_process_is_told_who_has_it_and_a_killed_owner_leaves_it(tmp_path: Path, owner) -> None:
    path = tmp_path / ".lock"
    start = time.monotonic()
    with pytest.raises(BusyError) as caught, RunLock(path, no_note):
        pass
    assert time.monotonic() - start < 1
    assert str(caught.value).startswith(f"{tmp_path}: locked by process {owner.pid} on {socket.gethostname()}; ")
    assert is_locked(path)
    owner.send_signal(signal.SIGKILL)
    owner.wait()
    assert not is_locked(path)
    with RunLock(path, no_note):
        assert path.read_text() == f"{os.getpid()} {socket.gethostname()}\n"


def test_the_lock_can_be_taken_again_after_its_release(tmp_path: Path) -> None:
    path = tmp_path / ".lock"
    for _ in range(3):
        with RunLock(path, no_note):
            assert is_locked(path)
            assert is_locked(path)
        assert not is_locked(path)


def test_asking_creates_nothing_and_never_stands_in_the_way(tmp_path: Path) -> None:
    path = tmp_path / ".lock"
    assert not is_locked(path)
    assert not path.exists()
    stop = threading.Event()

    def ask() -> None:
        while not stop.is_set():
            is_locked(path)

    asking = threading.Thread(target=ask)
    asking.start()
    try:
        for _ in range(200):
            with RunLock(path, no_note):
                pass
    finally:
        stop.set()
        asking.join()


@pytest.mark.parametrize("content", [b"", b"\xff\x00", b"1", b"1 a\x1b[31m\n", b"9" * 5000])
def test_any_content_of_the_lock_file_gives_one_printable_line(tmp_path: Path, content: bytes) -> None:
    path = tmp_path / ".lock"
    path.write_bytes(content)
    with path.open() as held:
        fcntl.flock(held, fcntl.LOCK_EX)
        with pytest.raises(BusyError) as caught:
            RunLock(path, no_note).acquire()
    assert caught.value.lines()[0].isprintable()


@pytest.mark.parametrize("number", [errno.ENOLCK, errno.EOPNOTSUPP])
def test_a_filesystem_without_locks_is_noted_once(tmp_path: Path, monkeypatch, number: int) -> None:
    def refuse(*_: object) -> None:
        raise OSError(number, os.strerror(number))

    monkeypatch.setattr(fcntl, "flock", refuse)
    notes: list[str] = []
    with RunLock(tmp_path / ".lock", notes.append):
        pass
    assert [n for n in notes if "no locks" in n] == notes
    assert len(notes) == 1
    assert not is_locked(tmp_path / ".lock")


@pytest.mark.parametrize("op", ["open_append", "truncate", "write"])
def test_a_lock_that_cannot_be_written_is_an_output_error_and_not_held(tmp_path: Path, op: str) -> None:
    faults.plan(f"{op}:1:ENOSPC")
    try:
        with pytest.raises(OutputError, match="no space left on device"):
            RunLock(tmp_path / ".lock", no_note).acquire()
    finally:
        faults.plan("")
    assert not is_locked(tmp_path / ".lock")
