"""`eval`: which checkpoint and split, what it shows, and that every opening of the test set is recorded."""

from __future__ import annotations

import csv
import gzip
import json
import re
import struct
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from commandline import Cli

from dlcli.training import checkpoint


def test_json_has_the_documented_shape(cli: Cli, digits: Path) -> None:
    ended = cli("eval", "--json")
    found = ended.json
    assert list(found) == ["run", "checkpoint", "split", "samples", "metrics", "intervals", "per_class", "confusion"]
    assert found["run"] == str(digits)
    assert found["checkpoint"] == f"{digits}/checkpoints/best.npz"
    assert (found["split"], found["samples"]) == ("val", 288)
    low, high = found["intervals"]["accuracy"]
    assert 0 < low < found["metrics"]["accuracy"] < high < 1
    assert ended.lines[0] == f"run: {digits}"


def test_figures_of_classes_are_shown_whatever_the_config_lists(cli: Cli, digits: Path) -> None:
    found = cli("eval", "--json").json
    figures = ["loss", "accuracy", "top_k_accuracy", "balanced_accuracy", "f1", "log_loss", "brier"]
    assert list(found["metrics"]) == [*figures, "calibration_error"]
    assert list(found["intervals"]) == ["accuracy", "top_k_accuracy"]
    matrix, each = np.array(found["confusion"]), found["per_class"]
    assert matrix.sum() == 288
    assert np.trace(matrix) == round(288 * found["metrics"]["accuracy"])
    assert [row["class"] for row in each] == [str(k) for k in range(10)]
    assert [row["support"] for row in each] == matrix.sum(axis=1).tolist()
    for k, row in enumerate(each):
        assert row["precision"] == pytest.approx(matrix[k, k] / matrix[:, k].sum())
        assert row["recall"] == pytest.approx(matrix[k, k] / row["support"])
    assert np.mean([row["f1"] for row in each]) == pytest.approx(found["metrics"]["f1"])
    blocks = cli("eval").out.split("\n\n")
    assert [block.split()[0] for block in blocks[1:]] == ["loss", "class", "true"]
    assert [len(block.splitlines()) for block in blocks[1:]] == [8, 11, 11]
    assert blocks[2].splitlines()[0].split() == ["class", "precision", "recall", "f1", "samples"]


REQUIRED = {
    "accuracy>=0.5": (0, None),
    " loss < 1e3 ": (0, None),
    "accuracy>1": (10, "--require: accuracy: got 0.?, expected > 1"),
    "loss==0": (10, "--require: loss: got 0.?, expected == 0"),
    "acuracy>=0.5": (2, "--require: no figure is called 'acuracy'; did you mean 'accuracy'?"),
    "accuracy=>0.5": (2, "--require: got 'accuracy=>0.5', expected a figure, one of >= <= == > < and a number"),
    "accuracy>=nan": (2, "--require: got 'accuracy>=nan', expected a figure, one of >= <= == > < and a number"),
}


@pytest.mark.parametrize("bound", REQUIRED)
def test_what_is_required(cli: Cli, digits: Path, bound: str) -> None:
    code, message = REQUIRED[bound]
    ended = cli("eval", digits, "--require", bound, "--json", code=code)
    assert bool(ended.out) == (code != 2)
    if message is not None:
        assert re.sub(r"0\.\d+, ", "0.?, ", ended.err) == f"error: {message}\n"
    assert (cli.folder / digits / "evals.jsonl").exists() == (code != 2)


def test_each_bound_that_is_missed_has_its_line(cli: Cli, digits: Path) -> None:
    ended = cli("eval", digits, *(word for b in ("loss>9", "brier>9", "f1<1") for word in ("--require", b)), code=10)
    assert [line.split(":")[2] for line in ended.lines] == [" loss", " brier"]
    assert "accuracy" in ended.out


def test_several_runs_are_evaluated_as_an_ensemble(cli: Cli, digits: Path) -> None:
    other = cli.train("digits.yaml", "--set", "seed=1", "--set", "train.epochs=2").relative_to(cli.folder)
    held_out = cli("eval", digits, other, code=6).lines
    reason = "what is held out follows from the seed; choose --split test"
    first, second = (f"{run}/checkpoints/best.npz" for run in (digits, other))
    assert held_out == [f"error: {second}: has other samples in its val split than {first}; {reason}"]
    assert not (cli.folder / other / "evals.jsonl").exists()

    ended = cli("eval", digits, other, "--split", "test", "--json")
    found = ended.json
    assert (found["run"], found["checkpoint"]) == ([str(digits), str(other)], [first, second])
    assert "loss" not in found["metrics"]
    assert list(found)[-1] == "members"
    alone = [cli("eval", run, "--split", "test", "--json").json for run in (digits, other)]
    assert [member["metrics"] for member in found["members"]] == [one["metrics"] for one in alone]
    rows = cli("predict", digits, other, "--index", "0-358", "--split", "test", "--json").json["predictions"]
    assert found["metrics"]["accuracy"] == np.mean([row["class"] == row["target"] for row in rows])
    assert found["metrics"]["log_loss"] < np.mean([one["metrics"]["log_loss"] for one in alone])

    # Each member records the opening, with its own figures.
    for run, one in zip((digits, other), alone, strict=True):
        opened = [json.loads(line) for line in (cli.folder / run / "evals.jsonl").read_text().splitlines()]
        assert [row.get("ensemble") for row in opened] == [[first, second], None, None]
        assert opened[0]["metrics"] == opened[1]["metrics"] == one["metrics"]
        assert opened[0]["checkpoint"] == one["checkpoint"]

    shown = cli("eval", digits, other, "--split", "test").out.split("\n\n")
    assert shown[0] == "ensemble of 2 on the test split, 359 samples"
    assert [line.split()[0] for line in shown[1].splitlines()] == ["member", first, second, "ensemble"]


def test_an_ensemble_of_checkpoints_of_one_run(cli: Cli, digits: Path) -> None:
    steps = [f"{digits}/checkpoints/step-{step:09d}.npz" for step in (72, 108, 144)]
    assert cli("eval", *steps, "--json").json["split"] == "val"
    assert "is named twice" in cli("eval", steps[0], digits, digits.name, code=2).err
    assert "together with 2 runs" in cli("eval", digits, "latest", "--checkpoint", steps[0], code=2).err
    assert "no figure is called 'loss'" in cli("eval", *steps, "--require", "loss<1", code=2).err
    cli.shipped("xor")
    odd = cli.train("xor.yaml", "--set", "train.epochs=1").relative_to(cli.folder)
    for split in ("train", "test"):
        assert "name runs on the same data" in cli("eval", digits, odd, "--split", split, code=6).err
    whole = cli.train(
        "digits.yaml", "--set", "data.validation=0", "--set", "train.epochs=1", "--set", "train.monitor=train.loss"
    )
    assert "choose --split test" in cli("eval", digits, whole, code=6).err
    (cli.folder / "link").symlink_to(cli.folder / digits)
    assert "is named twice" in cli("eval", digits, "link", code=2).err


def test_values_of_an_ensemble_are_the_mean(cli: Cli) -> None:
    cli.shipped("linear_regression")
    lrs = (("--set", f"optimizer.lr={lr}", "--set", "train.epochs=2") for lr in (0.01, 0.02))
    runs = [cli.train("linear_regression.yaml", *lr).relative_to(cli.folder) for lr in lrs]
    found = cli("eval", *runs, "--json").json
    assert {"rmse", "mae", "r2"} <= found["metrics"].keys()
    one, two, both = (
        [row["values"][0] for row in cli("predict", *chosen, "--index", "0-9", "--json").json["predictions"]]
        for chosen in (runs[:1], runs[1:], runs)
    )
    np.testing.assert_allclose(both, (np.array(one) + two) / 2, rtol=1e-6)


def test_summary_and_gradcheck_take_a_run_as_eval_does(cli: Cli, digits: Path) -> None:
    for name in (digits.name[:8], "latest", digits):
        assert cli("summary", name, "--json").json == cli("summary", "digits.yaml", "--json").json
    assert cli("gradcheck", digits.name[:8], "--json").json["passed"] is True
    assert "did you mean" in cli("summary", "digts.yaml", code=3).err


def test_the_newest_run_is_named_and_the_test_set_is_a_command_away(cli: Cli, digits: Path) -> None:
    ended = cli("eval")
    assert ended.out.startswith(f"{digits}/checkpoints/best.npz (step ")
    assert "on the val split, 288 samples" in ended.out
    assert "95 % interval" in ended.out
    hint = f"next   dlcli eval {digits} --split test   (each opening of the test set is recorded)"
    assert ended.lines == [f"run: {digits}", hint]
    assert cli("eval", digits, "--split", "test").err == "next   dlcli runs list\n"


def test_the_next_command_names_the_checkpoints_that_were_evaluated(cli: Cli, digits: Path) -> None:
    files = sorted((cli.folder / digits / "checkpoints").glob("*.npz"))
    best, *_, last = (digits / "checkpoints" / file.name for file in files)
    for words, named in (([best], [digits]), ([last], [last]), ([last, digits], [last, digits])):
        again = f"next   dlcli eval {' '.join(map(str, named))}"
        assert cli("eval", *words).lines[-1].startswith(f"{again} --split test ")
        assert cli("predict", *words, "--index", "0").lines[-1] == again
    assert f"next   dlcli eval {last} --split test " in cli("eval", "--checkpoint", "last").err


def test_without_a_run_the_way_out_is_told(cli: Cli) -> None:
    for command in (("eval",), ("resume",), ("summary",), ("runs", "show"), ("eval", "latest")):
        assert cli(*command, code=6).err == (
            "error: runs/: holds no run; train one first: dlcli train configs/digits.yaml\n"
        )


@pytest.mark.parametrize("name", ["latest", "digits", "RUN", "PATH", "CKPT"])
def test_a_run_by_path_name_prefix_or_latest(cli: Cli, digits: Path, name: str) -> None:
    spelled = {"RUN": digits.name, "PATH": str(digits), "CKPT": f"{digits}/checkpoints/best.npz"}.get(name, name)
    assert cli("eval", spelled, "--json").json["run"] == str(digits)


def test_an_unknown_run_or_an_ambiguous_prefix(cli: Cli, digits: Path) -> None:
    (cli.folder / f"{digits}-2").mkdir()
    (cli.folder / f"{digits}-2/config.yaml").write_text("{}")
    assert "is the beginning of 2 runs" in cli("eval", "digits", code=6).err
    assert f"did you mean '{digits.name}'?" in cli("eval", digits.name.replace("i", "y"), code=6).err


@pytest.mark.parametrize(
    ("which", "step"), [("best", None), ("last", 144), ("108", 108), ("{run}/checkpoints/step-000000108.npz", 108)]
)
def test_checkpoint(cli: Cli, digits: Path, which: str, step: int | None) -> None:
    found = cli("eval", "--checkpoint", which.format(run=digits), "--json").json
    read = checkpoint.read(cli.folder / found["checkpoint"])
    assert read.step == (step or json.loads((cli.folder / digits / "summary.json").read_text())["best"]["step"])
    (row,) = [json.loads(line) for line in (cli.folder / digits / "evals.jsonl").read_text().splitlines()]
    assert row["step"] == read.step


def test_a_checkpoint_that_is_not_there(cli: Cli, digits: Path) -> None:
    missing = cli("eval", "--checkpoint", "7", code=6)
    assert missing.lines[-1].endswith("no checkpoint of step 7; there are: 72, 108, 144")
    cli("eval", "--checkpoint", "newest", code=2)
    cli("eval", "none.npz", code=6)
    cli("eval", f"{digits}/checkpoints/best.npz", "--checkpoint", "last", code=2)


@pytest.mark.parametrize("step", ["²", "9" * 5000])
def test_a_step_that_no_checkpoint_can_have(cli: Cli, digits: Path, step: str) -> None:
    assert "expected best, last, a step or a path" in cli("eval", "--checkpoint", step, code=2).err


@pytest.mark.parametrize(("split", "code"), [("val", 0), ("test", 8)])
def test_figures_are_shown_where_they_cannot_be_recorded(cli: Cli, digits: Path, split: str, code: int) -> None:
    (cli.folder / digits / "evals.jsonl").mkdir()
    ended = cli("eval", digits, "--split", split, "--json", code=code)
    assert ended.json["split"] == split
    (line,) = [line for line in ended.lines if "evals.jsonl" in line]
    assert line.startswith("error: " if code else "warning: ")
    assert line.endswith("is a directory; this evaluation is not recorded")


def test_from_a_working_directory_that_is_gone(cli: Cli, digits: Path) -> None:
    away = "mkdir gone && cd gone && rmdir ../gone && dlcli"
    best = cli.folder / digits / "checkpoints/best.npz"
    assert cli.shell(f"{away} eval {best} --json").json["run"] == str(cli.folder / digits)
    assert "linear.py:" in cli.shell(f"{away} describe Linear").out
    assert "error: digits.yaml: no such file" in cli.shell(f"{away} train digits.yaml", code=3).err
    ended = cli.shell(f"{away} train {cli.folder}/digits.yaml", code=8)
    assert ended.lines[-1] == "error: runs: cannot write: no such file or directory"


def test_splits_and_the_record_of_openings(cli: Cli, digits: Path) -> None:
    sizes = {split: cli("eval", "--split", split, "--json").json["samples"] for split in ("train", "val", "test")}
    assert sizes == {"train": 1150, "val": 288, "test": 359}
    # An opening through the file of the checkpoint counts as well.
    cli("eval", f"{digits}/checkpoints/best.npz", "--split", "test")
    rows = [json.loads(line) for line in (cli.folder / digits / "evals.jsonl").read_text().splitlines()]
    assert [row["split"] for row in rows] == ["train", "val", "test", "test"]
    assert {"time", "checkpoint", "split", "samples", "metrics", "intervals", "step"} <= rows[-1].keys()
    (listed,) = cli("runs", "list", "--json").json["runs"]
    assert len(listed["test"]) == 2
    assert "(opened 2 times)" in cli("runs", "list").out


def test_a_copy_outside_its_run_is_evaluated_and_the_lack_of_a_record_told(cli: Cli, digits: Path) -> None:
    (cli.folder / "copy.npz").write_bytes((cli.folder / digits / "checkpoints/best.npz").read_bytes())
    ended = cli("eval", "copy.npz", "--json")
    assert ended.json["run"] is None
    assert ended.lines == ["copy.npz: lies in no run directory, so this evaluation is recorded nowhere"]


def test_worst_draws_digits(cli: Cli, digits: Path) -> None:
    drawn = cli("eval", "--worst", "2").out.split("\n\n")[-1].splitlines()
    assert len(drawn) == 5
    assert set("".join(drawn[:4])) & set("▀▄█▓▒░")
    assert drawn[-1].count("#") == 2
    assert " as " in drawn[-1]
    rows = cli("eval", "--worst", "2", "--json").json["worst"]
    assert [list(row) for row in rows] == [["index", "target", "predicted", "probability"]] * 2
    assert all(row["target"] != row["predicted"] for row in rows)
    caption = "#{index}: {target} as {predicted}".format(**rows[0])
    assert drawn[-1].startswith(caption)


def test_nothing_held_out_means_the_train_split(cli: Cli) -> None:
    cli.shipped("digits")
    cli.train("digits.yaml", "--set", "train.epochs=1", "--set", "data.validation=0", "--set", "train.monitor=null")
    assert cli("eval", "--json").json["split"] == "train"
    assert "data.validation is 0" in cli("eval", "--split", "val", code=3).err


def test_linear_regression_recovers_the_generating_weights(cli: Cli) -> None:
    cli.shipped("linear_regression")
    run = cli.train("linear_regression.yaml")
    shown = cli("eval").out
    assert cli("eval", "--json").json["metrics"]["r2"] > 0.99
    rows = [line.split() for line in shown.splitlines() if line.split()[:1] in (["0"], ["1"])]
    pairs = [(float(true), float(learned)) for _, true, learned, _ in rows]
    assert [true for true, _ in pairs] == [2.0, -3.4, 4.2]
    assert all(abs(true - learned) < 1e-2 for true, learned in pairs)
    learned = checkpoint.read(run / "checkpoints/best.npz").arrays
    np.testing.assert_allclose(learned["0.weight"], [[2.0, -3.4]], atol=1e-2)
    np.testing.assert_allclose(learned["0.bias"], [4.2], atol=1e-2)


def test_the_comparison_folds_the_normalisation_in(cli: Cli) -> None:
    cli.shipped("linear_regression")
    options = ("data.normalize=standardize", "train.epochs=30", "data.dataset.linear.weight=[200.0, 0.5]")
    cli.train("linear_regression.yaml", *(word for option in options for word in ("--set", option)))
    rows = [line.split() for line in cli("eval").out.splitlines() if line.split()[:1] in (["0"], ["1"])]
    assert [abs(float(true) - float(learned)) < 0.1 for _, true, learned, _ in rows] == [True] * 3


MODEL = """
model: [%s{Linear: {out_features: 12}}, Tanh, {Linear: {out_features: %d}}]
loss: %s
optimizer: {Adam: {lr: 0.02}}
metrics: [%s]
train: {epochs: 12}
"""
SPECIES = ("bee", "ant, red", "wasp")


@pytest.fixture
def points(cli: Cli) -> dict[str, np.ndarray[Any, Any]]:
    """Three clouds of points, x (300, 2) and their class y (300,), and a value v (300,) of each point."""
    rng = np.random.default_rng(0)
    y = rng.integers(0, 3, 300)
    x = rng.normal(size=(300, 2)) * 0.3 + np.array([[0, 0], [20, 0], [0, 2]])[y]
    return {"x": x, "y": y, "v": x @ np.array([0.15, -2.0]) + 1}


def table(path: Path, header: list[str], columns: list[Any]) -> None:
    with path.open("w", newline="") as file:
        csv.writer(file).writerows([header, *zip(*columns, strict=True)])


def test_a_table_of_classes(cli: Cli, points: dict[str, Any]) -> None:
    x, names = points["x"], [SPECIES[k] for k in points["y"]]
    table(cli.folder / "insects.csv", ["length", "width", "species"], [*x.T, names])
    data = "data: {dataset: {Csv: {path: insects.csv, target: species, test: 0.2}}, normalize: standardize}"
    cli.write("c.yaml", data + MODEL % ("", 3, "CrossEntropyLoss", "accuracy"))
    assert "2 -> 12 -> 12 -> 3" in cli("check", "c.yaml").out
    run = cli.train("c.yaml")
    assert cli("eval", "--split", "test", "--json").json["metrics"]["accuracy"] > 0.95
    shown = cli("eval", "--split", "train").out
    assert [line.split("  ")[0] for line in shown.splitlines()[-3:]] == ["0 ant, red", "1 bee", "2 wasp"]
    saved = checkpoint.read(run / "checkpoints/best.npz")
    assert saved.meta["info"]["class_names"] == ["ant, red", "bee", "wasp"]
    assert saved.arrays["data.mean"].shape == (2,)
    assert cli("gradcheck").out.count("CrossEntropyLoss") == 1
    # The outputs stand for the classes of the training: other ones are refused, not shown under wrong names.
    table(cli.folder / "insects.csv", ["length", "width", "species"], [*x.T, [n.replace("bee", "fly") for n in names]])
    changed = cli("eval", code=4)
    assert changed.lines[-1].startswith("error: data.dataset: got the classes 'ant, red', 'fly', 'wasp', expected")


def test_normalisation_comes_from_the_checkpoint(cli: Cli, points: dict[str, Any]) -> None:
    table(cli.folder / "t.csv", ["a", "b", "v"], [*points["x"].T, points["v"]])
    data = "data: {dataset: {Csv: {path: t.csv, target: v, test: test.csv}}, normalize: standardize}"
    table(cli.folder / "test.csv", ["a", "b", "v"], [*points["x"][:50].T, points["v"][:50]])
    cli.write("r.yaml", data + MODEL % ("", 1, "MSELoss", "r2"))
    cli.train("r.yaml")
    assert cli("eval", "--json").json["metrics"]["r2"] > 0.9
    before = cli("eval", "--split", "test", "--json").json["metrics"]
    # Other training data has another mean, which must not reach what the network was trained on.
    table(cli.folder / "t.csv", ["a", "b", "v"], [*(points["x"] + 100).T, points["v"]])
    after = cli("eval", "--split", "test", "--json")
    assert after.json["metrics"] == before
    assert after.lines[1] == "warning: the data has changed since the training: t.csv"
    # Columns in another order would be taken for each other.
    table(cli.folder / "t.csv", ["b", "a", "v"], [*points["x"].T, points["v"]])
    said = "error: data.dataset: got the columns 'b', 'a', expected 'a', 'b' as in the training of "
    assert cli("eval", code=4).lines[-1].startswith(said)


def test_the_worst_of_values_are_those_farthest_off(cli: Cli, points: dict[str, Any]) -> None:
    np.savez(cli.folder / "d.npz", x=points["x"], y=points["v"])
    data = "data: {dataset: {Npz: {path: d.npz, x_train: x, y_train: y, x_test: null, y_test: null}}}"
    cli.write("r.yaml", data + MODEL % ("", 1, "HuberLoss", "mae"))
    cli.train("r.yaml")
    rows = cli("eval", "--worst", "3", "--json").json["worst"]
    off = [abs(row["target"][0] - row["predicted"][0]) for row in rows]
    assert off == sorted(off, reverse=True)
    assert cli("eval", "--worst", "3").out.split("\n\n")[-1].splitlines()[0].split() == ["sample", "true", "predicted"]
    assert "has no test part" in cli("eval", "--split", "test", code=3).err


def test_arrays_of_classes(cli: Cli, points: dict[str, Any]) -> None:
    x, y = points["x"], points["y"]
    np.savez(cli.folder / "d.npz", x_train=x[:250], y_train=y[:250], x_test=x[250:], y_test=y[250:])
    data = "data: {dataset: {Npz: {path: d.npz}}, normalize: standardize}"
    cli.write("c.yaml", data + MODEL % ("", 3, "CrossEntropyLoss", "accuracy"))
    cli.train("c.yaml")
    assert cli("eval", "--split", "test", "--json").json["metrics"]["accuracy"] > 0.95
    assert cli("gradcheck", "c.yaml", "--json").json["passed"] is True
    # What has changed since is told: inputs beyond float32 give no figures, other classes are no targets.
    np.savez(cli.folder / "d.npz", x_train=x[:250], y_train=y[:250], x_test=x[250:] * 1e300, y_test=y[250:])
    ended = cli("eval", "--split", "test", "--worst", "1", "--json")
    assert ended.json["metrics"]["loss"] is None
    assert ended.json["worst"][0]["probability"] is None
    assert ended.lines[1:3] == [
        "warning: the data has changed since the training: d.npz",
        "warning: the outputs for 50 of 50 samples are not finite",
    ]
    ended = cli("eval", "--split", "test", "--require", "accuracy>=0", code=10)
    assert "error: --require: the outputs for 50 of 50 samples are not finite, expected finite ones" in ended.lines
    np.savez(cli.folder / "d.npz", x_train=x[:250], y_train=y[:250] + 5, x_test=x[250:], y_test=y[250:] + 5)
    assert "data.dataset: got the number of classes 8, expected 3 as in the training" in cli("eval", code=4).err


def test_images_of_classes(cli: Cli) -> None:
    rng = np.random.default_rng(0)
    labels = rng.integers(0, 2, 300).astype(np.uint8)
    images = (rng.integers(0, 100, (300, 5, 6)) + 100 * labels[:, None, None]).astype(np.uint8)
    for name, array in (("images.gz", images), ("labels.gz", labels)):
        header = struct.pack(f">4B{array.ndim}I", 0, 0, 8, array.ndim, *array.shape)
        (cli.folder / name).write_bytes(gzip.compress(header + array.tobytes()))
    data = "data: {dataset: {Idx: {train_images: images.gz, train_labels: labels.gz, classes: 2}}, normalize: unit}"
    cli.write("c.yaml", data + MODEL % ("Flatten, ", 2, "CrossEntropyLoss", "accuracy"))
    assert "1x5x6 -> 30 -> 12 -> 12 -> 2" in cli("check", "c.yaml").out
    cli.train("c.yaml")
    assert cli("eval", "--json").json["metrics"]["accuracy"] > 0.95
