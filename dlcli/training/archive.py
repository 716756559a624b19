"""The bytes of a checkpoint: an uncompressed .npz with one spelling only, so that any other byte is an error.

The members are `meta.npy`, canonical JSON as uint8, and then the arrays in the order of their names. The JSON lists
every array with dtype, shape and sha256, and holds the sha256 of itself. All else (zip headers, npy headers, their
order, their fields) follows from that list: the reader builds it anew and compares, so nothing in the file can name,
expand, hide or execute anything, and two equal contents are equal files. Any tool that reads .npz reads it.
"""

from __future__ import annotations

import hashlib
import json
import math
import re
import struct
import zlib
from collections.abc import Mapping
from typing import Any

import numpy as np

from dlcli.core.arena import Array
from dlcli.core.errors import CheckpointError, DivergedError, OutputError, escape, quote

FORMAT = "dlcli-ckpt"
VERSION = 1

DTYPES = ("<f4", "<f8", "<i4", "<i8", "|u1", "|b1")
NAME = re.compile(r"[A-Za-z0-9_.-]{1,128}")
META = "meta"
META_START = 30 + len("meta.npy") + 128
"""Where the JSON starts: after the zip header, the member's name and the npy header, which is 128 bytes here."""

MAX_SIZE = 2**31
MAX_META = 2**24
MAX_ARRAYS = 65_000
"""Limits in bytes, bytes and arrays; the zip format itself ends at 65,535 members."""

Arrays = dict[str, Array]
Member = tuple[str, bytes, memoryview]
"""A member's name, npy header and payload."""


def pack(meta: Mapping[str, Any], arrays: Mapping[str, Array]) -> bytes:
    """The one spelling of `meta` (JSON with finite numbers) and `arrays` (finite, C order after packing).

    Raises DivergedError for a number that is not finite, OutputError beyond `MAX_SIZE`.
    """
    members = []
    listed = []
    for name in sorted(arrays):
        array = np.asarray(arrays[name], order="C")
        descr = array.dtype.newbyteorder("<").str
        if not NAME.fullmatch(name) or name == META or descr not in DTYPES:
            raise ValueError(f"array {name!r} of dtype {array.dtype} has no place in a checkpoint")
        if not np.isfinite(array).all():
            raise DivergedError(f"checkpoint: array {quote(name)} holds nan or inf, expected finite numbers")
        payload = array.astype(descr, copy=False).reshape(-1).view(np.uint8).data
        members.append((name, _npy_header(descr, array.shape), payload))
        digest = hashlib.sha256(payload).hexdigest()
        listed.append({"name": name, "dtype": descr, "shape": list(array.shape), "sha256": digest})
    size = sum(len(header) + len(payload) + 2 * len(name) + 84 for name, header, payload in members)
    if size > MAX_SIZE - MAX_META or len(members) > MAX_ARRAYS:
        limits = f"expected at most {MAX_ARRAYS} arrays and {MAX_SIZE} bytes"
        raise OutputError(f"checkpoint: {len(members)} arrays and {size} bytes, {limits}; make the model smaller")
    full = {**meta, "format": FORMAT, "version": VERSION, "arrays": listed}
    try:
        full["meta_sha256"] = hashlib.sha256(_canonical(full)).hexdigest()
        text = _canonical(full)
    except ValueError:
        raise DivergedError("checkpoint: a figure is nan or inf, expected finite numbers") from None
    return _assemble([_meta_member(text), *members])


def unpack(data: bytes, where: str) -> tuple[dict[str, Any], Arrays]:
    """The `meta` and `arrays` that were packed into `data`, the arrays aligned and writable.

    Raises CheckpointError, which starts with `where`, unless `data` is to the byte what `pack` makes of its content.
    """
    meta = unpack_meta(data, where)
    try:
        return meta, _unpack_arrays(data, meta.pop("arrays"), where)
    except (TypeError, ValueError, KeyError, OverflowError):
        raise CheckpointError(f"{where}: damaged: its list of arrays makes no sense") from None


def unpack_meta(data: bytes, where: str) -> dict[str, Any]:
    """The verified meta, its list `arrays` included, of a file that starts with `data` (at least `meta_end` bytes)."""
    text = data[META_START : meta_end(data, where)]
    try:
        meta: dict[str, Any] = json.loads(text)
        if meta.pop("format") != FORMAT:
            raise CheckpointError(f"{where}: not a dlcli checkpoint")
        version, digest = meta["version"], meta.pop("meta_sha256")
        signed = {**meta, "format": FORMAT}
        intact = digest == hashlib.sha256(_canonical(signed)).hexdigest()
        intact = intact and text == _canonical({**signed, "meta_sha256": digest})
    except (TypeError, ValueError, KeyError, AttributeError, RecursionError, OverflowError):
        intact = False
    if not intact:
        raise CheckpointError(f"{where}: damaged: its description does not match its own checksum")
    if type(meta.pop("version")) is not int or version != VERSION:
        got = f"format version {quote(version)}, expected {VERSION}"
        raise CheckpointError(f"{where}: written by another version of dlcli: {got}; use the dlcli that wrote it")
    return meta


def meta_end(data: bytes, where: str) -> int:
    """How many bytes of the file `unpack_meta` needs, read off its first `META_START` bytes."""
    if len(data) < META_START or data[:4] != b"PK\3\4" or data[30:38] != b"meta.npy":
        what = "cut short, or not a dlcli checkpoint" if data else "empty, expected a checkpoint"
        raise CheckpointError(f"{where}: {what}")
    end = 38 + int.from_bytes(data[22:26], "little")
    if end > META_START + MAX_META:
        got = f"{end - META_START} bytes, expected at most {MAX_META}"
        raise CheckpointError(f"{where}: damaged: its description has {got}")
    return end


def _unpack_arrays(data: bytes, listed: list[dict[str, Any]], where: str) -> Arrays:
    end = meta_end(data, where)
    members = [_meta_member(data[META_START:end])]
    arrays: Arrays = {}
    before = ""
    if type(listed) is not list:
        raise TypeError
    for entry in listed:
        name, descr, shape, digest = (entry[key] for key in ("name", "dtype", "shape", "sha256"))
        array = f"{where}: array {quote(name)}"
        if not NAME.fullmatch(name) or name == META or name <= before or len(entry) != 4:
            raise CheckpointError(f"{array} has no place in the list of arrays")
        if descr not in DTYPES or type(shape) is not list or any(type(n) is not int or n < 0 for n in shape):
            raise CheckpointError(f"{array} has dtype {quote(descr)} and shape {quote(shape)}")
        header = _npy_header(descr, tuple(shape))
        start = end + 34 + len(name) + len(header)
        end = start + math.prod(shape) * np.dtype(descr).itemsize
        if end > len(data):
            raise CheckpointError(f"{array} ends at byte {end}, but the file has {len(data)}")
        payload = memoryview(data)[start:end]
        found = hashlib.sha256(payload).hexdigest()
        if found != digest:
            raise CheckpointError(f"{array} is damaged: sha256 {found[:8]}, expected {escape(str(digest))[:8]}")
        arrays[name] = np.ndarray(shape, descr, data, start).astype(np.dtype(descr).newbyteorder("="))
        if not np.isfinite(arrays[name]).all():
            raise CheckpointError(f"{array} holds nan or inf, expected finite numbers")
        members.append((name, header, payload))
        before = name
    if _assemble(members) != data:
        raise CheckpointError(f"{where}: damaged: its zip structure is not the one that its arrays give")
    return arrays


def _canonical(meta: Mapping[str, Any]) -> bytes:
    return json.dumps(meta, sort_keys=True, separators=(",", ":"), allow_nan=False).encode()


def _meta_member(text: bytes) -> Member:
    return META, _npy_header("|u1", (len(text),)), memoryview(text)


def _npy_header(descr: str, shape: tuple[int, ...]) -> bytes:
    """The header of the npy format, version 1.0, padded to a multiple of 64 bytes.

    NumPy's own writer is not used: how much it pads depends on its version. Source: numpy.lib.format.
    """
    text = f"{{'descr': '{descr}', 'fortran_order': False, 'shape': {shape!r}, }}"
    text += " " * (-(11 + len(text)) % 64) + "\n"
    return b"\x93NUMPY\1\0" + struct.pack("<H", len(text)) + text.encode()


def _assemble(members: list[Member]) -> bytes:
    """A zip file of stored members, dated 1980-01-01, without extra fields or comments.

    Source: PKWARE's APPNOTE.TXT 4.3 (local file header, central directory header, end of central directory record).
    """
    parts: list[bytes | memoryview] = []
    central: list[bytes] = []
    offset = 0
    for name, header, payload in members:
        file = f"{name}.npy".encode()
        size = len(header) + len(payload)
        crc = zlib.crc32(payload, zlib.crc32(header))
        common = struct.pack("<5H3I2H", 20, 0, 0, 0, 0x21, crc, size, size, len(file), 0)
        parts += [b"PK\3\4", common, file, header, payload]
        central += [b"PK\1\2\x14\0", common, struct.pack("<3H2I", 0, 0, 0, 0, offset), file]
        offset += 30 + len(file) + size
    directory = b"".join(central)
    end = struct.pack("<4s4H2IH", b"PK\5\6", 0, 0, len(members), len(members), len(directory), offset, 0)
    return b"".join([*parts, directory, end])
