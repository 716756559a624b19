"""Reads an npz archive without NumPy's loader, which trusts headers, leaks exceptions and can unpickle."""

from __future__ import annotations

import io
import math
import struct
import tokenize
import zipfile
import zlib
from collections.abc import Iterator
from contextlib import contextmanager
from typing import IO

import numpy as np

from dlcli.core.errors import DataError, quote, suggest
from dlcli.data.dataset import Array
from dlcli.data.files import MAX_FILE

KINDS = "buif"
"""Booleans, integers and floats; above all no objects, which would be pickled."""

HEADERS = {(1, 0): np.lib.format.read_array_header_1_0, (2, 0): np.lib.format.read_array_header_2_0}

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
        with self._member(name) as (_, shape, _, _):
            return shape

    def array(self, name: str) -> Array:
        """An array; its declared size has been compared with the stored one before memory is taken."""
        with self._member(name) as (file, shape, fortran, dtype):
            stored = file.read()
        if len(stored) != math.prod(shape) * dtype.itemsize:
            raise DataError(f"{self.where}: array {quote(name)} does not have the size that its header declares")
        flat = np.frombuffer(stored, dtype)
        array = flat.reshape(shape[::-1]).T if fortran else flat.reshape(shape)
        return array.astype(dtype.newbyteorder("="), copy=False)

    @contextmanager
    def _member(self, name: str) -> Iterator[tuple[IO[bytes], tuple[int, ...], bool, np.dtype[np.generic]]]:
        if name not in self.names:
            raise DataError(f"{self.where}: no array {quote(name)}; {suggest(name, self.names)}")
        member = self.zip.getinfo(name + ".npy")
        if member.file_size > MAX_FILE:
            raise DataError(
                f"{self.where}: array {quote(name)} takes {member.file_size} bytes, expected at most {MAX_FILE}"
            )
        with self.zip.open(member) as file:
            version = np.lib.format.read_magic(file)
            if version not in HEADERS:
                raise DataError(f"{self.where}: array {quote(name)} has format version {version}, expected (1, 0)")
            shape, fortran, dtype = HEADERS[version](file)
            if dtype.kind not in KINDS:
                raise DataError(f"{self.where}: array {quote(name)} is of type {quote(str(dtype))}, expected numbers")
            if any(n < 0 for n in shape) or math.prod(shape) * dtype.itemsize > member.file_size:
                raise DataError(f"{self.where}: array {quote(name)} declares shape {shape}, more than the file holds")
            yield file, shape, fortran, dtype


@contextmanager
def opened(data: bytes, where: str) -> Iterator[Archive]:
    """The archive in the bytes of a file; inside the block every failure to read it is a DataError."""
    try:
        yield Archive(data, where)
    except LEAKS as error:
        words = str(error).splitlines()
        raise DataError(f"{where}: damaged, or not an npz file ({(words or [''])[0]}); save it again") from error
