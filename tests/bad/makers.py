"""Inputs that are made rather than stored: binary, huge, damaged or of a kind that no repository can hold.

A line of `make` in expect.json is the name of a function here and its arguments; the first is the working directory.
"""

from __future__ import annotations

import os
import shutil
import socket as sockets
import subprocess
import sys
import tempfile
from functools import cache
from pathlib import Path


def folder(work: Path, name: str) -> None:
    """An empty folder."""
    (work / name).mkdir(parents=True)


def text(work: Path, name: str, content: str) -> None:
    """A file with a line of text."""
    (work / name).write_text(content + "\n")


def link(work: Path, name: str, target: str) -> None:
    """A symbolic link, which may dangle or lead to itself."""
    (work / name).symlink_to(target)


def fifo(work: Path, name: str) -> None:
    """A named pipe without a writer: reading it would wait for ever."""
    os.mkfifo(work / name)


def socket_file(work: Path, name: str) -> None:
    """A socket in the file system."""
    here = Path.cwd()
    os.chdir(work)  # the name of a socket may have 107 bytes only
    try:
        with sockets.socket(sockets.AF_UNIX) as opened:
            opened.bind(name)
    finally:
        os.chdir(here)


def remove(work: Path, name: str) -> None:
    """Nothing, where something was."""
    path = work / name
    shutil.rmtree(path) if path.is_dir() else path.unlink()


@cache
def _trained(*arguments: str) -> tempfile.TemporaryDirectory[str]:
    """A folder with a run of base.yaml in `run`, trained once for all cases."""
    work = tempfile.TemporaryDirectory()
    here = Path(__file__).parent
    shutil.copy(here / "base.yaml", Path(work.name, "c.yaml"))
    command = [sys.executable, "-m", "dlcli", "train", "c.yaml", "--run-dir", "run", *arguments]
    environment = {**os.environ, "PYTHONPATH": str(here.parents[1])}
    subprocess.run(command, cwd=work.name, env=environment, check=True, capture_output=True)
    return work


def run(work: Path, name: str = "run") -> None:
    """A run of the config in base.yaml, stopped at step 9 of 12, with checkpoints of the steps 4, 6, 8 and 9."""
    shutil.copytree(Path(_trained("--max-steps", "9").name, "run"), work / name)


def complete_run(work: Path, name: str = "run") -> None:
    """The same run, trained to its end at step 12."""
    shutil.copytree(Path(_trained().name, "run"), work / name)


def reencode(work: Path, name: str, encoding: str) -> None:
    """A text in another encoding."""
    path = work / name
    path.write_bytes(path.read_text(encoding="utf-8").encode(encoding))


def put(work: Path, name: str, position: str, data: str) -> None:
    """Bytes, given in hexadecimal digits, set into a file at a position; `-1` is its end."""
    path = work / name
    content, at = path.read_bytes(), int(position)
    at = len(content) if at < 0 else at
    path.write_bytes(content[:at] + bytes.fromhex(data) + content[at:])


def write_repeated(work: Path, name: str, before: str, piece: str, times: str, after: str = "") -> None:
    """A text with a piece in its middle that comes thousands of times."""
    (work / name).write_text(before + piece * int(times) + after + "\n")


def stretch(work: Path, name: str, old: str, piece: str, times: str) -> None:
    """A text with one word replaced by a piece that comes thousands of times."""
    path = work / name
    path.write_text(path.read_text().replace(old, piece * int(times)))


def line_ends(work: Path, name: str, end: str) -> None:
    """A text with other line ends: `crlf` or `cr`."""
    path = work / name
    path.write_bytes(path.read_bytes().replace(b"\n", {"crlf": b"\r\n", "cr": b"\r"}[end]))
