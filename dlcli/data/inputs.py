"""Reads samples without targets from a file of arrays, of images or of a table, shaped as a network takes them."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from pathlib import Path

from dlcli.core.arena import Array
from dlcli.core.errors import DataError, short_path
from dlcli.data.files import read
from dlcli.data.idx import read_idx
from dlcli.data.npz import opened, read_npy
from dlcli.data.npz_data import numeric
from dlcli.data.table import read_table

USUAL = ("x", "inputs")
"""The names under which an archive of several arrays holds the inputs."""

Reader = Callable[[bytes, str, Sequence[str] | None], Array]


def is_input(name: str) -> bool:
    """Whether a file of that name can be read."""
    return _reader(name) is not None


def read_inputs(path: Path, shape: tuple[int, ...], columns: Sequence[str] | None) -> Array:
    """The samples (N, *shape) in a file: finite floats, or bytes; `columns` are those of a table with names.

    One sample needs no batch axis, axes of length 1 may be left out, and samples may be flat. DataError where the file
    cannot be read, is of no known kind, or holds something else.
    """
    where, reader = short_path(path), _reader(path.name)
    if reader is None:
        raise DataError(f"{where}: got an unknown kind of file, expected .npy, .npz, .csv, .idx, -ubyte or .gz")
    found = numeric(reader(read(path), where, columns), where)
    if not found.size:
        raise DataError(f"{where}: got no samples: its shape is {found.shape}")
    forms = list(dict.fromkeys((shape, tuple(n for n in shape if n > 1), (math.prod(shape),))))
    for form in forms:
        if found.shape in (form, (len(found) if found.ndim else 1, *form)):
            return found.reshape(-1, *shape)
    wanted = " or ".join(_shape("N", *form) for form in forms)
    raise DataError(f"{where}: got shape {found.shape}, expected {wanted}, or one sample without N")


def _reader(name: str) -> Reader | None:
    return next((reader for endings, reader in READERS.items() if name.lower().endswith(endings)), None)


def _shape(*axes: object) -> str:
    return f"({', '.join(map(str, axes))}{',' * (len(axes) == 1)})"


def _npy(data: bytes, where: str, columns: Sequence[str] | None) -> Array:
    return read_npy(data, where)


def _npz(data: bytes, where: str, columns: Sequence[str] | None) -> Array:
    with opened(data, where) as archive:
        names = [name for name in USUAL if name in archive.names] or archive.names
        if len(names) != 1:
            got = ", ".join(archive.names[:6]) or "none"
            raise DataError(f"{where}: got the arrays {got}, expected one, or one called {' or '.join(USUAL)}")
        return archive.array(names[0])


def _csv(data: bytes, where: str, columns: Sequence[str] | None) -> Array:
    table = read_table(data, where, names=False)
    return table.numbers(columns if columns is not None and table.named else table.columns)


def _idx(data: bytes, where: str, columns: Sequence[str] | None) -> Array:
    return read_idx(data, where, 3)


READERS: dict[tuple[str, ...], Reader] = {
    (".npy",): _npy,
    (".npz",): _npz,
    (".csv",): _csv,
    (".idx", "ubyte", ".gz"): _idx,
}
"""What reads a file, by the ends of its name."""
