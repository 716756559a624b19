"""Data in npy files: the same as in memory, and never read whole."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from dlcli.core.errors import ConfigError, DataError
from dlcli.data import files
from dlcli.data.batches import Batches, Normalizer
from dlcli.data.dataset import Access, Samples, Targets
from dlcli.data.files import fingerprint, sha256
from dlcli.data.npy_data import Npy
from dlcli.data.npz import map_npy
from dlcli.data.picked import Picked

RNG = np.random.default_rng(0)
X, Y = RNG.integers(0, 256, (60, 1, 4, 4), np.uint8), RNG.integers(0, 3, 60).astype(np.uint8)


def saved(folder: Path, **arrays: Any) -> dict[str, str]:
    """The paths of arrays that are saved, by their names."""
    for name, array in arrays.items():
        np.save(folder / f"{name}.npy", array)
    return {name: str(folder / f"{name}.npy") for name in arrays}


def load(dataset: Npy, wanted: Targets = "classes") -> Any:
    return dataset.with_targets(wanted).load(0, Access())


def mapped(array: Any) -> bool:
    while array is not None and not isinstance(array, np.memmap):
        array = array.base
    return array is not None


def test_the_arrays_stay_on_disk(tmp_path: Path) -> None:
    dataset = Npy(**saved(tmp_path, x_train=X, y_train=Y, x_test=X[:5], y_test=Y[:5]))
    info, found = dataset.info(0), load(dataset)
    assert (info.input_shape, info.train, info.test, info.image) == ((1, 4, 4), 60, 5, True)
    assert (found.info.classes, found.info.target_shape) == (3, ())
    assert mapped(found.train.inputs)
    assert mapped(found.train.targets)
    np.testing.assert_array_equal(found.train.inputs, X)
    np.testing.assert_array_equal(found.test.targets, Y[:5])
    assert found.files == {p: sha256(Path(p).read_bytes()) for p in found.files}
    assert len(found.files) == 4


def test_batches_of_it_are_those_of_the_arrays(tmp_path: Path) -> None:
    found = load(Npy(**saved(tmp_path, x_train=X, y_train=Y))).train
    rows = np.array([3, 4, 8, 11, 20, 21, 40, 59])
    part = Samples(Picked(found.inputs, rows), found.targets[rows])
    normalizers = [Normalizer.fit("standardize", x, True) for x in (X[rows], part.inputs)]
    assert normalizers[0].mean == normalizers[1].mean
    assert normalizers[0].std == normalizers[1].std
    plain = Batches(Samples(X[rows], Y[rows].astype(np.int64)), normalizers[0], np.float32, 3, seed=5, shuffle=True)
    for got, wanted in zip(
        Batches(part, normalizers[1], np.float32, 3, seed=5, shuffle=True).epoch(1), plain.epoch(1), strict=True
    ):
        np.testing.assert_array_equal(got[0], wanted[0])
        np.testing.assert_array_equal(got[1], wanted[1])
        assert got[1].dtype == np.int64


@pytest.mark.parametrize("dtype", ["f4", "f8", ">f4", "i2", "u1", "?"])
def test_any_numbers_can_be_inputs(tmp_path: Path, dtype: str) -> None:
    x = RNG.integers(0, 2, (20, 3)).astype(dtype)
    train = load(Npy(**saved(tmp_path, x_train=x, y_train=Y[:20]))).train
    normalizer = Normalizer.fit("standardize", train.inputs, image=False)
    wanted = Normalizer.fit("standardize", x.astype(np.float64), image=False)
    np.testing.assert_allclose(normalizer.mean, wanted.mean, rtol=1e-12)
    np.testing.assert_allclose(normalizer.std, wanted.std, rtol=1e-12)
    batch, _ = Batches(train, normalizer, np.float32, 20).gather(np.arange(20))
    np.testing.assert_allclose(batch, (x - wanted.mean) / wanted.std, rtol=1e-5)


def test_the_loss_decides_what_targets_are(tmp_path: Path) -> None:
    dataset = Npy(**saved(tmp_path, x_train=X, y_train=Y))
    assert dataset.with_targets("values").info(0).target_shape == (1,)
    assert load(dataset, "values").train.targets.shape == (60, 1)
    assert load(Npy(**saved(tmp_path, x_train=X, y_train=Y > 1))).info.classes == 2


def test_missing_files_are_no_obstacle_before_loading(tmp_path: Path) -> None:
    dataset = Npy(x_train=str(tmp_path / "x.npy"), y_train=str(tmp_path / "y.npy"))
    assert dataset.info(0).input_shape is None
    with pytest.raises(DataError, match="expected a readable file"):
        load(dataset)


@pytest.mark.parametrize(
    ("arrays", "words"),
    [
        ({"x_train": X, "y_train": Y[:50]}, "got 60 samples in .* and 50 in .*, expected as many"),
        ({"x_train": X[:, 0, 0, 0], "y_train": Y}, r"got shape \(60,\), expected \(N, ...\) with N samples"),
        ({"x_train": X[:0], "y_train": Y[:0]}, r"got shape \(0, 1, 4, 4\), expected \(N, ...\)"),
        (
            {"x_train": np.asfortranarray(X.reshape(60, 16)), "y_train": Y},
            "stored column by column, expected row by row",
        ),
        ({"x_train": X.astype(complex), "y_train": Y}, "is of type 'complex128', expected numbers"),
        ({"x_train": X, "y_train": Y.astype(float)}, "got float64 targets, expected whole numbers as classes"),
        ({"x_train": X, "y_train": Y.astype(int) - 1}, "got label -1 at index"),
        ({"x_train": X, "y_train": Y, "x_test": X[:2, :, :2], "y_test": Y[:2]}, "differ in shape, expected the same"),
    ],
)
def test_problems_are_told(tmp_path: Path, arrays: dict[str, Any], words: str) -> None:
    with pytest.raises(DataError, match=words):
        load(Npy(**saved(tmp_path, **arrays)))


def test_half_a_test_set_is_none(tmp_path: Path) -> None:
    paths = saved(tmp_path, x_train=X, y_train=Y)
    with pytest.raises(ConfigError, match="got one of x_test and y_test, expected both or none"):
        load(Npy(**paths, x_test=paths["x_train"]))


@pytest.mark.parametrize("cut", [0, 5, 60, 127, 200, -1])
def test_a_file_that_is_cut_is_damaged(tmp_path: Path, cut: int) -> None:
    path = Path(saved(tmp_path, x=X)["x"])
    whole = path.read_bytes()
    for data in (whole[:cut], whole + b"\0"):
        path.write_bytes(data)
        with pytest.raises(DataError):
            map_npy(path)


def test_the_fingerprint_of_a_huge_file_takes_samples(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = tmp_path / "huge"
    data = bytearray(RNG.bytes(900))
    path.write_bytes(data)
    assert fingerprint(path) == sha256(bytes(data))
    monkeypatch.setattr(files, "MAX_FILE", 899)
    monkeypatch.setattr(files, "PIECES", 5)
    monkeypatch.setattr(files, "PIECE", 4)
    before = fingerprint(path)
    assert before.startswith("sampled:")
    changed = set()
    for place in range(900):
        data[place] ^= 1
        path.write_bytes(data)
        if fingerprint(path) != before:
            changed.add(place)
        data[place] ^= 1
    assert len(changed) == 20
    assert {0, 3, 896, 899} <= changed
    path.write_bytes(data + b"\0")
    assert fingerprint(path) != before


@pytest.mark.skipif(not sys.platform.startswith("linux"), reason="/proc tells what the system was told")
@pytest.mark.parametrize(("shuffle", "told"), [(True, True), (False, False)])
def test_the_system_is_told_that_rows_are_read_in_any_order(tmp_path: Path, shuffle: bool, told: bool) -> None:
    paths = saved(tmp_path, x_train=X, y_train=Y)
    train = load(Npy(**paths)).train
    Batches(train, Normalizer(np.zeros(()), np.ones(())), np.float32, 4, shuffle=shuffle)
    maps = Path("/proc/self/smaps").read_text().partition(paths["x_train"])[2]
    flags = next(line for line in maps.splitlines() if line.startswith("VmFlags"))
    assert ("rr" in flags.split()) == told


CHILD = """
import resource, sys
import numpy as np
from dlcli.data.batches import Batches, Normalizer
from dlcli.data.dataset import Access
from dlcli.data.npy_data import Npy
resource.setrlimit(resource.RLIMIT_DATA, (300 << 20, 300 << 20))
train = Npy(x_train=sys.argv[1], y_train=sys.argv[2]).load(0, Access()).train
batches = Batches(train, Normalizer(np.zeros(()), np.ones(())), np.float32, 64, seed=1, shuffle=True)
for step, (x, y) in enumerate(batches.epoch(0)):
    if step == 5:
        break
print(train.inputs.nbytes >> 30, x.shape, int(x.sum()), y.dtype)
"""


def test_a_file_larger_than_the_memory_is_no_obstacle(tmp_path: Path) -> None:
    n, width = 1 << 16, 33_280
    sparse = np.lib.format.open_memmap(tmp_path / "x.npy", mode="w+", dtype=np.uint8, shape=(n, width))
    del sparse  # no byte of it takes room on the disk
    np.save(tmp_path / "y.npy", np.arange(n, dtype=np.uint16) % 10)
    command = [sys.executable, "-c", CHILD, str(tmp_path / "x.npy"), str(tmp_path / "y.npy")]
    done = subprocess.run(command, capture_output=True, text=True, timeout=100, check=False)
    assert done.stderr == ""
    assert done.stdout == f"2 (64, {width}) 0 int64\n"
