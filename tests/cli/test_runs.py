"""`runs list` and `runs show`."""

from __future__ import annotations

import json
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
    assert lines[0].split() == ["run", "status", "optimizer.SGD.lr", "best", "time", "loss"]
    assert [line.split()[0] for line in lines[1:]] == [Path(run).name for run in sweep]
    assert [line.split()[2] for line in lines[1:]] == ["0.01", "0.1", "0.03"]
    chosen = cli("runs", "list", sweep[1], "--json").json["runs"]
    assert [row["run"] for row in chosen] == [sweep[1]]


def test_sort(cli: Cli, sweep: list[str]) -> None:
    def order(key: str) -> list[str]:
        return [row["run"] for row in cli("runs", "list", "--sort", key, "--json").json["runs"]]

    assert order("optimizer.SGD.lr") == [sweep[0], sweep[2], sweep[1]]
    assert order("start") == sweep
    best = [row["best"]["value"] for row in cli("runs", "list", "--sort", "best", "--json").json["runs"]]
    assert best == sorted(best)
    assert order("val.r2") == order("val.loss")
    assert "--sort: no run has 'val.accuracy'" in cli("runs", "list", "--sort", "val.accuracy", code=2).err


def test_the_best_run_stands_first_whichever_way_is_better(cli: Cli, digits: Path) -> None:
    cli.train("digits.yaml", "--set", "optimizer.lr=1e-5")
    (first, last) = cli("runs", "list", "--sort", "best", "--json").json["runs"]
    assert first["run"] == str(digits)
    assert first["best"]["value"] > last["best"]["value"]


def test_a_damaged_run_does_not_hide_the_others(cli: Cli, sweep: list[str]) -> None:
    (cli.folder / sweep[0] / "run.json").write_text("{")
    ended = cli("runs", "list", "--json")
    assert {row["run"] for row in ended.json["runs"]} == set(sweep)
    assert "is damaged" in ended.err


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
