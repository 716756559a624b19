"""Reads npy and npz files without NumPy's loader, which trusts headers, leaks exceptions and can unpickle."""

from __future__ import annotations

import io
import math
import mmap
import struct
import tokenize
import zipfile
import zlib
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import IO, Any

import numpy as np

from dlcli.core.arena import Array
from dlcli.core.errors import DataError, quote, short_path, suggest
from dlcli.data.files import MAX_FILE, read

KINDS = "buif"
"""Booleans, integers and floats; above all no objects, which would be pickled."""

HEADERS = {(1, 0): np.lib.format.read_array_header_1_0, (2, 0): np.lib.format.read_array_header_2_0}

HEAD = 1 << 17
"""Bytes at the beginning of an npy file that hold its header: that of version 1 is shorter than 2**16."""

LEAKS = (
    zipfile.BadZipFile, zlib.error, struct.error, tokenize.TokenError, EOFError, ValueError, TypeError, KeyError,
    RuntimeError, NotImplementedError, OverflowError, SyntaxError, RecursionError, UnicodeError, OSError,
)  # fmt: skip
"""What zipfile and NumPy raise on damaged files."""


class Archive:
    """The arrays in the bytes of an npz file; use it through `opened`, which turns every failure into DataError."""

    def __init__(self, data: bytes, where: str) -> None:
        self.where = where
        self.zip = zipfile.ZipFile(io.BytesIO(data))
        names = self.zip.namelist()
        if len(set(names)) < len(names):
            raise DataError(f"{where}: two arrays have one name, expected different names")
        self.names = [name.removesuffix(".npy") for name in names]

    def shape(self, name: str) -> tuple[int, ...]:
        """The shape of an array, from its header alone."""
        with self._member(name) as (file, size, what):
            return _header(file, size, what)[0]

    def array(self, name: str) -> Array:
        """An array; its declared size has been compared with the stored one before memory is taken."""
        with self._member(name) as (file, size, what):
            return _array(file, size, what)

    @contextmanager
    def _member(self, name: str) -> Iterator[tuple[IO[bytes], int, str]]:
        """The npy file of an array, its size in bytes, and what messages call it."""
        if name not in self.names:
            raise DataError(f"{self.where}: no array {quote(name)}; {suggest(name, self.names)}")
        member, what = self.zip.getinfo(name + ".npy"), f"{self.where}: array {quote(name)}"
        if member.file_size > MAX_FILE:
            raise DataError(f"{what} takes {member.file_size} bytes, expected at most {MAX_FILE}")
        with self.zip.open(member) as file:
            yield file, member.file_size, what


@contextmanager
def opened(data: bytes, where: str) -> Iterator[Archive]:
    """The archive in the bytes of a file; inside the block every failure to read it is a DataError."""
    with _plain(where, "npz"):
        yield Archive(data, where)


def read_npy(data: bytes, where: str) -> Array:
    """The array in the bytes of an npy file; DataError where it is damaged or holds no numbers."""
    with _plain(where, "npy"):
        return _array(io.BytesIO(data), len(data), where)


def map_npy(path: Path) -> Array:
    """The array of an npy file as a read-only map of it: what is read of it stays on disk, however large it is.

    DataError where the file is damaged, holds no numbers, or has them column by column, so that no row is in one piece.
    A file that is cut short while it is mapped ends the process.
    """
    where, head = short_path(path), read(path, limit=HEAD)
    with _plain(where, "npy"):
        size, file = path.stat().st_size, io.BytesIO(head)
        shape, fortran, dtype = _header(file, size, where)
        if fortran and len(shape) > 1:
            raise DataError(f"{where}: stored column by column, expected row by row; save np.ascontiguousarray of it")
        if file.tell() + math.prod(shape) * dtype.itemsize != size:
            raise DataError(f"{where} does not have the size that its header declares")
        if 0 in shape:
            return np.empty(shape, dtype)
        return np.asarray(np.memmap(path, dtype, "r", file.tell(), shape))


def expect_scattered(array: Array) -> None:
    """Tell the system that rows of a mapped array will be read in any order; nothing for an array in memory.

    It would else read 1 MB and more around each row: for batches from a cold file of 8 GB, 3000 times as much.
    """
    owner: Any = array
    while isinstance(owner, np.ndarray):
        owner = owner.base
    if isinstance(owner, mmap.mmap) and hasattr(mmap, "MADV_RANDOM"):
        owner.madvise(mmap.MADV_RANDOM)


@contextmanager
def _plain(where: str, kind: str) -> Iterator[None]:
    """Every way in which reading fails, as DataError."""
    try:
        yield
    except LEAKS as error:
        words = str(error).splitlines()
        raise DataError(f"{where}: damaged, or not an {kind} file ({(words or [''])[0]}); save it again") from error


def _header(file: IO[bytes], size: int, what: str) -> tuple[tuple[int, ...], bool, np.dtype[np.generic]]:
    """Shape, order and type of an array, once it is certain that `size` bytes of file can hold so much."""
    version = np.lib.format.read_magic(file)
    if version not in HEADERS:
        raise DataError(f"{what} has format version {version}, expected (1, 0)")
    shape, fortran, dtype = HEADERS[version](file)
    if dtype.kind not in KINDS:
        raise DataError(f"{what} is of type {quote(str(dtype))}, expected numbers")
    if any(n < 0 for n in shape) or math.prod(shape) * dtype.itemsize > size:
        raise DataError(f"{what} declares shape {shape}, more than the file holds")
    return shape, fortran, dtype


def _array(file: IO[bytes], size: int, what: str) -> Array:
    shape, fortran, dtype = _header(file, size, what)
    stored = file.read()
    if len(stored) != math.prod(shape) * dtype.itemsize:
        raise DataError(f"{what} does not have the size that its header declares")
    flat = np.frombuffer(stored, dtype)
    array = flat.reshape(shape[::-1]).T if fortran else flat.reshape(shape)
    return array.astype(dtype.newbyteorder("="), copy=False)
