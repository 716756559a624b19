"""`data list|fetch|verify|import|path|show|preview`: without a network, or with a mirror on this machine."""

from __future__ import annotations

import functools
import stat
import struct
import threading
import zlib
from collections.abc import Iterator
from http.server import SimpleHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import numpy as np
import pytest
from commandline import Cli

from dlcli.data.png import encode

FILES = [f"{split}-{kind}-ubyte.gz" for split in ("train", "t10k") for kind in ("images-idx3", "labels-idx1")]


class Quiet(SimpleHTTPRequestHandler):
    def log_message(self, format: str, *args: object) -> None:
        """Nothing on stderr."""


@pytest.fixture
def mirror(mnist_folder: Path) -> Iterator[str]:
    """The address of a server on this machine that has the four files of MNIST."""
    server = ThreadingHTTPServer(("127.0.0.1", 0), functools.partial(Quiet, directory=str(mnist_folder)))
    thread = threading.Thread(target=server.serve_forever)
    thread.start()
    yield f"http://127.0.0.1:{server.server_port}/"
    server.shutdown()
    thread.join()
    server.server_close()


def test_list_tells_what_is_there(cli: Cli) -> None:
    found = {entry["name"]: entry for entry in cli("data", "list", "--json").json["datasets"]}
    assert {
        "digits",
        "mnist",
        "fashion-mnist",
        "linear",
        "xor",
        "spirals",
        "blobs",
        "Csv",
        "Npy",
        "Npz",
        "Idx",
    } <= found.keys()
    assert {found[name]["state"] for name in ("digits", "xor", "Csv")} == {"needs no download"}
    assert found["mnist"]["state"] == "not fetched"
    assert found["mnist"]["path"] == str(cli.folder / "cache")
    text = cli("data", "list").out
    assert max(map(len, text.splitlines())) <= 80
    assert found["xor"]["about"].startswith("x = corner + noise * e")


def test_path(cli: Cli) -> None:
    assert cli("data", "path").out == f"{cli.folder}/cache\n"
    assert cli("data", "path", "fashion-mnist").out == f"{cli.folder}/cache/fashion-mnist\n"
    assert not (cli.folder / "cache").exists()


def test_offline_lists_the_files_and_the_ways_out(cli: Cli) -> None:
    cli.shipped("mnist")
    for command in (("train", "mnist.yaml", "--offline"), ("data", "fetch", "mnist", "--offline")):
        ended = cli(*command, code=5)
        assert ended.out == ""
        assert all(any(name in line for line in ended.lines) for name in FILES)
        assert "dlcli data import DIR" in ended.lines[-1]
        assert "configs/digits.yaml" in ended.lines[-1]
    missing = cli("data", "verify", "mnist", code=5)
    assert len(missing.lines) == 4
    assert missing.lines[0].endswith("missing; dlcli data fetch mnist gets it")
    assert not (cli.folder / "runs").exists()


@pytest.mark.mnist
def test_fetch_from_a_mirror_verify_and_damage(cli: Cli, mirror: str) -> None:
    fetched = cli("data", "fetch", "mnist", env={"DLCLI_MIRRORS": mirror})
    assert [Path(line).name for line in fetched.out.splitlines()] == FILES
    assert [line.split()[:2] for line in fetched.lines[:-1]] == [["fetched", name] for name in FILES]
    for path in fetched.out.splitlines():
        assert stat.S_IMODE(Path(path).stat().st_mode) & 0o444 == 0o444
    assert cli("data", "verify", "mnist").out.count("verified") == 4
    assert cli("data", "fetch", "mnist", "--offline").out == fetched.out
    damaged = cli.folder / "cache" / FILES[1]
    damaged.write_bytes(damaged.read_bytes()[:-1] + b"x")
    ended = cli("data", "verify", "mnist", code=4)
    assert "damaged" in ended.out
    assert ended.lines == [
        f"error: {damaged}: damaged: its sha256 is not the known one; dlcli data fetch gets it again"
    ]


@pytest.mark.mnist
def test_import_and_show(cli: Cli, mnist_folder: Path) -> None:
    ended = cli("data", "import", mnist_folder)
    assert ended.lines == ["mnist: imported and verified", "next   dlcli data show mnist --index 7"]
    assert len(ended.out.splitlines()) == 4
    drawn = cli("data", "show", "mnist", "--index", "7").out.splitlines()
    assert drawn[0] == "#7: 3"
    assert len(drawn) == 15
    assert max(map(len, drawn)) <= 28
    cli.shipped("mnist")
    few = ("--set", "train.epochs=1", "--max-steps", "2")
    assert cli("train", "mnist.yaml", "--offline", *few).out.startswith("runs/mnist-")


def test_show_draws_what_has_a_picture_and_prints_the_rest(cli: Cli) -> None:
    both = cli("data", "show", "digits", "--index", "7", "--index", "8").out.split("\n\n")
    assert [block.splitlines()[0][:4] for block in both] == ["#7: ", "#8: "]
    assert all(len(block.rstrip("\n").split("\n")) == 5 for block in both)
    cli.shipped("linear_regression")
    printed = cli("data", "show", "linear_regression.yaml", "--split", "test").out.splitlines()
    assert len(printed) == 2
    assert len(printed[1].split()) == 2


def decoded(png: bytes) -> np.ndarray:
    """The pixels (height, width, channels) of a PNG with lines that are not filtered; every checksum is checked."""
    assert png[:8] == bytes([137, 80, 78, 71, 13, 10, 26, 10])
    at, chunks = 8, {}
    while at < len(png):
        (size,) = struct.unpack_from(">I", png, at)
        kind, content = png[at + 4 : at + 8], png[at + 8 : at + 8 + size]
        assert struct.unpack_from(">I", png, at + 8 + size) == (zlib.crc32(kind + content),)
        chunks[kind] = content
        at += size + 12
    assert list(chunks) == [b"IHDR", b"IDAT", b"IEND"]
    width, height, depth, colour, *rest = struct.unpack(">IIBBBBB", chunks[b"IHDR"])
    channels = {0: 1, 2: 3}[colour]
    assert (depth, *rest) == (8, 0, 0, 0)
    lines = np.frombuffer(zlib.decompress(chunks[b"IDAT"]), np.uint8).reshape(height, 1 + width * channels)
    assert not lines[:, 0].any()
    return lines[:, 1:].reshape(height, width, channels)


@pytest.mark.parametrize("channels", [1, 3])
def test_a_png_holds_its_pixels(channels: int) -> None:
    pixels = np.random.default_rng(0).integers(0, 256, (5, 7, channels)).astype(np.uint8)
    np.testing.assert_array_equal(decoded(encode(pixels)), pixels)


def tiles(path: Path) -> np.ndarray:
    """The images of 8 x 8 pixels (rows, columns, 8, 8) of a preview of digits, which are drawn 12 times as large."""
    pixels = decoded(path.read_bytes())[:, :, 0]
    rows, columns = ((n + 1) // 97 for n in pixels.shape)
    assert pixels.shape == (rows * 97 - 1, columns * 97 - 1)
    found = [[pixels[i * 97 : i * 97 + 96, j * 97 : j * 97 + 96] for j in range(columns)] for i in range(rows)]
    small = np.array(found)[:, :, ::12, ::12]
    np.testing.assert_array_equal(small.repeat(12, axis=2).repeat(12, axis=3), found)
    return small


def test_preview_draws_what_the_network_sees(cli: Cli) -> None:
    cli.shipped("digits")
    augment = ("--set", "data.augment=[RandomShift: {pixels: 1}]", "--count", "6")
    ended = cli("data", "preview", "digits.yaml", *augment)
    assert ended.out == "digits-preview.png\n"
    assert ended.lines[0] == "6 samples: the first row as they are, below it from epoch 1 on"
    first = tiles(cli.folder / "digits-preview.png")
    assert first.shape == (6, 6, 8, 8)
    assert first.max() == 255
    for row in range(1, 6):
        assert not np.array_equal(first[row], first[0])
    for sample in range(6):
        padded = np.pad(first[0, sample].astype(int), 1)
        moved = [padded[i : i + 8, j : j + 8] for i in range(3) for j in range(3)]
        # to one grey: what has been normalised and back may round to the other side
        assert all(any(np.abs(first[row, sample] - m).max() <= 1 for m in moved) for row in range(6))
    cli("data", "preview", "digits.yaml", *augment, "--epoch", "2", "--out", "second.png")
    second = tiles(cli.folder / "second.png")
    np.testing.assert_array_equal(second[[0, 1, 2, 3, 4]], first[[0, 2, 3, 4, 5]])
    plain = cli("data", "preview", "digits.yaml", "--set", "data.augment=[]", "--out", "plain.png")
    assert plain.lines[0] == "10 samples as they are: data.augment is empty"
    np.testing.assert_array_equal(tiles(cli.folder / "plain.png")[:, :6], first[:1])


def test_preview_draws_what_is_not_finite_without_a_word(cli: Cli) -> None:
    cli.shipped("digits")
    for augment in ("GaussianNoise: {std: 1e300}", "RandomRotation: {degrees: 1e308}"):
        ended = cli("data", "preview", "digits.yaml", "--set", f"data.augment=[{augment}]")
        assert len(ended.lines) == 2
        assert tiles(cli.folder / "digits-preview.png").shape == (6, 10, 8, 8)


def test_no_split_is_evaluated_on_augmented_samples(cli: Cli) -> None:
    cli.shipped("digits")
    wild = "data.augment=[RandomErasing: {p: 1, value: 999}, GaussianNoise: {std: 3}]"
    # the same first values, and nothing trained
    plain, augmented = (
        cli("train", "digits.yaml", "--set", change, "--max-steps", 0).out.strip()
        for change in ("data.augment=[]", wild)
    )
    for split in ("train", "val", "test"):
        one, other = (cli("eval", run, "--split", split, "--json").json["metrics"] for run in (plain, augmented))
        assert one == other


def test_what_cannot_be_previewed(cli: Cli) -> None:
    cli.shipped("digits")
    cli.shipped("xor")
    table = cli("data", "preview", "xor.yaml", code=2)
    assert "got samples of shape (2,), expected images of 1 or 3 channels; dlcli data show CONFIG" in table.lines[-1]
    missing = cli("data", "preview", "digits.yaml", "--out", "nowhere/a.png", code=8)
    assert missing.lines == ["error: nowhere/a.png: cannot write: no such file or directory"]
    cli("data", "preview", "digits.yaml", "--out", ".", code=8)
    wrong = cli("data", "preview", "digits.yaml", "--set", "data.augment=[RandomShift: {pixels: 9}]", code=3)
    assert "data.augment.0.RandomShift: got pixels = 9, which can move an image of 8 x 8 out of sight" in wrong.err


WRONG = {
    ("digits", "--index", "99999"): (2, "--index: got 99999, expected 0 to 1437"),
    ("Csv",): (2, "data set 'Csv' needs path, target; name a config that sets them"),
    ("digits", "--split", "val"): (2, "--split: got 'val'"),
}


@pytest.mark.parametrize("line", WRONG, ids=" ".join)
def test_what_cannot_be_shown(cli: Cli, line: tuple[str, ...]) -> None:
    code, message = WRONG[line]
    assert message in cli("data", "show", *line, code=code).err


@pytest.mark.mnist
def test_mnist_from_the_mirror_to_the_test_set(cli: Cli, mirror: str) -> None:
    cli.shipped("mnist")
    trained = cli("train", "mnist.yaml", "--json", env={"DLCLI_MIRRORS": mirror})
    assert [line.split()[:2] for line in trained.lines[:4]] == [["fetched", name] for name in FILES]
    assert (trained.json["epochs"], trained.json["steps"]) == (5, 4300)
    assert trained.json["metrics"]["train.accuracy"] > 0.98
    tested = cli("eval", "--split", "test", "--json", "--offline").json
    low, high = tested["intervals"]["accuracy"]
    assert tested["samples"] == 10_000
    assert 0.97 <= tested["metrics"]["accuracy"] < high
    assert low > 0.96
    assert cli("eval", "--worst", "5").out.count("#") == 5


def test_npy_files_give_what_an_archive_gives(cli: Cli) -> None:
    rng = np.random.default_rng(0)
    y = rng.integers(0, 3, 90).astype(np.uint8)
    arrays = {"x_train": (40 * y[:, None] + rng.integers(0, 90, (90, 5))).astype(np.uint8), "y_train": y}
    np.savez(cli.folder / "all.npz", **arrays)
    for name, array in arrays.items():
        np.save(cli.folder / f"{name}.npy", array)
    text = """
data: {dataset: DATASET, batch_size: 16, validation: 20, normalize: standardize}
model: [{Linear: {out_features: 3}}]
loss: CrossEntropyLoss
optimizer: {SGD: {lr: 0.1}}
metrics: [accuracy]
train: {epochs: 3}
"""
    ways = {"npz": "{Npz: {path: all.npz}}", "npy": "{Npy: {x_train: x_train.npy, y_train: y_train.npy}}"}
    found = {}
    for name, dataset in ways.items():
        config = cli.write(f"{name}.yaml", text.replace("DATASET", dataset))
        assert "5 -> 3" in cli("check", config).out
        run = cli.train(config, "--max-steps", 7)
        found[name] = cli("resume", run, "--json").json["metrics"], cli("eval", run, "--json").json["metrics"]
    assert found["npy"] == found["npz"]
    assert cli("data", "show", "npy.yaml", "--index", 3).out.startswith(f"#3: {y[3]}\n")
    np.save(cli.folder / "x_train.npy", arrays["x_train"] ^ 1)
    assert "the data has changed since the training: x_train.npy" in cli("eval", run).err
