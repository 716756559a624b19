"""Inputs without targets: which shapes are samples, and that no bytes do more than raise a DataError."""

from __future__ import annotations

import re
from pathlib import Path

import numpy as np
import pytest

from dlcli.core.errors import DataError
from dlcli.data.inputs import READERS, is_input, read_inputs

SHAPES = [
    ((1, 8, 8), (5, 1, 8, 8), 5),
    ((1, 8, 8), (5, 8, 8), 5),
    ((1, 8, 8), (5, 64), 5),
    ((1, 8, 8), (1, 8, 8), 1),
    ((1, 8, 8), (8, 8), 1),
    ((1, 8, 8), (64,), 1),
    ((3, 8, 8), (3, 8, 8), 1),
    ((3, 8, 8), (3, 192), 3),
    ((4,), (4,), 1),
    ((4,), (4, 4), 4),
    ((1,), (7,), 7),
    ((1,), (7, 1), 7),
    ((1,), (1,), 1),
    ((1,), (), 1),
    ((1, 1, 5), (5,), 1),
    ((1, 1, 5), (2, 5), 2),
]
"""The shape of one sample, that of an array, and how many samples it holds."""


@pytest.mark.parametrize(("sample", "array", "count"), SHAPES)
def test_what_is_unambiguous_is_taken(
    tmp_path: Path, sample: tuple[int, ...], array: tuple[int, ...], count: int
) -> None:
    x = np.arange(float(np.prod(array))).reshape(array)
    np.save(tmp_path / "x.npy", x)
    found = read_inputs(tmp_path / "x.npy", sample, None)
    assert found.shape == (count, *sample)
    assert found.ravel().tolist() == x.ravel().tolist()


@pytest.mark.parametrize(
    ("sample", "array", "expected"),
    [
        ((1, 8, 8), (8, 8, 1), "(N, 1, 8, 8) or (N, 8, 8) or (N, 64)"),
        ((3, 8, 8), (2, 8, 8, 3), "(N, 3, 8, 8) or (N, 192)"),
        ((4,), (2, 5), "(N, 4)"),
        ((4,), (2, 1, 4), "(N, 4)"),
    ],
)
def test_any_other_shape_is_refused(
    tmp_path: Path, sample: tuple[int, ...], array: tuple[int, ...], expected: str
) -> None:
    np.save(tmp_path / "x.npy", np.zeros(array))
    message = f"x.npy: got shape {array}, expected {expected}, or one sample without N"
    with pytest.raises(DataError, match=re.escape(message)):
        read_inputs(tmp_path / "x.npy", sample, None)


@pytest.mark.parametrize(("given", "taken"), [("u1", "u1"), ("?", "f8"), (">i4", "f8"), ("<f4", "f4"), (">f8", "f8")])
def test_bytes_and_floats_stay_as_they_are(tmp_path: Path, given: str, taken: str) -> None:
    np.save(tmp_path / "x.npy", np.array([[1, 0]], given))
    found = read_inputs(tmp_path / "x.npy", (2,), None)
    assert found.dtype == np.dtype(taken)
    assert found.tolist() == [[1, 0]]


def test_a_table_is_read_by_name_where_it_has_names(tmp_path: Path) -> None:
    path = tmp_path / "t.csv"
    path.write_text("b,c,a\n1,2,3\n")
    assert read_inputs(path, (2,), ("a", "b")).tolist() == [[3, 1]]
    assert read_inputs(path, (3,), None).tolist() == [[1, 2, 3]]
    path.write_text("1,2\n3,4\n")
    assert read_inputs(path, (2,), ("a", "b")).tolist() == [[1, 2], [3, 4]]
    path.write_text("1,2\n3,x\n")
    with pytest.raises(DataError, match="column '2': got 'x', expected a number"):
        read_inputs(path, (2,), None)


def test_names_of_files() -> None:
    names = ["a.npy", "A.NPZ", "b/t.csv", "x.idx", "train-images-idx3-ubyte", "x.gz"]
    assert [is_input(name) for name in names] == [True] * 6
    assert [is_input(name) for name in ("digits", "runs/digits-1", "x.png", "npy", "latest")] == [False] * 5


@pytest.mark.parametrize("ending", [ending for endings in READERS for ending in endings])
def test_damage_is_a_data_error(tmp_path: Path, ending: str) -> None:
    path = tmp_path / f"x{ending}"
    np.save(tmp_path / "x.npy", np.zeros((3, 4)))
    np.savez(tmp_path / "x.npz", np.zeros((3, 4)))
    whole = path.read_bytes() if path.exists() else b"\x00\x00\x08\x03" + bytes(40)
    rng = np.random.default_rng(0)
    for _ in range(60):
        damaged = bytearray(whole[: rng.integers(len(whole) + 1)])
        for place in rng.integers(max(1, len(damaged)), size=3):
            damaged[place : place + 1] = bytes([rng.integers(256)])
        path.write_bytes(damaged)
        try:
            found = read_inputs(path, (4,), None)
        except DataError:
            continue
        assert found.shape[1:] == (4,)
        assert np.isfinite(found).all()
