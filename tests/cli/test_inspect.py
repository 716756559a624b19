"""`check`, `summary`, `list` and `describe`."""

from __future__ import annotations

from pathlib import Path

import pytest
from commandline import CONFIGS, Cli

import dlcli
from dlcli.core.registry import Registry

SHIPPED = sorted(path.stem for path in CONFIGS.glob("*.yaml"))


@pytest.mark.parametrize("name", SHIPPED)
def test_every_shipped_config_is_right_without_a_warning(cli: Cli, name: str) -> None:
    cli.shipped(name)
    ended = cli("check", f"{name}.yaml", "--json")
    assert ended.json["warnings"] == ended.json["notes"] == []
    assert ended.json["parameters"] > 0
    assert ended.err == ""
    assert [path.name for path in cli.folder.iterdir()] == [f"{name}.yaml"]


def test_check_tells_shapes_and_the_next_command(cli: Cli) -> None:
    cli.shipped("mnist")
    ended = cli("check", "mnist.yaml", "--set", "model.1.out_features=100")
    assert ended.out == ("ok: mnist.yaml: 1x28x28 -> 784 -> 100 -> 100 -> 10, 79,510 parameters, 860 steps an epoch\n")
    assert ended.err == "next   dlcli train mnist.yaml --set model.1.out_features=100\n"
    shapes = cli("check", "mnist.yaml", "--json").json["shapes"]
    assert shapes == [[1, 28, 28], [784], [128], [128], [10]]


def test_check_tells_all_problems_at_once(cli: Cli) -> None:
    cli.write("c.yaml", "data: {dataset: digitz}\nmodel:\n  - Linaer: {out_features: 3}\nloss: MSE\nseeed: 1\n")
    ended = cli("check", "c.yaml", code=3)
    assert ended.out == ""
    places = [line.split(": ")[1].removeprefix("c.yaml:") for line in ended.lines]
    assert places == ["1:1", "1:1", "1:17", "3:5", "4:7", "5:1"]
    for name in ("digits", "Linear", "seed"):
        assert f"did you mean '{name}'?" in ended.err


def test_check_without_the_users_file_notes_what_was_not_checked(cli: Cli) -> None:
    cli.shipped("xor", ("xor: {samples: 400}", "Csv: {path: none.csv, target: y}"))
    ended = cli("check", "xor.yaml")
    assert ended.out == "ok: xor.yaml\n"
    assert any("shapes were not checked" in line for line in ended.lines)


def test_a_missing_config_suggests_its_neighbour(cli: Cli) -> None:
    cli.shipped("digits")
    assert cli("check", "digit.yaml", code=3).err == (
        "error: digit.yaml: no such file; did you mean 'digits.yaml'? ('dlcli config new' writes starter configs)\n"
    )


def test_summary(cli: Cli, digits: Path) -> None:
    cli.shipped("mnist")
    text = cli("summary", "mnist.yaml").out
    rows = {cells[1]: cells for cells in map(str.split, text.splitlines()) if len(cells) > 1}
    assert rows["Flatten"][2:4] == ["784", "0"]
    assert "101,770 parameters in float32, 407.1 kB" in text
    found = cli("summary", "mnist.yaml", "--json").json
    assert [row["parameters"] for row in found["rows"]] == [0, 100480, 0, 1290]
    assert found["rows"][1]["flops"] == 2 * 784 * 128
    newest = cli("summary", "--json")
    assert newest.lines == [f"run: {digits}"]
    assert newest.json == cli("summary", "digits.yaml", "--json").json
    assert newest.json == cli("summary", f"{digits}/checkpoints/best.npz", "--json").json


def test_list_names_every_component(cli: Cli) -> None:
    dir(dlcli)
    found = cli("list", "--json").json
    assert found == {plural: list(registry) for plural, registry in sorted(Registry.all.items())}
    text = cli("list").out
    assert max(map(len, text.splitlines())) <= 80
    assert all(f"  {name} " in text for names in found.values() for name in names)
    assert cli("list", "layer", "--json").json == {"layers": found["layers"]}
    assert max(map(len, cli("list", env={"COLUMNS": "200"}).out.splitlines())) > 80


def test_describe(cli: Cli) -> None:
    text = cli("describe", "Linear").out
    assert "y = x @ weight.T + bias" in text
    assert "  out_features  an integer >= 1          required\n" in text
    assert "  Linear: {out_features: 3}\n" in text
    assert "dlcli/nn/layers/linear.py:" in text
    found = cli("describe", "Linear", "--json").json
    assert list(found) == ["kind", "name", "doc", "options", "examples", "source", "origin"]


def test_components_of_every_kind_can_be_described(cli: Cli) -> None:
    for names in cli("list", "--json").json.values():
        assert cli("describe", names[-1]).out.startswith(f"{names[-1]} (")
