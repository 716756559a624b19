"""Mistakes in a user's own components: one line with the place, exit code 3, and no run that pretends to go on."""

from __future__ import annotations

import json

import pytest
from commandline import Cli

BOOM = """
import sys

import numpy as np

import dlcli


@dlcli.layers.register
class Boom(dlcli.Layer):
    calls = 0

    def forward(self, x, training):
        Boom.calls += 1
        FORWARD
        return x

    def backward(self, dy):
        return dy
"""


def boom(cli: Cli, statement: str) -> tuple[str, ...]:
    """A config with a layer whose forward executes `statement` in line 15."""
    cli.write("boom.py", BOOM.replace("FORWARD", statement))
    cli.shipped("digits", ("  - ReLU\n", "  - Boom\n"), ("epochs: 20", "epochs: 2"), to="b.yaml")
    return ("b.yaml", "--code", "boom.py")


RAISED = {
    "np.foo(x)": "AttributeError: module 'numpy' has no attribute 'foo'",
    "sys.exit(0)": "SystemExit: 0",
    "raise KeyboardInterrupt": "KeyboardInterrupt",
    "open('nothing')": "FileNotFoundError: [Errno 2] No such file or directory: 'nothing'",
    "self.params['w']": "KeyError:",
    "raise ValueError('two\\nlines')": "ValueError: two lines",
}


@pytest.mark.parametrize("statement", RAISED)
def test_an_exception_in_user_code_is_one_line_with_its_place(cli: Cli, statement: str) -> None:
    given = boom(cli, statement)
    exits = "Exit" in RAISED[statement] or "Interrupt" in RAISED[statement]
    for command in ("train", "gradcheck") if exits else ("train",):  # to gradcheck an Exception is a broken contract
        ended = cli(command, *given, code=3)
        assert ended.lines[-1].startswith(f"error: boom.py:15: Boom.forward raised {RAISED[statement]}")
        assert ended.out == ""


def test_an_exit_in_evaluation_is_no_success(cli: Cli) -> None:
    given = boom(cli, "import os; 'BOOM' in os.environ and sys.exit(0)")
    run = cli.train(*given)
    for command in ("eval", "gradcheck"):
        ended = cli(command, run, "--code", "boom.py", code=3, env={"BOOM": "1"})
        assert ended.err == "error: boom.py:15: Boom.forward raised SystemExit: 0\n"


def test_a_run_that_user_code_ends_has_failed(cli: Cli) -> None:
    for statement in ("np.foo", "sys.exit(0)"):
        given = boom(cli, f"if Boom.calls > 20: {statement}")
        cli("train", *given, "--run-dir", statement, code=3)
        assert json.loads((cli.folder / statement / "run.json").read_text())["status"] == "failed"


def test_a_method_that_takes_other_arguments_is_told_with_its_class(cli: Cli) -> None:
    given = boom(cli, "pass")
    cli.write("boom.py", BOOM.replace("forward(self, x, training)", "forward(self)"))
    assert (
        cli("train", *given, code=3)
        .lines[-1]
        .startswith(
            "error: boom.py:9 (class Boom): forward ended with TypeError: Boom.forward() takes 1 positional argument"
        )
    )


def test_what_user_code_prints_goes_to_stderr(cli: Cli) -> None:
    given = boom(cli, "print('in forward')")
    cli.write("boom.py", "print('at import')\n" + (cli.folder / "boom.py").read_text())
    trained = cli("train", *given, "--set", "train.epochs=1", "--json")
    assert (cli.folder / trained.json["run"]).is_dir()
    assert {"at import", "in forward"} <= set(trained.lines)
    assert cli("eval", "--code", "boom.py", "--json").json["metrics"]
    assert "at import" not in cli.real("list", "--code", "boom.py").out
    assert cli("train", "--help").out.startswith("Usage:")


@pytest.mark.parametrize("names", [["../../x y"], ["\u00e9"], [""], ["w", "w"], [3]])
def test_a_parameter_that_no_checkpoint_can_hold_fails_before_training(cli: Cli, names: list[object]) -> None:
    given = boom(cli, "pass")
    setup = f"""
    def setup(self, in_shape):
        for name in {names!r}:
            self.declare(name, in_shape, dlcli.initializers.get("zeros")())
        return in_shape
"""
    cli.write("boom.py", (cli.folder / "boom.py").read_text() + setup)
    assert "Boom: declares a parameter" in cli("check", *given, code=3).err


LAYER = """
    def forward(self, x, training):
        return x

    def backward(self, dy):
        return dy
"""

LOSS = """
    def forward(self, y_pred, y_true):
        self.shape, self.y = y_pred.shape, y_pred
        return 0.0

    def backward(self):
        return np.zeros_like(self.y)
"""

METRIC = """
    def sums(self, outputs, targets):
        return np.array([1.0, 2.0])

    def value(self, sums):
        return np.float32(sums[0] / sums[1])
"""

KINDS = {"layer": (LAYER, "layers", "Layer"), "loss": (LOSS, "losses", "Loss"), "metric": (METRIC, "metrics", "Metric")}

RETURNED = [
    ("layer", "return x", "return x[:, :32]", "forward gave shape (4, 32), expected real numbers of shape (4, 64)"),
    ("layer", "return x", "pass", "forward gave None"),
    ("layer", "return x", "return x if training else None", "forward gave None"),
    ("layer", "return x", "return x > 0", "forward gave bool shape (4, 64)"),
    ("layer", "return x", "return x * 1j", "forward gave complex64 shape (4, 64)"),
    ("layer", "return dy", "pass", "backward gave None"),
    ("layer", "return dy", "return dy.sum(0)", "backward gave shape (64,)"),
    ("loss", "return 0.0", "pass", "forward gave None, expected a number"),
    ("loss", "return 0.0", "return y_pred", "forward gave shape (4, 10), expected a number"),
    ("loss", "return np.zeros_like(self.y)", "pass", "backward gave None"),
    ("loss", "return np.zeros_like(self.y)", "return self.y[0]", "backward gave shape (10,)"),
    ("metric", "return np.array([1.0, 2.0])", "return 1.0", "sums gave 1.0, expected a vector of numbers"),
    ("metric", "return np.array([1.0, 2.0])", "pass", "sums gave None"),
    ("metric", "return np.float32(sums[0] / sums[1])", "return 'good'", "value gave 'good', expected a number"),
    ("metric", "sums(self, outputs, targets)", "sums(self)", "sums ended with TypeError: Odd.sums() takes"),
]


def odd(cli: Cli, kind: str, old: str = "", new: str = "") -> tuple[str, ...]:
    """A config with a component of that kind, in which a text is replaced."""
    body, registry, base = KINDS[kind]
    head = f"import numpy as np\n\nimport dlcli\n\n\n@dlcli.{registry}.register\nclass Odd(dlcli.{base}):\n"
    assert old in body
    cli.write("odd.py", head + body.removeprefix("\n").replace(old, new))
    place = {
        "layer": ("  - ReLU\n", "  - Odd\n"),
        "loss": ("loss: CrossEntropyLoss", "loss: Odd"),
        "metric": ("[accuracy]", "[accuracy, Odd]"),
    }[kind]
    cli.shipped("digits", place, ("epochs: 20", "epochs: 1"), to="odd.yaml")
    return ("odd.yaml", "--code", "odd.py")


@pytest.mark.parametrize(("kind", "old", "new", "message"), RETURNED)
def test_what_a_component_returns_is_checked_before_the_run_begins(
    cli: Cli, kind: str, old: str, new: str, message: str
) -> None:
    ended = cli("train", *odd(cli, kind, old, new), code=3)
    assert ended.lines[-1].startswith(f"error: odd.py:6 (class Odd): {message}")
    assert not (cli.folder / "runs").exists()


@pytest.mark.parametrize("kind", KINDS)
def test_what_works_is_left_alone(cli: Cli, kind: str) -> None:
    given = odd(cli, kind)
    run = cli.train(*given)
    assert cli("eval", run, "--code", "odd.py", "--json").json["metrics"]
