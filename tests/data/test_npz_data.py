"""Npz: what it reads, and data errors for everything that NumPy's loader would trip over or run."""

from __future__ import annotations

import io
import struct
import zipfile
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from dlcli.core.errors import ConfigError, DataError
from dlcli.data.dataset import Access, Loaded, Targets
from dlcli.data.npz import opened
from dlcli.data.npz_data import Npz

X = np.arange(24, dtype=np.float32).reshape(6, 4)
Y = np.array([0, 1, 2, 0, 1, 2])
ARRAYS = {"x_train": X, "y_train": Y, "x_test": X[:2] + 100, "y_test": Y[:2]}


def save(compress: bool = False, **arrays: np.ndarray) -> bytes:
    buffer = io.BytesIO()
    (np.savez_compressed if compress else np.savez)(buffer, **arrays)
    return buffer.getvalue()


def npz(folder: Path, data: bytes, wanted: Targets = "classes", **options: object) -> Npz:
    path = folder / "data.npz"
    path.write_bytes(data)
    return Npz(path=str(path), **options).with_targets(wanted)  # type: ignore[arg-type]


def load(dataset: Npz) -> Loaded:
    return dataset.load(0, Access(offline=True))


def npy(array: np.ndarray) -> bytes:
    buffer = io.BytesIO()
    np.lib.format.write_array(buffer, array)
    return buffer.getvalue()


def zipped(*members: tuple[str, bytes], method: int = zipfile.ZIP_STORED) -> bytes:
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w", method) as archive:
        for name, data in members:
            archive.writestr(name, data)
    return buffer.getvalue()


@pytest.mark.parametrize("compress", [False, True])
def test_reads_back_what_was_saved(tmp_path: Path, compress: bool) -> None:
    dataset = npz(tmp_path, save(compress, **ARRAYS))
    loaded = load(dataset)
    np.testing.assert_array_equal(loaded.train.inputs, X)
    assert loaded.train.inputs.dtype == np.float32
    assert loaded.test is not None
    assert loaded.test.targets.tolist() == [0, 1]
    info = dataset.info(0)
    assert (info.input_shape, info.classes, info.train, info.test, info.image) == ((4,), None, 6, 2, False)
    assert loaded.info.classes == 3
    assert list(loaded.files) == [dataset.path]


@pytest.mark.parametrize(
    ("x", "dtype"),
    [
        (X.astype(np.uint8), np.uint8),
        (X.astype(np.int32), np.float64),
        (X > 3, np.float64),
        (X.astype(">f8"), np.float64),
        (np.asfortranarray(X), np.float32),
    ],
)
def test_inputs_are_bytes_or_native_floats(tmp_path: Path, x: np.ndarray, dtype: type) -> None:
    loaded = load(npz(tmp_path, save(x_train=x, y_train=Y)))
    np.testing.assert_array_equal(loaded.train.inputs, x)
    assert loaded.train.inputs.dtype == dtype
    assert loaded.train.inputs.dtype.isnative
    assert loaded.test is None


def test_the_loss_decides_what_targets_are(tmp_path: Path) -> None:
    values = npz(tmp_path, save(**ARRAYS), "values")
    assert load(values).train.targets.tolist() == [[0], [1], [2], [0], [1], [2]]
    assert values.info(0).target_shape == load(values).info.target_shape == (1,)
    pairs = npz(tmp_path, save(x_train=X, y_train=X[:, :2]), "values")
    assert pairs.info(0).target_shape == load(pairs).info.target_shape == (2,)
    assert load(npz(tmp_path, save(**ARRAYS), classes=5)).info.classes == 5
    truth = load(npz(tmp_path, save(x_train=X, y_train=Y > 0)))
    assert (truth.train.targets.tolist(), truth.info.classes) == ([0, 1, 1, 0, 1, 1], 2)


def test_names_can_be_chosen(tmp_path: Path) -> None:
    data = save(x=X, y=Y, u=X[:1], v=Y[:1])
    loaded = load(npz(tmp_path, data, x_train="x", y_train="y", x_test="u", y_test="v"))
    assert (loaded.info.train, loaded.info.test) == (6, 1)
    assert load(npz(tmp_path, data, x_train="x", y_train="y", x_test=None, y_test=None)).test is None
    with pytest.raises(DataError, match="no array 'w'"):
        npz(tmp_path, data, x_train="x", y_train="y", x_test="w", y_test="v").info(0)
    with pytest.raises(ConfigError, match="expected both or none"):
        npz(tmp_path, data, x_train="x", y_train="y", x_test=None).info(0)


def test_a_missing_file_is_no_obstacle_before_loading(tmp_path: Path) -> None:
    dataset = Npz(path=str(tmp_path / "none.npz"), classes=4)
    assert (dataset.info(0).input_shape, dataset.info(0).classes) == (None, 4)
    with pytest.raises(DataError, match="no such file"):
        load(dataset)


NAN = X.copy()
NAN[3, 1] = np.nan


@pytest.mark.parametrize(
    ("arrays", "wanted", "words"),
    [
        ({"y_train": Y}, "classes", "no array 'x_train'"),
        ({"X_train": X, "y_train": Y}, "classes", "no array 'x_train'; did you mean 'X_train'"),
        ({**ARRAYS, "y_train": Y[:5]}, "classes", "got 6 samples in x_train and 5 in y_train"),
        ({**ARRAYS, "x_test": X[:2, :3]}, "classes", "training and test samples differ in shape"),
        ({**ARRAYS, "y_train": Y - 1}, "classes", "y_train: got label -1 at index 0, expected 0 to"),
        ({**ARRAYS, "y_train": Y * 0.5}, "classes", "y_train: got float64 targets, expected whole numbers"),
        ({**ARRAYS, "y_train": X}, "classes", r"y_train: got shape \(6, 4\), expected"),
        ({**ARRAYS, "x_train": NAN}, "classes", r"x_train: got nan at \[3, 1\], expected finite"),
        ({**ARRAYS, "y_train": NAN[:, 1]}, "values", r"y_train: got nan at \[3\], expected finite"),
        ({**ARRAYS, "x_train": X[:, 0]}, "classes", r"x_train: got shape \(6,\), expected \(N, ...\)"),
        ({**ARRAYS, "x_train": X[:0], "y_train": Y[:0]}, "classes", r"x_train: got shape \(0, 4\)"),
        ({**ARRAYS, "x_train": X.astype(str)}, "classes", "array 'x_train' is of type '<U32', expected numbers"),
        ({**ARRAYS, "x_train": X.astype(complex)}, "classes", "is of type 'complex128', expected numbers"),
    ],
)
def test_problems_name_the_array(tmp_path: Path, arrays: dict[str, np.ndarray], wanted: Targets, words: str) -> None:
    with pytest.raises(DataError, match=words) as caught:
        load(npz(tmp_path, save(**arrays), wanted))
    assert caught.value.problems[0].startswith(str(tmp_path / "data.npz"))


class Canary:
    def __reduce__(self) -> tuple[Callable[..., object], tuple[str]]:
        return (Path.touch, (Path("/tmp/must-not-exist"),))  # type: ignore[return-value]


def lying(shape: tuple[int, ...], dtype: str = "<f4", stored: bytes = bytes(96)) -> bytes:
    buffer = io.BytesIO()
    np.lib.format.write_array_header_1_0(buffer, {"descr": dtype, "fortran_order": False, "shape": shape})
    return buffer.getvalue() + stored


@pytest.mark.parametrize(
    "member",
    [
        pytest.param(npy(np.array([Canary()], dtype=object)), id="object array with a payload"),
        pytest.param(lying((2**40,)), id="declares 4 TiB"),
        pytest.param(lying((2**32, 2**32)), id="declares 2**64 numbers"),
        pytest.param(lying((-6, 4)), id="negative dimension"),
        pytest.param(lying((6, 3)), id="declares less than it stores"),
        pytest.param(lying((6, 4), stored=bytes(95)), id="a byte short"),
        pytest.param(b"", id="empty"),
        pytest.param(b"not an array", id="no magic"),
        pytest.param(b"\x93NUMPY\x01\x00" + struct.pack("<H", 9) + b"{'descr':", id="unbalanced header"),
        pytest.param(b"\x93NUMPY\x09\x00" + npy(X)[8:], id="unknown version"),
        pytest.param(b"\x93NUMPY\x01\x00" + struct.pack("<H", 60000) + b"[" * 60000, id="deep header"),
    ],
)
def test_members_that_lie(tmp_path: Path, member: bytes) -> None:
    for method in (zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED):
        data = zipped(("x_train.npy", member), ("y_train.npy", npy(Y)), method=method)
        with pytest.raises(DataError):
            load(npz(tmp_path, data))
    assert not Path("/tmp/must-not-exist").exists()


@pytest.mark.parametrize(
    "data",
    [b"", b"PK", b"<html>", npy(X), save(**ARRAYS)[:-30], b"\x80\x04K\x01.", zipped(("x_train", b"no suffix"))],
    ids=["empty", "two bytes", "page", "one array", "cut", "pickle", "no npy"],
)
def test_files_that_are_no_archive(tmp_path: Path, data: bytes) -> None:
    for read in (load, lambda dataset: dataset.info(0)):
        with pytest.raises(DataError):
            read(npz(tmp_path, data))


@pytest.mark.filterwarnings("ignore:Duplicate name")
def test_two_members_of_one_name(tmp_path: Path) -> None:
    data = zipped(("x_train.npy", npy(X)), ("x_train.npy", npy(X)), ("y_train.npy", npy(Y)))
    with pytest.raises(DataError, match="two arrays have one name"):
        load(npz(tmp_path, data))


GOOD = save(**ARRAYS)


@given(st.lists(st.tuples(st.integers(0, len(GOOD) - 1), st.integers(0, 255)), min_size=1, max_size=4))
@settings(max_examples=500, deadline=None, derandomize=True)
def test_r18_mutations_give_arrays_or_data_errors(edits: list[tuple[int, int]]) -> None:
    data = bytearray(GOOD)
    for place, value in edits:
        data[place] = value
    try:
        with opened(bytes(data), "data.npz") as archive:
            arrays = {name: archive.array(name) for name in archive.names}
    except DataError:
        return
    for name in arrays.keys() & ARRAYS.keys():
        np.testing.assert_array_equal(arrays[name], ARRAYS[name])
