"""Files that only grow, by whole lines: what a journal is written to."""

from __future__ import annotations

import os
from pathlib import Path

from dlcli.core import fsio


class AppendFile:
    """A file that only grows, by whole lines; OutputError names it when it cannot."""

    def __init__(self, path: Path) -> None:
        self.path = path
        with fsio.reporting(path):
            self.fd = fsio.open_append(path)
            try:
                fsio.fsync_dir(path.parent)
            except OSError:
                os.close(self.fd)
                raise

    def append_line(self, line: bytes) -> None:
        """Appends `line` and a line feed with one write, so that lines of several processes do not mix."""
        with fsio.reporting(self.path):
            fsio.write(self.fd, line + b"\n")

    def sync(self) -> None:
        """Forces what was appended to disk."""
        with fsio.reporting(self.path):
            fsio.fsync(self.fd)

    def truncate(self, size: int) -> None:
        """Cuts the file down to its first `size` bytes."""
        with fsio.reporting(self.path):
            fsio.truncate(self.fd, size)

    def close(self) -> None:
        """Closes the file."""
        with fsio.reporting(self.path):
            fsio.close(self.fd)

    def __enter__(self) -> AppendFile:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()
