"""`runs list` and `runs show`."""

from __future__ import annotations

import json
import shutil
from pathlib import Path

import pytest
from commandline import Cli


@pytest.fixture
def sweep(cli: Cli) -> list[str]:
    """Three runs that differ in the learning rate, the last one stopped."""
    cli.shipped("linear_regression", ("epochs: 10", "epochs: 3"))
    line = ("train", "linear_regression.yaml", "--set")
    done = [cli(*line, "optimizer.lr=0.01").out, cli(*line, "optimizer.lr=0.1").out]
    done.append(cli(*line, "optimizer.lr=0.03", "--max-steps", "40").out)
    return [run.strip() for run in done]


def test_no_run_is_no_error(cli: Cli) -> None:
    assert cli("runs", "list", "--json").json == {"runs": []}
    ended = cli("runs", "list")
    assert ended.out == ""
    assert ended.lines == ["runs/: holds no run yet", "next   dlcli train configs/digits.yaml"]


def test_list_has_the_documented_shape_and_order(cli: Cli, sweep: list[str]) -> None:
    rows = cli("runs", "list", "--json").json["runs"]
    shape = ["run", "status", "started", "seconds", "set", "best", "metrics"]
    assert all(list(row)[:7] == shape for row in rows)
    assert [row["run"] for row in rows] == sweep
    assert [row["status"] for row in rows] == ["complete", "complete", "stopped"]
    assert [row["set"] for row in rows] == [{"optimizer.SGD.lr": lr} for lr in (0.01, 0.1, 0.03)]
    assert rows[2]["best"]["metric"] == "val.loss"
    assert rows[0]["metrics"].keys() == {"train.loss", "train.r2", "train.mae", "val.loss", "val.r2", "val.mae"}


def test_list_shows_what_differs(cli: Cli, sweep: list[str]) -> None:
    lines = cli("runs", "list").out.splitlines()
    assert lines[0].split() == ["run", "status", "optimizer.SGD.lr", "best", "time", "curve"]
    assert [line.split()[0] for line in lines[1:]] == [Path(run).name for run in sweep]
    assert [line.split()[2] for line in lines[1:]] == ["0.01", "0.1", "0.03"]
    chosen = cli("runs", "list", sweep[1], "--json").json["runs"]
    assert [row["run"] for row in chosen] == [sweep[1]]


def test_sort(cli: Cli, sweep: list[str]) -> None:
    def order(key: str) -> list[str]:
        return [row["run"] for row in cli("runs", "list", "--sort", key, "--json").json["runs"]]

    assert order("optimizer.SGD.lr") == [sweep[0], sweep[2], sweep[1]]
    assert order("optimizer.lr") == order("optimizer.SGD.lr")
    assert order("start") == sweep
    assert cli("runs", "list").lines == [f"next   dlcli runs show {sweep[-1]}"]
    assert cli("runs", "list", "--sort", "best").lines == [f"next   dlcli runs show {order('best')[0]}"]
    best = [row["best"]["value"] for row in cli("runs", "list", "--sort", "best", "--json").json["runs"]]
    assert best == sorted(best)
    assert order("val.r2") == order("val.loss")
    assert "--sort: no run has 'val.accuracy'" in cli("runs", "list", "--sort", "val.accuracy", code=2).err


def test_the_best_run_stands_first_whichever_way_is_better(cli: Cli, digits: Path) -> None:
    cli.train("digits.yaml", "--set", "optimizer.lr=1e-5")
    (first, last) = cli("runs", "list", "--sort", "best", "--json").json["runs"]
    assert first["run"] == str(digits)
    assert first["best"]["value"] > last["best"]["value"]


def test_runs_of_different_monitors_are_sorted_each_by_its_own_direction(cli: Cli, digits: Path) -> None:
    for metric in ("val.loss", "val.accuracy"):
        for value in (0.5, 0.75):
            copy = cli.folder / f"runs/{metric}-{value}"
            shutil.copytree(cli.folder / digits, copy)
            found = json.loads((copy / "summary.json").read_text())
            found["best"] |= {"metric": metric, "value": value}
            (copy / "summary.json").write_text(json.dumps(found))
    shutil.rmtree(cli.folder / digits)
    ended = cli("runs", "list", "--sort", "best", "--json").json["runs"]
    assert [Path(row["run"]).name for row in ended] == [
        "val.accuracy-0.75",
        "val.accuracy-0.5",
        "val.loss-0.5",
        "val.loss-0.75",
    ]


def test_no_run_has_a_finite_best(cli: Cli, digits: Path) -> None:
    summary = cli.folder / digits / "summary.json"
    found = json.loads(summary.read_text())
    summary.write_text(json.dumps({**found, "best": {**found["best"], "value": None}}))
    ended = cli("runs", "list", "--sort", "best", code=2)
    assert ended.err == "error: --sort: 'best' is not known, or not finite, in any run; sort by another\n"
    assert len(cli("runs", "list").out.splitlines()) == 2


def test_a_damaged_run_does_not_hide_the_others(cli: Cli, sweep: list[str]) -> None:
    (cli.folder / sweep[0] / "run.json").write_text("{")
    ended = cli("runs", "list", "--json")
    assert {row["run"] for row in ended.json["runs"]} == set(sweep)
    assert "is damaged" in ended.err


DAMAGE = [
    ("run.json", '{"code": [1]}', "run.json: is damaged: code: got [1], expected a mapping"),
    ("run.json", '{"code": null}', "code: got None, expected a mapping"),
    ("run.json", '{"resumed": 5}', "resumed: got 5, expected a list"),
    ("run.json", '{"start": 5}', "start: got 5, expected text"),
    ("run.json", '{"samples_per_second": 1e999}', "is damaged: 1e999 is no number of JSON"),
    ("run.json", "[" * 100_000, "is damaged: nested too deeply"),
    ("summary.json", "{}", "summary.json: is damaged: status: got None, expected text"),
    ("summary.json", '"metrics": 5', "metrics: got 5, expected a mapping"),
    ("summary.json", '"best": 5', "best: got 5, expected a mapping"),
    ("summary.json", '"best": {}', "best: metric: got None, expected text"),
    ("summary.json", '"best": null', "best: got None, expected a mapping"),
    ("summary.json", '"seconds": -1', "seconds: got -1"),
    ("summary.json", '"seconds": 1e999', "1e999 is no number of JSON"),
    ("evals.jsonl", '{"time": "t", "split": "test", "metrics": 7}\n', "evals.jsonl:1: metrics: got 7"),
    ("evals.jsonl", '{"split": "test", "metrics": {}}\n', "evals.jsonl:1: time: got None, expected text"),
    ("metrics.jsonl", '{"train.loss": 1}\n', "metrics.jsonl:1: step: got None, expected an integer"),
    ("metrics.jsonl", '{"step": 1, "train.loss": "a"}\n', "metrics.jsonl:1: train.loss: got 'a', expected a number"),
]


@pytest.mark.parametrize(("name", "text", "problem"), DAMAGE, ids=[row[-1] for row in DAMAGE])
def test_json_of_other_kinds_concerns_its_run_alone(cli: Cli, digits: Path, name: str, text: str, problem: str) -> None:
    damaged = cli.folder / f"{digits}-2"
    shutil.copytree(cli.folder / digits, damaged)
    if text.startswith('"'):  # the last of two equal keys holds
        text = (damaged / name).read_text().rstrip().removesuffix("}") + f", {text}}}"
    (damaged / name).write_text(text)
    ended = cli("runs", "list", "--json")
    assert {row["run"] for row in ended.json["runs"]} == {str(digits), f"{digits}-2"}
    assert problem in ended.err
    assert len(cli("runs", "list").out.splitlines()) == 3
    for output in ((), ("--json",)):
        assert problem in cli("runs", "show", f"{digits}-2", *output, code=6).err
    if name == "run.json":
        assert problem in cli("eval", f"{digits}-2", code=6).err
    if name == "summary.json":
        assert problem in cli("resume", f"{digits}-2", code=6).err


def test_names_that_no_run_has(cli: Cli, digits: Path) -> None:
    shutil.copytree(cli.folder / digits, cli.folder / "runs/²")
    (cli.folder / "runs/loop").symlink_to("loop")
    assert len(cli("runs", "list", "--json").json["runs"]) == 2


def test_show(cli: Cli, digits: Path) -> None:
    cli("eval", "--split", "test")
    ended = cli("runs", "show")
    assert ended.lines == [f"run: {digits}", f"next   dlcli eval {digits}"]
    for part in ("status      complete", "best        val.accuracy 9", "  dataset: digits", "train.loss", "best.npz"):
        assert part in ended.out
    assert "test" in ended.out.splitlines()[-1]
    found = cli("runs", "show", digits.name, "--json").json
    assert found["config"]["data"]["dataset"] == "digits"
    assert found["facts"] == json.loads((cli.folder / digits / "run.json").read_text())
    assert len(found["epochs"]) == 4
    assert [row["split"] for row in found["evaluations"]] == ["test"]


def test_show_has_the_last_figures_of_single_layers(cli: Cli, digits: Path) -> None:
    assert cli("runs", "show", digits, "--json").json["layers"] == {}
    assert "layer, at step" not in cli("runs", "show", digits).out
    run = cli.train("digits.yaml", "--set", "train.epochs=1", "--set", "train.log_layers=10 steps")
    found = cli("runs", "show", run, "--json").json["layers"]
    assert found["step"] == 30
    table = cli("runs", "show", run).out.partition("layer, at step 30")[2].splitlines()
    rows = {cells[0]: cells[1:] for cells in map(str.split, table[1:4])}
    assert list(rows) == ["1", "2", "3"]
    assert rows["2"] == [f"{100 * found['layer.2.dead']:.2f}", "%"]
    assert float(rows["1"][0]) == pytest.approx(found["layer.1.grad_norm"], rel=1e-3)
    assert float(rows["3"][1]) == pytest.approx(found["layer.3.update_ratio"], rel=1e-3)
