"""The only file of dlcli that writes: atomic files, appended lines, exclusive directories, plain words on failure.

The primitives raise OSError and can be made to fail one by one (`faults`); what stands on them raises OutputError.
"""

from __future__ import annotations

import errno
import os
import secrets
import stat
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import TypeVar

from dlcli.core import faults
from dlcli.core.errors import DlcliError, OutputError, reason, short_path

T = TypeVar("T")

TEMP_PREFIX = ".tmp-"
"""How the name of an unfinished file begins; nothing else in a run directory begins so."""

OUT_OF_ROOM = (errno.ENOSPC, errno.EDQUOT, errno.EFBIG)

# ---------------------------------------------------------------- primitives: one system call each


def point(name: str) -> None:
    """A named moment between operations, at which a test can stop the process; nothing otherwise."""
    faults.strike(name, point=True)


def _call(op: str, function: Callable[..., T], *args: object) -> T:
    faults.strike(op)
    return function(*args)


def open_excl(path: Path) -> int:
    """A descriptor for a new file, with the permissions that the umask leaves (mkstemp would force 0600)."""
    return _call("open_excl", os.open, path, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o666)


def open_append(path: Path) -> int:
    """A descriptor that reads anywhere and writes at the end of `path`, which is created where it is missing."""
    return _call("open_append", os.open, path, os.O_RDWR | os.O_CREAT | os.O_APPEND | os.O_CLOEXEC, 0o666)


def write(fd: int, data: bytes) -> None:
    """Writes all of `data`, in one system call where the system takes it in one."""
    view = memoryview(data)
    while view:
        short = faults.strike("write")
        view = view[os.write(fd, view[: (len(view) + 1) // 2] if short else view) :]


def fsync(fd: int) -> None:
    """Forces a file to the disk itself; on macOS that takes F_FULLFSYNC, fsync stops at the drive's cache."""
    _call("fsync", _flush, fd)


def close(fd: int) -> None:
    """Closes a descriptor; on some filesystems this is where a failed write is reported."""
    _call("close", os.close, fd)


def truncate(fd: int, size: int = 0) -> None:
    """Cuts an open file down to its first `size` bytes."""
    _call("truncate", os.ftruncate, fd, size)


def replace(source: Path, target: Path) -> None:
    """Renames `source` to `target` in one step, over a file that stands there."""
    _call("replace", os.replace, source, target)


def link(source: Path, target: Path) -> None:
    """Gives a file a second name."""
    _call("link", os.link, source, target)


def unlink(path: Path) -> None:
    """Removes a name of a file."""
    _call("unlink", os.unlink, path)


def mkdir(path: Path) -> None:
    """Creates one directory; FileExistsError where the name is taken."""
    _call("mkdir", os.mkdir, path)


def fsync_dir(path: Path) -> None:
    """Forces a directory's names to disk, without which a rename may be lost in a power cut."""
    _call("fsync_dir", _flush_dir, path)


def _flush(fd: int) -> None:
    if sys.platform == "darwin":
        import fcntl

        with suppress(OSError):  # a filesystem that lacks it still has fsync
            fcntl.fcntl(fd, fcntl.F_FULLFSYNC)
            return
    os.fsync(fd)


def _flush_dir(path: Path) -> None:
    fd = os.open(path, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        os.fsync(fd)
    except OSError as error:
        if error.errno != errno.EINVAL:  # some network filesystems cannot do it for a directory at all
            raise
    finally:
        os.close(fd)


# ---------------------------------------------------------------- what the other rooms use


@contextmanager
def reporting(path: Path, survives: str = "", size: int = 0) -> Iterator[None]:
    """Turns an OSError inside the block into an OutputError: the path, the reason, the room needed, what survives."""
    try:
        yield
    except OSError as error:
        need = f" (need {_amount(size)})" if size and error.errno in OUT_OF_ROOM else ""
        message = f"{short_path(path)}: cannot write: {reason(error)}{need}" + (f"; {survives}" if survives else "")
        raise OutputError(message) from error


def nearby(path: Path) -> Path:
    """`path` as seen from the working directory where it lies below it, else, or where that is gone, as it is."""
    try:
        return path.relative_to(Path.cwd())
    except (OSError, ValueError):
        return path


def _amount(size: int) -> str:
    return f"{size / 2**20:.1f} MiB" if size >= 2**20 else f"{(size + 1023) // 1024} KiB"


def temporary(folder: Path) -> Path:
    """A fresh name for an unfinished file in `folder`, so that renaming it never crosses a filesystem."""
    return folder / f"{TEMP_PREFIX}{os.getpid()}-{secrets.token_hex(4)}"


def discard(path: Path) -> None:
    """Removes an unfinished file, if it is there and can be removed: its name says that it is worthless."""
    with suppress(OSError):
        unlink(path)


def write_atomic(path: Path, data: bytes, survives: str = "") -> None:
    """Writes a file so that at any moment, a power cut included, `path` holds the old content or the new, in full.

    A temporary file beside it is written, forced to disk and renamed, and the directory forced to disk.
    On failure the temporary file is gone and OutputError says why; `survives` ends its message. A failed fsync is not
    retried: the system may have dropped the data that it could not write. A device or a pipe is refused, since renaming
    over /dev/stdout would take it from the whole machine.
    """
    with reporting(path, survives, len(data)):
        if path.exists() and not path.is_file() and not path.is_dir():
            raise OSError("not a regular file")
        temp = temporary(path.parent)
        fd = open_excl(temp)
        try:
            try:
                write(fd, data)
                fsync(fd)
            finally:
                close(fd)
            replace(temp, path)
        except BaseException:
            discard(temp)
            raise
        fsync_dir(path.parent)


def link_atomic(source: Path, target: Path) -> None:
    """Makes `target` a second name of `source` in one step, over a file that stands there. Raises OSError."""
    temp = temporary(target.parent)
    try:
        link(source, temp)
        replace(temp, target)
    except BaseException:
        discard(temp)
        raise
    discard(temp)  # renaming a name onto another of the same file does nothing and leaves both
    fsync_dir(target.parent)


def claim_dir(path: Path) -> bool:
    """Creates a directory that nobody else has: true for exactly one of all who try, false where the name is taken."""
    with reporting(path):
        try:
            mkdir(path)
        except FileExistsError:
            return False
        fsync_dir(path.parent)
        return True


def make_dirs(path: Path) -> None:
    """Creates a directory and those above it where they are missing."""
    with reporting(path):
        for folder in (*reversed(path.parents), path):
            if not folder.is_dir():
                try:
                    mkdir(folder)
                except FileExistsError:
                    if not folder.is_dir():  # else another process was faster
                        raise NotADirectoryError(errno.ENOTDIR, os.strerror(errno.ENOTDIR), str(folder)) from None
                fsync_dir(folder.parent)


def sweep(folder: Path) -> None:
    """Removes what a killed process left unfinished in `folder`; the caller holds the lock, so none is in use."""
    for path in folder.glob(TEMP_PREFIX + "*"):
        discard(path)


def read_regular(path: Path, limit: int, failure: type[DlcliError], first: int = -1) -> bytes:
    """The content, or its `first` bytes, of a regular file of at most `limit` bytes. Raises `failure`.

    It never waits for a pipe or a device, and a file that grows meanwhile cannot fill the memory.
    """
    try:
        fd = os.open(path, os.O_RDONLY | os.O_NONBLOCK | os.O_CLOEXEC)
        with open(fd, "rb") as file:
            status = os.fstat(fd)
            if not stat.S_ISREG(status.st_mode):
                raise ValueError("not a regular file")
            if status.st_size > limit:
                raise ValueError(f"{status.st_size} bytes, expected at most {limit}")
            return file.read(limit + 1 if first < 0 else first)
    except (OSError, ValueError) as error:
        raise failure(f"{short_path(path)}: cannot read: {reason(error)}") from error
