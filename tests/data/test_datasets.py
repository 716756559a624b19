"""Every data set: its facts agree with its arrays, the seed decides, and training shares nothing with the test."""

from __future__ import annotations

import gzip
import os
from dataclasses import replace
from pathlib import Path
from typing import ClassVar

import numpy as np
import pytest
from loopback import Server, idx, source_of

from dlcli.core.errors import ConfigError, DataError
from dlcli.core.options import options
from dlcli.core.registry import Entry
from dlcli.data.dataset import Access, DataInfo, Dataset, Loaded, datasets
from dlcli.data.digits import held_out
from dlcli.data.idx_data import Idx
from dlcli.data.mnist import DownloadedImages, Mnist, load_mnist
from dlcli.data.sources import Source

ENTRIES = datasets.entries()
OFFLINE = Access(Path("no such folder"), offline=True)
GENERATED = [
    pytest.param(entry.cls(**example.options), id=f"{entry.name}-{i}")
    for entry in ENTRIES
    if entry.name in ("digits", "linear", "xor", "spirals", "blobs")
    for i, example in enumerate(entry.cls.examples)
]


def agree(info: DataInfo, loaded: Loaded) -> None:
    """What was known before loading holds after it, and what is known after it is true of the arrays."""
    for name, before in vars(info).items():
        if before is not None:
            assert getattr(loaded.info, name) == before, name
    known = loaded.info
    for samples, count in ((loaded.train, known.train), (loaded.test, known.test)):
        if samples is None:
            assert count == 0
            continue
        assert samples.inputs.shape == (count, *known.input_shape)
        assert samples.targets.shape == (count, *known.target_shape)
        if known.target_shape == ():
            assert samples.targets.dtype == np.int64
            assert 0 <= samples.targets.min() <= samples.targets.max() < known.classes
        else:
            assert known.classes is None
            assert samples.targets.dtype == np.float64


def rows(loaded: Loaded) -> tuple[set[bytes], set[bytes]]:
    train, test = (
        {np.ascontiguousarray(row).tobytes() for row in split.inputs} for split in (loaded.train, loaded.test) if split
    )
    return train, test


@pytest.mark.parametrize("entry", ENTRIES, ids=[entry.name for entry in ENTRIES])
def test_every_data_set_is_documented_and_has_examples(entry: Entry[Dataset]) -> None:
    assert entry.cls.__doc__
    assert "Source:" in entry.cls.__doc__
    assert entry.cls.examples
    assert "wanted" not in [option.name for option in options(entry.cls, Dataset)]


@pytest.mark.parametrize("entry", ENTRIES, ids=[entry.name for entry in ENTRIES])
def test_facts_need_neither_data_nor_network(
    entry: Entry[Dataset], monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.chdir(tmp_path)
    for example in entry.cls.examples:
        info = entry.cls(**example.options).info(0)
        users_own = entry.name in ("Csv", "Npz", "Npy", "Idx")
        assert (info.input_shape is None) == (info.train is None) == users_own


@pytest.mark.parametrize("dataset", GENERATED)
def test_facts_agree_with_the_arrays(dataset: Dataset) -> None:
    agree(dataset.info(3), dataset.load(3, OFFLINE))
    assert dataset.with_targets("values").info(3) == dataset.info(3)


@pytest.mark.parametrize("dataset", GENERATED)
def test_the_seed_decides(dataset: Dataset) -> None:
    one, two, other = (dataset.load(seed, OFFLINE) for seed in (7, 7, 8))
    for a, b in zip((*one.train, *one.test), (*two.train, *two.test), strict=True):
        np.testing.assert_array_equal(a, b)
    drawn = not one.files
    without_chance = getattr(dataset, "noise", 1) == 0
    assert np.array_equal(one.train.inputs, other.train.inputs) == (not drawn or without_chance)


@pytest.mark.parametrize("dataset", [p for p in GENERATED if p.id != "xor-1"])
def test_training_shares_no_sample_with_the_test(dataset: Dataset) -> None:
    train, test = rows(dataset.load(0, OFFLINE))
    assert not train & test


def test_digits_hold_out_every_fifth_of_a_class() -> None:
    np.testing.assert_array_equal(np.flatnonzero(held_out(np.zeros(9))), [2, 7])
    loaded = datasets.get("digits")().load(0, OFFLINE)
    assert np.bincount(loaded.test.targets).tolist() == [36, 36, 35, 37, 36, 36, 36, 36, 35, 36]
    assert loaded.train.inputs.max() == 16
    assert len(loaded.files) == 2


def test_linear_follows_its_formula() -> None:
    dataset = datasets.get("linear")(weight=[1.0, -2.0, 0.5], bias=3.0, noise=0.0)
    loaded = dataset.load(0, OFFLINE)
    truth = loaded.truth
    assert truth["weight"].shape == (1, 3)
    np.testing.assert_allclose(
        loaded.train.targets, loaded.train.inputs @ truth["weight"].T + truth["bias"], atol=1e-14
    )
    noisy = datasets.get("linear")(weight=[1.0, -2.0, 0.5], bias=3.0, noise=0.5).load(0, OFFLINE)
    assert np.std(noisy.train.targets - loaded.train.targets) == pytest.approx(0.5, rel=0.1)
    with pytest.raises(ConfigError, match="expected one for each input"):
        datasets.get("linear")(weight=[]).info(0)


def test_the_number_of_test_samples_changes_no_training_sample() -> None:
    for name in ("linear", "xor", "spirals", "blobs"):
        few, many = (datasets.get(name)(test_samples=n).load(0, OFFLINE) for n in (0, 50))
        np.testing.assert_array_equal(few.train.inputs, many.train.inputs)
        assert few.test is None


def test_planar_problems_are_what_they_say() -> None:
    xor = datasets.get("xor")(noise=0.0, samples=4).load(0, OFFLINE).train
    assert xor.inputs.tolist() == [[-1, -1], [-1, 1], [1, -1], [1, 1]]
    assert xor.targets.tolist() == [0, 1, 1, 0]
    spirals = datasets.get("spirals")(classes=2, noise=0.0).load(0, OFFLINE).train
    radius = np.linalg.norm(spirals.inputs, axis=1)
    angle = 2 * np.pi * (0.75 * radius + spirals.targets / 2)
    np.testing.assert_allclose(
        spirals.inputs, radius[:, None] * np.stack([np.sin(angle), np.cos(angle)], 1), atol=1e-12
    )
    blobs = datasets.get("blobs")(spread=0.0, features=3).load(0, OFFLINE)
    assert {tuple(row) for row in blobs.train.inputs} == {tuple(row) for row in blobs.test.inputs}
    assert len({tuple(row) for row in blobs.train.inputs}) == 3


class Small(DownloadedImages):
    """The four small files, by the very code that loads MNIST."""

    facts: ClassVar[DataInfo] = replace(Mnist.facts, train=30, test=10)


def test_small_files_take_the_path_of_mnist(
    server: Server, files: dict[str, bytes], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    source: Source = source_of(files, (server.serve(files),))
    monkeypatch.setattr(Small, "source", source, raising=False)
    loaded = Small().load(0, Access(tmp_path))
    agree(Small().info(0), loaded)
    assert loaded.files == {name: fingerprint.sha256 for name, fingerprint in source.files.items()}
    assert loaded.train.targets.tolist() == [*range(10)] * 3
    again = Small().load(1, Access(tmp_path, offline=True))
    np.testing.assert_array_equal(again.train.inputs, loaded.train.inputs)


def test_load_mnist_standardises_with_training_figures(
    server: Server, files: dict[str, bytes], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(Mnist, "source", source_of(files, (server.serve(files),)))
    (x_train, y_train), (x_test, y_test) = load_mnist(Access(tmp_path))
    assert (x_train.shape, x_test.shape, x_train.dtype, x_test.dtype) == ((30, 784), (10, 784), np.float32, np.float32)
    assert x_train.mean() == pytest.approx(0, abs=1e-6)
    assert x_train.std() == pytest.approx(1, abs=1e-6)
    pixels = np.frombuffer(gzip.decompress(files["t10k-images-idx3-ubyte.gz"])[16:], np.uint8).astype(float) / 255
    scale = np.frombuffer(gzip.decompress(files["train-images-idx3-ubyte.gz"])[16:], np.uint8).astype(float) / 255
    np.testing.assert_allclose(x_test.ravel(), (pixels - scale.mean()) / scale.std(), atol=1e-5)
    assert (y_train.shape, y_test.tolist()) == ((30,), [*range(10)])


@pytest.mark.mnist
def test_real_mnist(mnist_folder: Path) -> None:
    loaded = Mnist().load(0, Access(mnist_folder, offline=True))
    agree(Mnist().info(0), loaded)
    assert loaded.train.targets[:5].tolist() == [5, 0, 4, 1, 9]
    assert loaded.train.inputs.mean() / 255 == pytest.approx(0.1307, abs=1e-4)
    train, test = rows(loaded)
    assert not train & test


def own_images(folder: Path, **changed: bytes) -> dict[str, str]:
    """Options of an `Idx` whose four files are made; `changed` replaces some of them."""
    rng = np.random.default_rng(0)
    content = {
        "train_images": idx(rng.integers(0, 256, (6, 4, 5))),
        "train_labels": idx(np.array([0, 1, 2, 0, 1, 2])),
        "test_images": gzip.compress(idx(rng.integers(0, 256, (3, 4, 5)))),
        "test_labels": idx(np.array([2, 1, 0])),
        **changed,
    }
    paths = {name: str(folder / (name + (".gz" if data[:2] == b"\x1f\x8b" else ""))) for name, data in content.items()}
    for name, path in paths.items():
        Path(path).write_bytes(content[name])
    return paths


def test_idx_reads_plain_and_gzip_files(tmp_path: Path) -> None:
    dataset = Idx(**own_images(tmp_path), classes=3)
    loaded = dataset.load(0, OFFLINE)
    agree(dataset.info(0), loaded)
    assert dataset.info(0).train == 6
    assert sorted(loaded.files) == sorted(str(path) for path in tmp_path.iterdir())
    alone = Idx(train_images=dataset.train_images, train_labels=dataset.train_labels)
    agree(alone.info(0), alone.load(0, OFFLINE))
    assert alone.load(0, OFFLINE).test is None


@pytest.mark.parametrize(
    ("changed", "words"),
    [
        ({"train_labels": idx(np.array([0, 1, 2]))}, "got 6 images and 3 labels"),
        ({"train_labels": idx(np.array([0, 1, 2, 3, 0, 1]))}, "got label 3 at index 3, expected 0 to 2"),
        ({"train_labels": idx(np.zeros((6, 4, 5)))}, "images and labels swapped"),
        ({"test_images": idx(np.zeros((3, 5, 4)))}, "got images of 5x4, expected 4x5"),
        ({"test_images": b""}, "got 0 bytes"),
    ],
)
def test_idx_problems_name_the_file(tmp_path: Path, changed: dict[str, bytes], words: str) -> None:
    with pytest.raises(DataError, match=words) as caught:
        Idx(**own_images(tmp_path, **changed), classes=3).load(0, OFFLINE)
    assert str(tmp_path) in caught.value.problems[0]


def test_idx_refuses_the_training_images_as_test(tmp_path: Path) -> None:
    paths = own_images(tmp_path)
    paths |= {"test_images": paths["train_images"], "test_labels": paths["train_labels"]}
    with pytest.raises(DataError, match="the same images as for training"):
        Idx(**paths, classes=3).load(0, OFFLINE)
    with pytest.raises(ConfigError, match="expected both or none"):
        Idx(**{**paths, "test_labels": None}).info(0)


@pytest.mark.parametrize(
    ("name", "words"),
    [("none", "no such file"), (".", "is a directory"), ("pipe", "not a regular file"), ("a\0b", "no file can have")],
)
def test_files_that_cannot_be_read(tmp_path: Path, name: str, words: str) -> None:
    os.mkfifo(tmp_path / "pipe")
    with pytest.raises(DataError, match=words):
        Idx(train_images=str(tmp_path / name), train_labels="x").load(0, OFFLINE)
