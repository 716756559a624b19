"""Reads a file into memory, whole and once, with a limit and with plain words for what is wrong with it."""

from __future__ import annotations

import hashlib
import os
import stat
from pathlib import Path

from dlcli.core.errors import DataError, quote, reason, short_path

MAX_FILE = 2 << 30
"""The largest file, and the largest array in a file, that is read, in bytes."""

PIECES, PIECE = 1024, 1 << 16
"""How many samples of a larger file its fingerprint takes, and their bytes."""


def sha256(data: bytes) -> str:
    """The hash of `data` in hexadecimal digits."""
    return hashlib.sha256(data).hexdigest()


def fingerprint(path: Path) -> str:
    """The sha256 of a file; of one larger than `MAX_FILE` that of its size and of samples of it, marked `sampled:`.

    The samples are `PIECES` pieces of `PIECE` bytes at even distances, the first and the last bytes among them, which
    takes a moment where the whole might take minutes. They tell another file, a longer one and one in another order
    apart, but not one in which a single sample was changed in place.
    """
    size = path.stat().st_size
    with open(path, "rb") as file:
        if size <= MAX_FILE:
            return hashlib.file_digest(file, "sha256").hexdigest()
        found = hashlib.sha256(str(size).encode())
        for i in range(PIECES):
            file.seek((size - PIECE) * i // (PIECES - 1))
            found.update(file.read(PIECE))
    return f"sampled:{found.hexdigest()}"


def read(path: Path, limit: int | None = None, most: int = MAX_FILE) -> bytes:
    """The content of a regular file, or its first `limit` bytes; DataError where it cannot be had.

    A FIFO or a device is refused before it is read, so that none can hang or fill the memory.
    """
    try:
        with open(path, "rb", opener=_without_waiting) as file:
            facts = os.fstat(file.fileno())
            if not stat.S_ISREG(facts.st_mode):
                raise DataError(f"{short_path(path)}: not a regular file, expected a file with data")
            if limit is None and facts.st_size > most:
                raise DataError(f"{short_path(path)}: got {facts.st_size} bytes, expected at most {most}")
            return file.read(most + 1 if limit is None else limit)
    except OSError as error:
        raise DataError(f"{short_path(path)}: {reason(error)}, expected a readable file") from error
    except ValueError as error:  # a NUL in the name
        raise DataError(f"{quote(str(path))}: got a name that no file can have, expected a path") from error


def _without_waiting(path: str, flags: int) -> int:
    """An opener for `open`: a FIFO would else wait until someone writes into it."""
    return os.open(path, flags | os.O_NONBLOCK)
