"""One process at a time per run: a lock that the system itself gives back when its owner dies."""

from __future__ import annotations

import errno
import fcntl
import os
import socket
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

from dlcli.core import fsio
from dlcli.core.errors import BusyError, escape

UNSUPPORTED = (errno.ENOLCK, errno.EOPNOTSUPP, errno.ENOSYS)
"""How a filesystem says that it has no locks."""

ATTEMPTS = 10
"""How often a lock that is held is tried again, a hundredth of a second apart."""


class RunLock:
    """Holds `flock(LOCK_EX)` on the file `path` from `acquire` to `release`, or for the life of the process.

    The file holds the owner's process id and host, for messages only, and is never deleted: whoever deletes it lets
    two owners lock two files of one name. Raises BusyError where another process holds it.
    """

    def __init__(self, path: Path, note: Callable[[str], None]) -> None:
        self.path = path
        self.note = note
        self.fd = -1

    def acquire(self) -> None:
        """Takes the lock at once or raises BusyError; where the filesystem has no locks, notes that and goes on."""
        with fsio.reporting(self.path):
            self.fd = fsio.open_append(self.path)
            try:
                self._lock()
                fsio.truncate(self.fd)
                fsio.write(self.fd, f"{os.getpid()} {socket.gethostname()}\n".encode())
            except BlockingIOError:
                owner = self._owner()
                self.release()
                raise BusyError(f"{self.path.parent}: locked by {owner}; wait until it ends or stop it") from None
            except OSError as error:
                if error.errno not in UNSUPPORTED:
                    self.release()
                    raise
                self.note(f"{self.path.parent}: this filesystem has no locks; let no other process write to this run")

    def _lock(self) -> None:
        for _ in range(ATTEMPTS - 1):  # a second look: it may have been the instant of an `is_locked`
            try:
                return fcntl.flock(self.fd, fcntl.LOCK_EX | fcntl.LOCK_NB)
            except BlockingIOError:
                time.sleep(0.01)
        return fcntl.flock(self.fd, fcntl.LOCK_EX | fcntl.LOCK_NB)

    def release(self) -> None:
        """Gives the lock back."""
        if self.fd >= 0:
            os.close(self.fd)
            self.fd = -1

    @contextmanager
    def released_on_failure(self) -> Iterator[None]:
        """Gives the lock back where the block does not come to its end."""
        try:
            yield
        except BaseException:
            self.release()
            raise

    def _owner(self) -> str:
        pid, _, host = os.pread(self.fd, 300, 0).decode("utf-8", "replace").strip().partition(" ")
        return escape(f"process {pid} on {host}") if pid and host else "another process"

    def __enter__(self) -> RunLock:
        self.acquire()
        return self

    def __exit__(self, *_: object) -> None:
        self.release()


def is_locked(path: Path) -> bool:
    """Whether a process holds the lock file `path`; creates and changes nothing.

    It asks with a shared lock for an instant, so that two who ask do not see each other.
    """
    try:
        fd = os.open(path, os.O_RDONLY | os.O_NONBLOCK | os.O_CLOEXEC)
    except OSError:
        return False
    try:
        fcntl.flock(fd, fcntl.LOCK_SH | fcntl.LOCK_NB)
    except BlockingIOError:
        return True
    except OSError:
        return False
    finally:
        os.close(fd)
    return False
