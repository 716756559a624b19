"""`gradcheck` as a command: a config, a run, a layer, everything registered; exit 0 or 10."""

from __future__ import annotations

from pathlib import Path

import pytest
from commandline import CONFIGS, Cli

import dlcli

COMPLEX, DIRECTIONAL = 1e-12, 1e-5
"""The largest errors of correct gradients, by method."""


@pytest.mark.parametrize("name", sorted(path.stem for path in CONFIGS.glob("*.yaml")))
def test_every_shipped_config_passes_without_data(cli: Cli, name: str) -> None:
    cli.shipped(name)
    ended = cli("gradcheck", f"{name}.yaml", "--json")
    found = ended.json
    assert list(found) == ["passed", "threshold", "rows"]
    assert found["passed"] is True
    assert found["threshold"] == 1e-5
    assert {row["method"] for row in found["rows"]} == {"complex", "directional"}
    for row in found["rows"]:
        assert list(row)[:4] == ["layer", "tensor", "error", "verdict"]
        assert row["error"] <= (COMPLEX if row["method"] == "complex" else DIRECTIONAL)
        assert row["verdict"] in ("excellent", "good")
    assert {row["layer"] for row in found["rows"]} >= {"end to end"}
    assert ended.err == f"next   dlcli train {name}.yaml\n"
    assert [path.name for path in cli.folder.iterdir()] == [f"{name}.yaml"]


def test_the_table_and_its_sum(cli: Cli) -> None:
    cli.shipped("xor")
    shown = cli("gradcheck", "xor.yaml").out
    assert shown.splitlines()[0].split() == ["layer", "tensor", "mode", "method", "error", "verdict"]
    rows = shown.split("\n\n")[0].splitlines()[1:]
    assert shown.splitlines()[-1].startswith(f"all {len(rows)} passed: ")


def test_without_a_run_all_that_is_registered_is_checked(cli: Cli) -> None:
    ended = cli("gradcheck", "--json")
    assert ended.lines == ["runs/: holds no run: checking every registered layer and loss"]
    checked = {row["layer"].partition("(")[0] for row in ended.json["rows"]}
    assert checked == {*dlcli.layers, *dlcli.losses}
    assert cli("gradcheck", "--all", "--json").json == ended.json


def test_the_newest_run_is_the_default(cli: Cli, digits: Path) -> None:
    ended = cli("gradcheck", "--json")
    assert ended.lines == [f"run: {digits}"]
    assert ended.json == cli("gradcheck", digits, "--json").json == cli("gradcheck", "digits.yaml", "--json").json


def test_one_layer(cli: Cli) -> None:
    rows = cli("gradcheck", "--layer", "Linear: {out_features: 3}", "--input", "7", "--json").json["rows"]
    assert [row["tensor"] for row in rows] == ["weight", "bias", "input"]
    assert cli("gradcheck", "--layer", "Dropout", "--seed", "3").out.count("Dropout") == 2


WRONG = {
    ("--layer", "Lineer: {out_features: 3}"): (3, "did you mean 'Linear'?"),
    ("--layer", "Linear"): (3, "missing 'out_features'"),
    ("--layer", "ReLU", "--input", "a"): (2, "--input: got 'a'"),
    ("--layer", "ReLU", "--all"): (2, "--layer and --all exclude each other"),
    ("--threshold", "2"): (2, "--threshold: got 2"),
    ("--all", "--set", "seed=1"): (2, "--set goes with a CONFIG"),
    ("none.yaml",): (3, "none.yaml: no such file"),
}


@pytest.mark.parametrize("line", WRONG, ids=" ".join)
def test_what_cannot_be_checked(cli: Cli, line: tuple[str, ...]) -> None:
    code, message = WRONG[line]
    ended = cli("gradcheck", *line, code=code)
    assert ended.out == ""
    assert len(ended.lines) == 1
    assert message in ended.err


def test_a_table_that_is_not_there_cannot_be_checked(cli: Cli) -> None:
    cli.shipped("xor", ("xor: {samples: 400}", "Csv: {path: none.csv, target: y}"))
    assert "the file is not there" in cli("gradcheck", "xor.yaml", code=3).err
