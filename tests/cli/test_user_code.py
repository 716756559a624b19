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
