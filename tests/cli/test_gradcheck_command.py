"""`gradcheck` as a command: a config, a run, a layer, everything registered; exit 0 or 10."""

from __future__ import annotations

from pathlib import Path

import pytest
from commandline import CONFIGS, Cli

import dlcli

COMPLEX, DIRECTIONAL = 1e-12, 1e-5
"""The largest errors of correct gradients, by method."""


@pytest.mark.parametrize("name", sorted(path.stem for path in CONFIGS.glob("*.yaml")))
def test_every_shipped_config_passes_without_data_and_planted_errors_are_found(cli: Cli, name: str) -> None:
    cli.shipped(name)
    ended = cli("gradcheck", f"{name}.yaml", "--prove", "--json")
    found = ended.json
    assert list(found) == ["passed", "threshold", "rows"]
    assert found["passed"] is True
    assert found["threshold"] == 1e-5
    assert {row["method"] for row in found["rows"]} == {"complex", "directional", "trained"}
    exact, cast = (row for row in found["rows"] if row["method"] == "trained")
    assert exact["error"] < COMPLEX
    assert cast["error"] < 0.05
    for row in found["rows"]:
        assert list(row)[:4] == ["layer", "tensor", "error", "verdict"]
        if row["method"] == "trained":
            continue
        assert row["error"] <= (COMPLEX if row["method"] == "complex" else DIRECTIONAL)
        assert row["verdict"] in ("excellent", "good")
        assert row["proof"] == "found"
    assert {row["layer"] for row in found["rows"]} >= {"end to end"}
    assert ended.err == f"next   dlcli train {name}.yaml\n"
    assert [path.name for path in cli.folder.iterdir()] == [f"{name}.yaml"]


def test_the_table_and_its_sum(cli: Cli) -> None:
    cli.shipped("xor")
    shown = cli("gradcheck", "xor.yaml").out
    assert shown.splitlines()[0].split() == ["layer", "tensor", "mode", "complex", "step", "differences", "verdict"]
    rows = shown.split("\n\n")[0].splitlines()[1:]
    assert shown.split("\n\n")[1].startswith(f"all {len(rows)} passed: {len(rows)} by complex step (largest ")


def test_without_a_run_all_that_is_registered_is_checked(cli: Cli) -> None:
    ended = cli("gradcheck", "--json")
    assert ended.lines == ["runs/: holds no run: checking every registered layer and loss"]
    checked = {row["layer"].partition("(")[0] for row in ended.json["rows"]}
    assert checked == {*dlcli.layers, *dlcli.losses}
    assert cli("gradcheck", "--all", "--json").json == ended.json


def test_the_newest_run_is_the_default(cli: Cli, digits: Path) -> None:
    ended = cli("gradcheck", "--json")
    assert ended.lines == [f"run: {digits}"]
    assert ended.json == cli("gradcheck", digits, "--json").json
    by_config = cli("gradcheck", "digits.yaml", "--json").json
    assert [row | {"where": None} for row in ended.json["rows"]] == [r | {"where": None} for r in by_config["rows"]]


def test_rows_tell_where_their_layer_stands_in_the_config(cli: Cli) -> None:
    cli.shipped("digits")
    lines = (cli.folder / "digits.yaml").read_text().splitlines()
    rows = cli("gradcheck", "digits.yaml", "--json").json["rows"]
    places = {row["layer"]: row["where"] for row in rows}
    for whole in ("end to end", "as trained, 32 samples", "as trained, 32 samples in float32"):
        assert places.pop(whole) is None
    for layer, where in places.items():
        line = int(where.removeprefix("digits.yaml:").split(":")[0])
        assert layer.split()[-1] in lines[line - 1]


WRONG_LAYER = """
import numpy as np
from dlcli import Layer, example, layers

@layers.register
class Off(Layer):
    \"\"\"y = 2 x\"\"\"
    examples = (example((5,)),)

    def forward(self, x, training):
        return 2 * x

    def backward(self, dy):
        return 2.002 * dy
"""


def test_the_guilty_layer_is_named_with_its_line_in_the_config(cli: Cli) -> None:
    cli.shipped("digits", ("- ReLU", "- Residual: {body: [Off]}"))
    (cli.folder / "off.py").write_text(WRONG_LAYER)
    line = 1 + next(i for i, text in enumerate((cli.folder / "digits.yaml").read_text().splitlines()) if "Off" in text)
    ended = cli("gradcheck", "digits.yaml", "--code", "off.py", code=10)
    first = ended.lines[0]
    assert first.startswith(f"error: digits.yaml:{line}:")
    assert "gradcheck: 2.body.0 Off: input: relative error 1.0e-03, expected <= 1e-05; worst at [" in first
    assert "every entry is 1.001 times what it should be" in first
    assert any("see 2.body.0 Off" in line for line in ended.lines)


def test_only_the_complex_step(cli: Cli) -> None:
    rows = cli("gradcheck", "--all", "--complex", "--json").json["rows"]
    assert {row["method"] for row in rows} == {"complex"}
    assert {row["layer"].partition("(")[0] for row in rows} == {*dlcli.layers, *dlcli.losses}
    assert max(row["error"] for row in rows) < COMPLEX


def test_what_does_not_take_complex_numbers_is_skipped_with_the_reason(cli: Cli) -> None:
    cli.shipped("digits", ("- ReLU", "- Off"))
    (cli.folder / "off.py").write_text(WRONG_LAYER.replace("2.002", "2"))
    ended = cli("gradcheck", "digits.yaml", "--complex", "--code", "off.py")
    why = "Off does not set complex_step = True: forward may not be analytic"
    assert f"skipped 2 Off: {why}" in ended.out
    assert f"skipped end to end: {why}" in ended.out
    assert "as trained, 32 samples in float32: off by " in ended.out
    assert "1 Linear" in ended.out
    alone = cli("gradcheck", "--complex", "--code", "off.py", code=10)
    assert alone.lines == [f"error: gradcheck: nothing was compared: Off: {why}"]


def test_gradients_that_are_zero_are_listed_as_not_provable(cli: Cli) -> None:
    dead = "- Linear: {out_features: 8, init: {weight: xavier_uniform, bias: {constant: {value: -100}}}}"
    cli.shipped("xor", ("- Linear: {out_features: 8}", dead), ("- Tanh", "- ReLU"))
    shown = cli("gradcheck", "xor.yaml", "--prove").out
    assert "not provable, because they are zero: 1 ReLU input, 2 Linear weight, end to end 0.weight" in shown


def test_every_entry(cli: Cli) -> None:
    cli.shipped("xor")
    rows = cli("gradcheck", "xor.yaml", "--full", "--json").json["rows"]
    entries = {row["tensor"]: row["entries"] for row in rows if row["layer"] == "end to end"}
    assert entries == {"0.weight": 16, "0.bias": 8, "2.weight": 16, "2.bias": 2, "input": 8}
    assert all(row["error"] < (COMPLEX if row["method"] == "complex" else DIRECTIONAL) for row in rows)


def test_once_more_after_some_training(cli: Cli) -> None:
    cli.shipped("digits")
    rows = cli("gradcheck", "digits.yaml", "--burn-in", "20", "--json").json["rows"]
    fresh, later = ([row for row in rows if row["after"] == steps] for steps in (0, 20))
    assert len(fresh) == len(later) == len(rows) / 2
    assert fresh == cli("gradcheck", "digits.yaml", "--json").json["rows"]
    shown = cli("gradcheck", "digits.yaml", "--burn-in", "20").out
    assert shown.count("training +20") == (len(later) - 2) / 2  # by two methods each, but for the two whole batches


def test_a_burn_in_that_diverges_is_told(cli: Cli) -> None:
    cli.shipped("linear_regression")
    ended = cli("gradcheck", "linear_regression.yaml", "--set", "optimizer.lr=1e30", "--burn-in", "50", code=9)
    assert "--burn-in: training diverged at step " in ended.err


def test_one_loss_with_a_shape(cli: Cli) -> None:
    rows = cli("gradcheck", "--loss", "HuberLoss: {delta: 0.5}", "--input", "2,3", "--batch", "7", "--json").json[
        "rows"
    ]
    assert [(row["tensor"], row["method"]) for row in rows] == [("y_pred", "complex"), ("y_pred", "directional")]
    one = cli("gradcheck", "--loss", "MSELoss", "--input", "1", "--batch", "7", "--full", "--json").json["rows"]
    assert [row["entries"] for row in one] == [7, 7]


WRONG_OPTIMIZER = """
import numpy as np
from dlcli import optimizers
from dlcli.optim.adam import Adam

@optimizers.register
class Rushed(Adam):
    \"\"\"Adam that forgets one of its two corrections\"\"\"

    def update(self, part, lr):
        super().update(part, lr * 1.001)

    textbook = Adam.textbook
"""


def test_optimizers_against_their_textbook_form(cli: Cli) -> None:
    ended = cli("gradcheck", "--optimizers", "--json")
    rows = ended.json["rows"]
    assert {row["layer"].partition("(")[0] for row in rows} == set(dlcli.optimizers)
    assert {row["method"] for row in rows} == {"textbook"}
    assert max(row["error"] for row in rows) < 1e-12
    assert f"all {len(rows)} passed: {len(rows)} by textbook form" in cli("gradcheck", "--optimizers").out


def test_a_wrong_optimizer_is_named(cli: Cli) -> None:
    (cli.folder / "rushed.py").write_text(WRONG_OPTIMIZER)
    ended = cli("gradcheck", "--optimizers", "--code", "rushed.py", code=10)
    assert ended.lines[0].startswith("error: gradcheck: Rushed: ")
    assert ended.lines[0].endswith("; at step 1")
    assert "expected <= 1e-12" in ended.lines[0]


def test_the_step_of_the_differences(cli: Cli) -> None:
    def largest(step: str) -> float:
        rows = cli("gradcheck", "--layer", "Tanh", "--step", step, "--threshold", "0.1", "--json").json["rows"]
        return max(row["error"] for row in rows if row["method"] == "directional")

    assert largest("1e-2") > 100 * largest("1e-5")


def test_one_layer(cli: Cli) -> None:
    rows = cli("gradcheck", "--layer", "Linear: {out_features: 3}", "--input", "7", "--json").json["rows"]
    assert [row["tensor"] for row in rows] == 2 * ["weight", "bias", "input"]
    assert cli("gradcheck", "--layer", "Dropout", "--seed", "3").out.count("Dropout") == 2


WRONG = {
    ("--layer", "Lineer: {out_features: 3}"): (3, "did you mean 'Linear'?"),
    ("--layer", "Linear"): (3, "missing 'out_features'"),
    ("--layer", "ReLU", "--input", "a"): (2, "--input: got 'a'"),
    ("--layer", "ReLU", "--all"): (2, "--layer and --all exclude each other"),
    ("--threshold", "2"): (2, "--threshold: got 2"),
    ("--all", "--set", "seed=1"): (2, "--set goes with a CONFIG"),
    ("--all", "--burn-in", "3"): (2, "--burn-in goes with a CONFIG"),
    ("--layer", "ReLU", "--loss", "MSELoss"): (2, "--layer and --loss exclude each other"),
    ("--loss", "MSE"): (3, "did you mean 'MSELoss'?"),
    ("--loss", "MSELoss", "--input", "0"): (2, "--input: got '0'"),
    ("--all", "--input", "3"): (2, "--input goes with --layer or --loss"),
    ("--all", "--batch", "0"): (2, "--batch: got '0', expected an integer >= 1"),
    ("--all", "--step", "0"): (2, "--step: got 0, expected 1e-08 to 0.1"),
    ("--optimizers", "--full"): (2, "--optimizers and --full exclude each other"),
    ("--optimizers", "--all"): (2, "--all and --optimizers exclude each other"),
    ("--all", "--step", "1e-3", "--complex"): (2, "--complex and --step exclude each other"),
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
