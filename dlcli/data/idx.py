"""Reads IDX, the format of MNIST's files, and trusts nothing that a file says of itself.

IDX: two zero bytes, a type byte, the number of dimensions as a byte, each dimension as a big-endian 32-bit integer, and
the numbers in C order (LeCun, Cortes and Burges, The MNIST database of handwritten digits, 1998).
"""

from __future__ import annotations

import gzip
import io
import math
import struct
import zlib
from collections.abc import Iterator
from contextlib import contextmanager

import numpy as np

from dlcli.core.arena import Array
from dlcli.core.errors import DataError
from dlcli.data.dataset import Samples
from dlcli.data.files import MAX_FILE

UNSIGNED_BYTE = 0x08
MAX_DIMENSION = 1 << 31
GZIP_MAGIC = b"\x1f\x8b"
DEFLATE_RATIO = 1032
"""No deflate stream grows by more than this factor, so a header that claims more lies."""

CONTENTS = {1: "labels (1 dimension)", 3: "images (3 dimensions)"}


def read_idx(data: bytes, name: str, ndim: int) -> Array:
    """The array in an IDX file of unsigned bytes with `ndim` dimensions; read-only. DataError where anything is off.

    `name` stands in messages; where it ends in `.gz`, `data` has to be gzip.
    """
    with _plain(name):
        file = _open(data, name)
        shape = _header(file, len(data), name, ndim)
        size = math.prod(shape)
        payload = memoryview(data)[file.tell() :] if isinstance(file, io.BytesIO) else file.read(size + 1)
    if len(payload) != size:
        got = f"{len(payload)} bytes" if len(payload) < size else "more"
        raise DataError(f"{name}: got {got} after the header, expected {size} for {'x'.join(map(str, shape))}")
    return np.frombuffer(payload, np.uint8).reshape(shape)


def idx_shape(data: bytes, name: str, ndim: int) -> tuple[int, ...]:
    """The shape that the header declares, which is all that is looked at; DataError where the header is wrong."""
    with _plain(name):
        return _header(_open(data, name), len(data), name, ndim)


@contextmanager
def _plain(name: str) -> Iterator[None]:
    """Every way in which gzip fails, as DataError."""
    try:
        yield
    except (EOFError, zlib.error, OSError) as error:  # BadGzipFile is an OSError
        raise DataError(f"{name}: damaged or truncated gzip data ({error}); get the file again") from error


def _open(data: bytes, name: str) -> io.BufferedIOBase:
    if name.endswith(".gz"):
        if not data.startswith(GZIP_MAGIC):
            raise DataError(
                f"{name}: not gzip data, expected it of a name that ends in .gz; rename or compress the file"
            )
        return gzip.GzipFile(fileobj=io.BytesIO(data))
    if data.startswith(GZIP_MAGIC):
        raise DataError(f"{name}: gzip data under a name without .gz; rename the file")
    return io.BytesIO(data)


def _header(file: io.BufferedIOBase, stored: int, name: str, ndim: int) -> tuple[int, ...]:
    """The shape, once it is certain that `stored` bytes of file can hold so much: nothing is allocated before."""
    magic = file.read(4)
    if len(magic) < 4:
        raise DataError(f"{name}: got {len(magic)} bytes, expected an IDX file")
    if magic[:2] != b"\0\0":
        raise DataError(f"{name}: not an IDX file: begins with 0x{magic[:2].hex()}, expected 0x0000")
    if magic[2] != UNSIGNED_BYTE:
        raise DataError(f"{name}: got IDX type 0x{magic[2]:02x}, expected 0x08 (unsigned bytes)")
    if magic[3] != ndim:
        got = CONTENTS.get(magic[3], f"{magic[3]} dimensions")
        hint = "; are images and labels swapped?" if magic[3] in CONTENTS else ""
        raise DataError(f"{name}: got {got}, expected {CONTENTS[ndim]}{hint}")
    header = file.read(4 * ndim)
    if len(header) < 4 * ndim:
        raise DataError(f"{name}: header cut after {4 + len(header)} bytes, expected {4 + 4 * ndim}")
    shape = struct.unpack(f">{ndim}I", header)
    if not all(1 <= n <= MAX_DIMENSION for n in shape):
        raise DataError(f"{name}: got dimensions {shape}, expected each from 1 to 2**31")
    size = math.prod(shape)
    if size > min(MAX_FILE, stored * DEFLATE_RATIO):
        raise DataError(f"{name}: header declares {size} bytes, more than the {stored} bytes of the file can hold")
    return shape


def image_samples(images: tuple[str, bytes], labels: tuple[str, bytes], classes: int) -> Samples:
    """Samples of two IDX files, each as (name, content): images (N, 1, H, W) uint8, and labels below `classes`.

    DataError names the first label out of range, or the two counts where they differ.
    """
    pixels = read_idx(images[1], images[0], 3)
    targets = read_idx(labels[1], labels[0], 1)
    if len(pixels) != len(targets):
        raise DataError(
            f"{images[0]}: got {len(pixels)} images and {len(targets)} labels in {labels[0]}, "
            "expected as many; are files of training and test mixed up?"
        )
    wrong = np.flatnonzero(targets >= classes)
    if wrong.size:
        first = int(wrong[0])
        raise DataError(f"{labels[0]}: got label {targets[first]} at index {first}, expected 0 to {classes - 1}")
    return Samples(pixels[:, np.newaxis], targets.astype(np.int64))
