"""`predict`: what is taken as input, what is told of it, and that it agrees with `eval`."""

from __future__ import annotations

import csv
import gzip
import io
import struct
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from commandline import Cli

from dlcli.data.dataset import Access, datasets
from dlcli.experiment.plugins import load_components
from dlcli.training import checkpoint

Array = np.ndarray[Any, Any]


@pytest.fixture(scope="session")
def images() -> Array:
    """Six images of the digits' test split, (6, 8, 8) uint8."""
    load_components()
    test = datasets.get("digits")().load(0, Access()).test
    assert test is not None
    return test.inputs[:6, 0]


def idx(images: Array) -> bytes:
    return struct.pack(">4B3I", 0, 0, 8, 3, *images.shape) + images.tobytes()


def table(images: Array, head: str = "") -> str:
    return head + "\n".join(",".join(map(str, row)) for row in images.reshape(len(images), -1)) + "\n"


WRITERS: dict[str, Callable[[Path, Array], object]] = {
    "batch.npy": lambda path, x: np.save(path, x),
    "channel.npy": lambda path, x: np.save(path, x[:, None]),
    "flat.npy": lambda path, x: np.save(path, x.reshape(6, 64)),
    "floats.npy": lambda path, x: np.save(path, np.asfortranarray(x.astype(np.float64))),
    "only.npz": lambda path, x: np.savez(path, anything=x),
    "named.npz": lambda path, x: np.savez_compressed(path, y=np.zeros(6), x=x),
    "rows.csv": lambda path, x: path.write_text(table(x)),
    "names.csv": lambda path, x: path.write_text(table(x, ",".join(f"pixel{i}" for i in range(64)) + "\n")),
    "images.idx": lambda path, x: path.write_bytes(idx(x)),
    "images-idx3-ubyte": lambda path, x: path.write_bytes(idx(x)),
    "images.gz": lambda path, x: path.write_bytes(gzip.compress(idx(x))),
}


def test_every_kind_of_file_gives_the_same(cli: Cli, digits: Path, images: Array) -> None:
    for name, write in WRITERS.items():
        write(cli.folder / name, images)
    found = cli("predict", *WRITERS, "--json").json["predictions"]
    assert [(row["input"], row["index"]) for row in found] == [(name, i) for name in WRITERS for i in range(6)]
    for i in range(6):
        same = found[i::6]
        assert len({row["class"] for row in same}) == 1
        assert [row["probability"] for row in same] == pytest.approx([same[0]["probability"]] * len(WRITERS), rel=1e-6)
    np.save(cli.folder / "one.npy", images[3])
    (one,) = cli("predict", "one.npy", "--json").json["predictions"]
    assert one["class"] == found[3]["class"]


def test_json_and_csv(cli: Cli, digits: Path, images: Array) -> None:
    np.save(cli.folder / "six.npy", images)
    ended = cli("predict", digits, "six.npy", "--json")
    found = ended.json
    assert list(found) == ["run", "checkpoint", "split", "samples", "predictions"]
    assert (found["run"], found["checkpoint"]) == (str(digits), f"{digits}/checkpoints/best.npz")
    assert (found["split"], found["samples"]) == (None, 6)
    assert ended.err == f"next   dlcli eval {digits}\n"
    for row in found["predictions"]:
        assert list(row) == ["input", "index", "class", "probability", "probabilities"]
        assert list(row["probabilities"]) == [str(k) for k in range(10)]
        assert abs(sum(row["probabilities"].values()) - 1) < 1e-12
        assert row["probability"] == row["probabilities"][row["class"]] == max(row["probabilities"].values())
    rows = list(csv.DictReader(io.StringIO(cli("predict", "six.npy", "--csv").out)))
    assert list(rows[0]) == ["input", "index", "class", "probability", *(f"p_{k}" for k in range(10))]
    assert [row["class"] for row in rows] == [row["class"] for row in found["predictions"]]
    assert [float(row["p_3"]) for row in rows] == [row["probabilities"]["3"] for row in found["predictions"]]


def test_predictions_agree_with_eval(cli: Cli, digits: Path) -> None:
    rows = cli("predict", "--index", "0-287", "--json").json["predictions"]
    figures = cli("eval", "--json").json
    assert {row["input"] for row in rows} == {"val"}
    assert np.mean([row["class"] == row["target"] for row in rows]) == figures["metrics"]["accuracy"]
    log_loss = -np.mean([np.log(row["probabilities"][row["target"]]) for row in rows])
    assert log_loss == pytest.approx(figures["metrics"]["log_loss"], rel=1e-12)
    wrong = {row["index"] for row in rows if row["class"] != row["target"]}
    assert {row["index"] for row in cli("eval", "--worst", "288", "--json").json["worst"]} == wrong


def test_the_table_draws_a_few_images_and_shows_the_likeliest_classes(cli: Cli, digits: Path, images: Array) -> None:
    shown = cli("predict", "--index", "7", "--index", "3-4").out.split("\n\n")
    assert shown[0].startswith(f"{digits}/checkpoints/best.npz (step ")
    assert shown[0].endswith("): 3 samples of the val split")
    assert set(shown[1]) & set("▀▄█▓▒░")
    head, *rows = [line.split() for line in shown[2].splitlines()]
    assert head == ["sample", "true", "class", "probability", "then"]
    assert [row[0] for row in rows] == ["#7", "#3", "#4"]
    assert all(shown[1].splitlines()[-1].count(f"{row[0]}: {row[2]}") == 1 for row in rows)
    assert all(len(" ".join(row[5:]).split(",")) == 2 for row in rows)
    np.save(cli.folder / "six.npy", images)
    head, *rows = [line.split() for line in cli("predict", "six.npy", "--top", "1").out.split("\n\n")[-1].splitlines()]
    assert head == ["sample", "class", "probability"]
    assert len(rows) == 6


def test_the_model_may_be_a_run_or_a_checkpoint_anywhere_on_the_line(cli: Cli, digits: Path, images: Array) -> None:
    np.save(cli.folder / "one.npy", images[0])
    best = f"{digits}/checkpoints/best.npz"
    for words in ((digits, "one.npy"), ("one.npy", "digits"), (best, "one.npy"), ("latest", "one.npy")):
        assert cli("predict", *words, "--json").json["checkpoint"] == best
    assert cli("predict", "one.npy", "--checkpoint", "108", "--json").json["checkpoint"].endswith("000000108.npz")
    (cli.folder / "copy.npz").write_bytes((cli.folder / best).read_bytes())
    found = cli("predict", "copy.npz", "one.npy", "--json")
    assert (found.json["run"], found.json["checkpoint"], found.err) == (None, "copy.npz", "")
    assert "no run 'digtis'" in cli("predict", "digtis", "one.npy", code=6).err


@pytest.mark.parametrize(
    "told", [None, {"input_shape": [1, -8, 8]}, {"input_shape": None}, {"class_names": ["a"]}, {"class_names": "a"}]
)
def test_a_checkpoint_that_does_not_tell_what_a_sample_is(
    cli: Cli, digits: Path, images: Array, told: dict[str, Any] | None
) -> None:
    np.save(cli.folder / "one.npy", images[0])
    snapshot = checkpoint.read(cli.folder / digits / "checkpoints/best.npz")
    meta = {key: value for key, value in snapshot.meta.items() if key != "info"}
    if told is not None:
        meta["info"] = snapshot.meta["info"] | told
    (cli.folder / "odd.npz").write_bytes(checkpoint.encode(checkpoint.Snapshot(meta, snapshot.arrays)))
    message = "error: odd.npz: does not tell what a sample is; use the dlcli that wrote it, or train anew"
    assert cli("predict", "odd.npz", "one.npy", code=6).lines == [message]
    assert cli("eval", "odd.npz", code=6).lines == [message]


def test_predicting_samples_of_the_test_split_is_an_opening(cli: Cli, digits: Path) -> None:
    assert "#358  " in cli("predict", "--index", "358", "--split", "test").out
    assert "predicted" in cli("runs", "list").out
    cli("predict", "--index", "0", "--split", "train")
    figures = cli("eval", "--split", "test", "--json").json["metrics"]
    cli("predict", "--index", "1", "--split", "test")
    (row,) = cli("runs", "list", "--json").json["runs"]
    assert [bool(opening["metrics"]) for opening in row["test"]] == [False, True, False]
    assert f"accuracy {100 * figures['accuracy']:.2f} % (opened 3 times)" in cli("runs", "list").out


WRONG = {
    "": (2, "dlcli predict: missing argument INPUT; name a file, or samples of the data by --index"),
    "latest": (2, "dlcli predict: got 'latest', no file with samples; name a file, or samples of the data by --index"),
    "none /dev": (
        2,
        "dlcli predict: got 'none', '/dev', no file with samples; name a file, or samples of the data by --index",
    ),
    "six.npy --index 3": (2, "INPUT and --index exclude each other; give one of them"),
    "six.npy --split val": (2, "--split goes with --index"),
    "six.npy --csv --json": (2, "--csv and --json exclude each other; give one of them"),
    "--index 288": (2, "--index: got 288, expected 0 to 287 for the 288 samples of the val split"),
    "--index 0-99999999999": (2, "--index: got 99999999999, expected 0 to 287 for the 288 samples of the val split"),
    "--index 7-3": (2, "--index: got '7-3', expected an index such as 7, or a range such as 3-7"),
    "--index=-1": (2, "--index: got '-1', expected an index such as 7, or a range such as 3-7"),
    "gone.npy": (4, "gone.npy: no such file or directory, expected a readable file"),
    "digits.yaml": (4, "digits.yaml: got an unknown kind of file, expected .npy, .npz, .csv, .idx, -ubyte or .gz"),
    "large.npy": (
        4,
        "large.npy: got shape (2, 9, 9), expected (N, 1, 8, 8) or (N, 8, 8) or (N, 64), or one sample without N",
    ),
    "empty.npy": (4, "empty.npy: got no samples: its shape is (0, 8, 8)"),
    "nan.npy": (4, "nan.npy: got nan at [1, 0], expected finite numbers"),
    "objects.npy": (4, "objects.npy is of type 'object', expected numbers"),
    "text.npy": (
        4,
        "text.npy: damaged, or not an npy file (EOF: reading magic string, expected 8 bytes got 4); save it again",
    ),
    "two.npz": (4, "two.npz: got the arrays a, b, expected one, or one called x or inputs"),
    "words.csv": (4, "words.csv:2: column 'b': got 'x', expected a number"),
    "short.csv": (
        4,
        "short.csv: got shape (2, 2), expected (N, 1, 8, 8) or (N, 8, 8) or (N, 64), or one sample without N",
    ),
    "labels.gz": (
        4,
        "labels.gz: got labels (1 dimension), expected images (3 dimensions); are images and labels swapped?",
    ),
}


def test_a_wrong_input_is_told_in_one_line(cli: Cli, digits: Path, images: Array) -> None:
    folder = cli.folder
    np.save(folder / "six.npy", images)
    np.save(folder / "large.npy", np.zeros((2, 9, 9)))
    np.save(folder / "empty.npy", images[:0])
    np.save(folder / "nan.npy", np.where(np.arange(64).reshape(8, 8) == 8, np.nan, 0))
    np.save(folder / "objects.npy", np.array([{}], dtype=object))
    (folder / "text.npy").write_text("text")
    np.savez(folder / "two.npz", a=images, b=images)
    (folder / "words.csv").write_text("a,b\n1,x\n")
    (folder / "short.csv").write_text("1,2\n3,4\n")
    (folder / "labels.gz").write_bytes(gzip.compress(struct.pack(">4BI", 0, 0, 8, 1, 3) + bytes(3)))
    for line, (code, message) in WRONG.items():
        ended = cli("predict", *line.split(), code=code)
        assert (ended.out, ended.lines[-1]) == ("", f"error: {message}"), line


def test_pixels_that_are_scaled_already_are_noticed(cli: Cli, digits: Path, images: Array) -> None:
    np.save(cli.folder / "scaled.npy", images / 16)
    warned = cli("predict", "scaled.npy").lines[1]
    assert warned.startswith("warning: all pixels are from 0 to 1, in the training their deviation was ")


TABLE = """
data: {dataset: {Csv: {path: points.csv, target: %s}}, normalize: standardize}
model: [{Linear: {out_features: 8}}, Tanh, {Linear: {out_features: 2}}]
loss: %s
optimizer: {Adam: {lr: 0.05}}
train: {epochs: 15}
"""


@pytest.fixture
def points() -> Array:
    """Points (200, 2) around the origin."""
    return np.random.default_rng(0).normal(size=(200, 2)) * 10


def write(path: Path, header: list[str], *columns: Any) -> None:
    with path.open("w", newline="") as file:
        csv.writer(file).writerows([header, *zip(*columns, strict=True)][not header :])


def test_columns_are_found_by_name_and_no_data_is_needed(cli: Cli, points: Array) -> None:
    x, y = points.T.tolist()
    kinds = ["east" if a > 0 else "west, far" for a in x]
    write(cli.folder / "points.csv", ["x", "kind", "y"], x, kinds, y)
    cli.write("c.yaml", TABLE % ("kind", "CrossEntropyLoss"))
    cli.train("c.yaml")
    (cli.folder / "points.csv").unlink()
    write(cli.folder / "new.csv", ["y", "name", "x"], y, kinds, x)
    found = cli("predict", "new.csv", "--json").json["predictions"]
    assert np.mean([row["class"] == kind for row, kind in zip(found, kinds, strict=True)]) > 0.95
    assert list(found[0]["probabilities"]) == ["east", "west, far"]
    assert cli("predict", "new.csv", "--csv").out.startswith('input,index,class,probability,p_east,"p_west, far"\n')
    write(cli.folder / "rows.csv", [], x, y)
    unnamed = cli("predict", "rows.csv", "--json").json["predictions"]
    assert [row["probability"] for row in unnamed] == [row["probability"] for row in found]
    write(cli.folder / "old.csv", ["x", "z"], x, y)
    assert cli("predict", "old.csv", code=4).lines[-1] == "error: old.csv:1: no column 'y'; expected one of: x, z"
    np.save(cli.folder / "three.npy", np.zeros(3))
    said = "error: three.npy: got shape (3,), expected (N, 2), or one sample without N"
    assert cli("predict", "three.npy", code=4).lines[-1] == said
    assert "points.csv: no such file" in cli("predict", "--index", "0", code=4).lines[-1]


def test_values(cli: Cli, points: Array) -> None:
    x, y = points.T
    write(cli.folder / "points.csv", ["x", "y", "sum", "far"], x, y, x + y, abs(x))
    cli.write("r.yaml", TABLE % ("[sum, far]", "HuberLoss"))
    cli.train("r.yaml")
    np.save(cli.folder / "p.npy", points[:2])
    first, second = cli("predict", "p.npy", "--json").json["predictions"]
    assert list(first) == ["input", "index", "values"]
    rows = cli("predict", "p.npy", "--csv").out.splitlines()
    assert rows == [
        "input,index,value_0,value_1",
        *(f"p.npy,{i},{a!r},{b!r}" for i, (a, b) in enumerate([first["values"], second["values"]])),
    ]
    (known,) = cli("predict", "--index", "0", "--split", "train", "--json").json["predictions"]
    assert list(known) == ["input", "index", "target", "values"]
    shown = cli("predict", "--index", "0-3", "--split", "train").out.split("\n\n")[1].splitlines()
    assert shown[0].split() == ["sample", "true", "value"]
    assert len(shown) == 5


@pytest.mark.parametrize(("index", "columns", "rows"), [("0-7", "80", 1), ("0-7", "40", 2), ("0-8", "80", 0)])
def test_up_to_eight_images_are_drawn_as_wide_as_the_terminal(
    cli: Cli, digits: Path, index: str, columns: str, rows: int
) -> None:
    assert "Up to 8 grey images are drawn." in " ".join(cli("predict", "--help").out.split())
    _, *drawn, table = cli("predict", "--index", index, env={"COLUMNS": columns}).out.split("\n\n")
    assert len(drawn) == rows
    assert all(len(line) <= int(columns) for block in drawn for line in block.splitlines())
    assert len(table.splitlines()) == 2 + int(index[-1])


def test_several_runs_predict_as_an_ensemble(cli: Cli, digits: Path, images: Array) -> None:
    other = cli.train("digits.yaml", "--set", "seed=1", "--set", "train.epochs=1").relative_to(cli.folder)
    np.save(cli.folder / "six.npy", images)
    one, two, both = (cli("predict", *runs, "six.npy", "--json").json for runs in ([digits], [other], [digits, other]))
    assert both["run"] == [str(digits), str(other)]
    for a, b, mean in zip(*(found["predictions"] for found in (one, two, both)), strict=True):
        for k in mean["probabilities"]:
            assert mean["probabilities"][k] == pytest.approx((a["probabilities"][k] + b["probabilities"][k]) / 2)
    cli.shipped("xor")
    odd = cli.train("xor.yaml", "--set", "train.epochs=1").relative_to(cli.folder)
    said = cli("predict", digits, odd, "six.npy", code=6).lines[-1]
    assert said.endswith(f"tells other classes, than {digits}/checkpoints/best.npz; name runs on the same data")
