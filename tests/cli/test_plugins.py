"""Components of a user's own: one file through `--code`, or an installed package, found by every command."""

from __future__ import annotations

import re
import shutil
from pathlib import Path

import jsonschema
import pytest
from commandline import Cli

SWISH = '''
from dataclasses import dataclass
from typing import Annotated

import numpy as np
from annotated_types import Gt

import dlcli


@dlcli.layers.register
@dataclass(eq=False)
class Swish(dlcli.Layer):
    """y = x / (1 + exp(-beta x))

    x (N, ...), y (N, ...).
    """

    beta: Annotated[float, Gt(0)] = 1.0

    examples = (dlcli.example((5,)), dlcli.example((2, 3), beta=2.0))

    def setup(self, in_shape):
        return in_shape

    def forward(self, x, training=True):
        self.x, self.s = x, 1 / (1 + np.exp(-self.beta * x))
        return x * self.s

    def backward(self, dy):
        return dy * self.s * (1 + self.beta * self.x * (1 - self.s))
'''

PLAIN = '''
import numpy as np

from dlcli import layers, losses


@layers.register
class LeakyReLU:
    """y = max(alpha x, x)"""

    def __init__(self, alpha=0.01):
        self.alpha = alpha

    def forward(self, x):
        self.x = x
        return np.where(x > 0, x, self.alpha * x)

    def backward(self, dy):
        return np.where(self.x > 0, dy, self.alpha * dy)


@losses.register
class HuberLoss:
    """Quadratic for small errors, linear for large ones"""

    def __init__(self, delta=1.0):
        self.delta = delta

    def forward(self, y_pred, y_true):
        self.d = y_pred - y_true
        size = np.abs(self.d)
        return np.mean(np.where(size <= self.delta, 0.5 * self.d**2, self.delta * (size - 0.5 * self.delta)))

    def backward(self):
        return np.clip(self.d, -self.delta, self.delta) / self.d.size
'''

REPLACED = [
    "layer LeakyReLU of plain.py replaces the built-in one",
    "loss HuberLoss of plain.py replaces the built-in one",
]


@pytest.fixture
def swish(cli: Cli) -> Path:
    """A config whose network has the layer of `swish.py`."""
    cli.write("swish.py", SWISH)
    return cli.shipped("digits", ("  - ReLU\n", "  - Swish: {beta: 1.5}\n"), ("epochs: 20", "epochs: 2"), to="s.yaml")


def test_one_file_adds_a_layer_that_every_command_knows(cli: Cli, swish: Path) -> None:
    code = ("--code", "swish.py")
    assert "Swish" in cli("list", "layers", *code, "--json").json["layers"]
    assert re.search(r"Swish +y = x / \(1 \+ exp\(-beta x\)\)  \(swish\.py\)", cli("list", "layers", *code).out)
    described = cli("describe", "Swish", *code).out
    assert "  beta  a number > 0  default 1.0\n" in described
    assert "  Swish: {beta: 2.0}\n" in described
    assert "written in swish.py:11\n" in described
    validator = jsonschema.Draft202012Validator(cli("config", "schema", *code).json)
    shown = cli("config", "show", swish, *code, "--json").json
    assert validator.is_valid(shown)
    shown["model"][2]["Swish"]["beta"] = 0
    assert not validator.is_valid(shown)
    checked = cli("check", swish, *code, "--set", "model.2.beta=3")
    assert checked.err == f"next   dlcli train {swish} --set model.2.beta=3 --code swish.py\n"
    assert "  Swish" in cli("summary", swish, *code).out
    assert "2 Swish" in cli("gradcheck", swish, *code).out
    assert "beta: got 0, expected a number > 0" in cli("check", swish, *code, "--set", "model.2.beta=0", code=3).err


def test_a_run_needs_its_code_again_and_hints_carry_it(cli: Cli, swish: Path) -> None:
    code = ("--code", "swish.py")
    assert "unknown layer" in cli("check", swish, code=3).err
    stopped = cli("train", swish, *code, "--max-steps", "20")
    run = stopped.out.strip()
    assert stopped.lines[-1].endswith(f"continue with: dlcli resume {run} --code swish.py")
    add = f"error: {run}: was trained with components of 'swish.py'; add --code swish.py"
    for command in (("resume",), ("eval",), ("summary",), ("gradcheck",)):
        assert cli(*command, code=6).lines[-1] == add
    assert cli("resume", *code).lines[-1] == f"next   dlcli eval {run} --code swish.py"
    evaluated = cli("eval", *code)
    assert evaluated.lines[-1].startswith(f"next   dlcli eval {run} --split test --code swish.py   ")
    # The content counts, not the name; and another content is another layer.
    cli.write("renamed.py", SWISH)
    assert cli("eval", "--code", "renamed.py").out == evaluated.out
    same = f"same config as {run}: "
    again = cli("train", swish, *code, "--max-steps", "1")
    assert again.lines[0] == f"{same}will give the same bits; --resume shows its result"
    shutil.rmtree(cli.folder / again.out.strip())
    cli.write("swish.py", SWISH.replace("1 +", "1.0 +"))
    resumed = (("resume", run), ("train", swish, "--resume"))  # of a run that is complete
    for command in (("eval",), ("eval", f"{run}/checkpoints/best.npz"), *resumed):
        assert re.search(r"swish.py has sha256 \w{12}..., expected \w{12}...", cli(*command, *code, code=6).err)
    assert cli("gradcheck", run, *code).out == cli("gradcheck", swish, *code).out
    assert cli("runs", "show", run).out.startswith(f"run         {run}\nstatus      complete")
    assert cli("train", swish, *code, "--max-steps", "1").lines[0] == f"{same}the --code files differ"


def test_gradcheck_grades_a_file_by_its_exit_code(cli: Cli) -> None:
    right = cli("gradcheck", "--code", str(cli.write("swish.py", SWISH)), "--json").json
    assert [row["layer"] for row in right["rows"]] == ["Swish", "Swish(beta=2.0)"]
    assert right["passed"] is True
    cli.write("wrong.py", SWISH.replace("return dy *", "return 1.01 * dy *"))
    wrong = cli("gradcheck", "--code", "wrong.py", code=10)
    assert "2 of 2 FAILED" in wrong.out
    assert len(wrong.lines) == 2
    assert wrong.lines[0].startswith("error: gradcheck: Swish: input: relative error 9.9e-03, expected <= 1e-05")
    assert "every entry is 1.01 times what it should be" in wrong.lines[0]
    assert cli("gradcheck", "--code", "wrong.py", "--json", code=10).json["passed"] is False


def test_a_planted_error_in_a_network_names_its_tensor(cli: Cli, swish: Path) -> None:
    cli.write("swish.py", SWISH.replace("return dy *", "return 1.01 * dy *"))
    ended = cli("gradcheck", swish, "--code", "swish.py", code=10)
    assert ended.lines[0].startswith(f"error: {swish}:11:5: gradcheck: 2 Swish: input: relative error")
    assert all("see 2 Swish" in line for line in ended.lines[1:])


def test_plain_classes_work_from_a_config_and_replace_the_built_in_ones_with_one_note(cli: Cli) -> None:
    cli.write("plain.py", PLAIN)
    code = ("--code", "plain.py")
    classes = cli.shipped("digits", ("- ReLU", "- LeakyReLU: {alpha: 0.1}"), ("epochs: 20", "epochs: 2"), to="l.yaml")
    trained = cli("train", classes, *code, "--json")
    assert trained.lines[:2] == REPLACED
    assert trained.json["metrics"]["val.accuracy"] > 0.8
    values = cli.shipped("linear_regression", ("loss: MSELoss", "loss:\n  HuberLoss: {delta: 0.5}"), to="h.yaml")
    cli("train", values, *code, "--set", "optimizer.lr=0.3")
    assert cli("eval", *code, "--json").json["metrics"]["r2"] > 0.99
    graded = cli("gradcheck", *code)
    assert "\nall 2 passed: 2 by differences (largest " in graded.out
    assert graded.lines == REPLACED
    assert "model.2.LeakyReLU.alpha: unknown key" in cli("check", classes, code=3).err


def test_two_files_with_one_name_are_an_error(cli: Cli) -> None:
    cli.write("a.py", SWISH)
    cli.write("b.py", SWISH + "\n")
    ended = cli("list", "--code", "a.py", "--code", "b.py", code=3)
    assert ended.err == "error: b.py: layer 'Swish' is already registered by a.py; rename one of them\n"


BROKEN = {
    "import nothing_of_this_name\n": "f.py:1: cannot be imported: ModuleNotFoundError",
    "x = 1\ndef f(:\n": "f.py:2: cannot be imported: SyntaxError",
    "import dlcli\n\n@dlcli.layers.register\nclass Nothing:\n    pass\n": "Nothing",
    "import sys\nsys.exit(3)\n": "f.py:2: cannot be imported: SystemExit",
}


@pytest.mark.parametrize("text", BROKEN)
def test_a_file_that_cannot_be_imported(cli: Cli, text: str) -> None:
    cli.write("f.py", text)
    ended = cli("list", "--code", "f.py", code=3)
    assert len(ended.lines) == 1
    assert BROKEN[text] in ended.err
    assert "none.py: no such file" in cli("list", "--code", "none.py", code=3).err


def install(cli: Cli, name: str, text: str) -> None:
    """Put a module on a path, with the metadata that an installer writes beside it."""
    site = cli.folder / "site"
    metadata = site / f"{name}-1.0.dist-info"
    metadata.mkdir(parents=True)
    (site / f"{name}.py").write_text(text)
    (metadata / "METADATA").write_text(f"Metadata-Version: 2.1\nName: {name}\nVersion: 1.0\n")
    (metadata / "entry_points.txt").write_text(f"[dlcli.components]\n{name} = {name}\n")


def test_an_installed_package_brings_components(cli: Cli, swish: Path) -> None:
    install(cli, "swishes", SWISH)
    env = {"PYTHONPATH": f"{cli.folder / 'site'}:{Path(__file__).parents[2]}"}
    assert "(swishes)" in cli.real("list", "layers", env=env).out
    run = cli.real("train", swish, "--max-steps", "3", env=env).out.strip()
    assert cli.real("resume", run, env=env).out == f"{run}\n"


def test_an_installed_package_that_cannot_be_imported_is_named(cli: Cli) -> None:
    install(cli, "broken", "raise RuntimeError('no luck')\n")
    env = {"PYTHONPATH": f"{cli.folder / 'site'}:{Path(__file__).parents[2]}"}
    message = "error: installed package 'broken': broken: cannot be imported: RuntimeError: no luck\n"
    assert cli.real("list", env=env, code=3).err == message
