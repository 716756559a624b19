"""Where the text of a config comes from: a file, a run directory, or standard input; read once, and never for ever."""

from __future__ import annotations

import os
import stat
import sys
from difflib import get_close_matches
from pathlib import Path

from dlcli.core.errors import ConfigError, UsageError, quote, reason

MAX_BYTES = 1 << 20
"""The largest config, in bytes."""

STDIN = "-"


def read_text(source: str | Path) -> tuple[str, str]:
    """The text of `source` and the name that messages give it; `-` is standard input, a run directory its config."""
    name = os.fspath(source)
    if not name:
        raise UsageError("the path of the config is empty")
    if name == STDIN:
        name = "stdin"
        data = sys.stdin.buffer.read(MAX_BYTES + 1) if sys.stdin else b""
    else:
        name, data = _read_file(name)
    if len(data) > MAX_BYTES:
        raise ConfigError(f"{name}: larger than {MAX_BYTES:,} bytes, expected a config")
    if data.startswith((b"\xff\xfe", b"\xfe\xff")) or b"\0" in data[:2]:
        raise ConfigError(f"{name}: the text is UTF-16, expected UTF-8; save it as UTF-8")
    try:
        return data.decode("utf-8-sig"), name
    except UnicodeDecodeError as error:
        line = data.count(b"\n", 0, error.start) + 1
        column = error.start - data.rfind(b"\n", 0, error.start)
        raise ConfigError(
            f"{name}:{line}:{column}: byte 0x{data[error.start]:02x} is not UTF-8; save the file as UTF-8"
        ) from None


def _read_file(name: str) -> tuple[str, bytes]:
    if os.path.isdir(name):  # noqa: PTH112 - a name with NUL or half a pair must not raise here
        inside = str(Path(name, "config.yaml"))
        if not os.path.isfile(inside):  # noqa: PTH113
            raise ConfigError(f"{name}: is a directory without config.yaml, expected a config file or a run directory")
        name = inside
    try:
        # Without O_NONBLOCK, opening a FIFO waits for its writer.
        descriptor = os.open(name, os.O_RDONLY | os.O_CLOEXEC | getattr(os, "O_NONBLOCK", 0))
    except FileNotFoundError:
        if os.path.islink(name):  # noqa: PTH114
            raise ConfigError(
                f"{name}: is a link to {quote(str(Path(name).readlink()))}, which does not exist"
            ) from None
        raise ConfigError(f"{name}: no such file; {_neighbour(Path(name))}") from None
    except (OSError, ValueError) as error:
        raise ConfigError(f"{name}: cannot be read: {reason(error)}") from None
    with open(descriptor, "rb") as file:
        if not stat.S_ISREG(os.fstat(descriptor).st_mode):
            raise ConfigError(f"{name}: is no regular file, expected a config file (or '-' for standard input)")
        try:
            return name, file.read(MAX_BYTES + 1)
        except OSError as error:
            raise ConfigError(f"{name}: cannot be read: {reason(error)}") from None


def _neighbour(path: Path) -> str:
    """What to do about a missing file: the nearest name beside it, and the way to a new one."""
    new = "'dlcli config new' writes starter configs"
    for folder in (path.parent, Path("configs")):
        try:
            names = {p.stem: p.name for p in folder.iterdir() if p.suffix in (".yaml", ".yml")}
        except (OSError, ValueError):
            continue
        near = get_close_matches(path.stem, names, n=1)
        if near:
            return f"did you mean {quote(str(folder / names[near[0]]))}? ({new})"
    return new
