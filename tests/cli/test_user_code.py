"""Mistakes in a user's own components: one line with the place, exit code 3, and no run that pretends to go on."""

from __future__ import annotations

import json

import pytest
from commandline import Cli
from reliability.processes import PACKAGE

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
    ("loss", "return 0.0", "return np.zeros(1)", "forward gave shape (1,), expected a number"),
    ("loss", "return 0.0", "return '3'", "forward gave '3', expected a number"),
    ("loss", "return 0.0", "return 1j", "forward gave 1j, expected a number"),
    ("layer", "return x", "return x.tolist()", "forward gave [["),
    ("layer", "return dy", "return 'dx'", "backward gave 'dx', expected real numbers"),
    ("loss", "return np.zeros_like(self.y)", "pass", "backward gave None"),
    ("loss", "return np.zeros_like(self.y)", "return self.y[0]", "backward gave shape (10,)"),
    ("metric", "return np.array([1.0, 2.0])", "return 1.0", "sums gave 1.0, expected a vector of numbers"),
    ("metric", "return np.array([1.0, 2.0])", "pass", "sums gave None"),
    ("metric", "return np.float32(sums[0] / sums[1])", "return 'good'", "value gave 'good', expected a number"),
    (
        "metric",
        "return np.array([1.0, 2.0])",
        "return np.array([3.0, 2.0])\n\n    proportion = True",
        "sums gave [3.0, 2.0]",
    ),
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
    given = odd(cli, kind, old, new)
    for command in ("train", "trace", "time"):
        ended = cli(command, *given, code=3)
        assert ended.lines[-1].startswith(f"error: odd.py:6 (class Odd): {message}")
        assert ended.out == ""
    assert not (cli.folder / "runs").exists()


@pytest.mark.parametrize("kind", KINDS)
def test_what_works_is_left_alone(cli: Cli, kind: str) -> None:
    given = odd(cli, kind)
    run = cli.train(*given)
    assert cli("eval", run, "--code", "odd.py", "--json").json["metrics"]


def test_a_metric_may_give_an_array_or_a_share(cli: Cli) -> None:
    cli.train(*odd(cli, "metric", "return np.float32(sums[0] / sums[1])", "return sums\n\n    scalar = False"))
    run = cli.train(*odd(cli, "metric", "    def sums", "    proportion = True\n\n    def sums"), "--name", "share")
    low, high = cli("eval", run, "--code", "odd.py", "--json").json["intervals"]["Odd"]
    assert low < 0.5 < high


def test_a_count_of_numpys_is_a_number(cli: Cli) -> None:
    count = "    def flops(self):\n        return np.prod(self.out_shape)\n\n    def forward"
    found = cli("summary", *odd(cli, "layer", "    def forward", count), "--json").json
    assert found["rows"][2]["flops"] == 64


def test_a_warning_is_one_line(cli: Cli) -> None:
    given = boom(cli, "import warnings; warnings.simplefilter('default'); warnings.warn('one\\ntwo')")
    for command in ("train", "time", "trace", "sanity"):
        assert "warning: boom.py:15: UserWarning: one two" in cli(command, *given).lines


DATA = """
    def info(self, seed):
        return DataInfo((3,), 2, (), 40, 0)

    def load(self, seed, access):
        rng = np.random.default_rng(seed)
        x, y = rng.standard_normal((40, 3)), rng.integers(0, 2, 40)
        return Loaded(self.info(seed), Samples(x, y), None, {})
"""

LOADED = [
    ("Samples(x, y)", "Samples(x, y[:30])", "train targets of int64 shape (30,), expected an array of shape (40,)"),
    ("Samples(x, y)", "Samples(x, y + 1)", "train targets from 1 to 2, expected 0 to 1"),
    ("Samples(x, y)", "Samples(x, y * 1.0)", "train targets of type float64, expected whole numbers, the classes"),
    ("Samples(x, y)", "Samples(x[:, :2], y)", "train inputs of shape (40, 2), expected an array of numbers, each row"),
    ("Samples(x, y)", "Samples(x[:9], y[:9])", "train inputs of shape (9, 3), expected 40 rows as info says"),
    ("Samples(x, y)", "Samples(x.tolist(), y)", "train inputs of [["),
    ("return Loaded(self.info(seed), Samples(x, y), None, {})", "return x, y", "(array("),
]


@pytest.mark.parametrize(("old", "new", "message"), [("x", "x", ""), *LOADED])
def test_the_arrays_of_a_data_set_are_checked(cli: Cli, old: str, new: str, message: str) -> None:
    head = "import numpy as np\nfrom dlcli import Dataset, datasets\nfrom dlcli.data.dataset import *\n\n\n"
    cli.write("mine.py", f"{head}@datasets.register\nclass Mine(Dataset):{DATA.replace(old, new)}")
    text = "data: {dataset: Mine, batch_size: 8}\nmodel: [Linear: {out_features: 2}]\nloss: CrossEntropyLoss\n"
    cli.write("m.yaml", text + "optimizer: {SGD: {lr: 0.1}}\ntrain: {epochs: 1}\n")
    ended = cli("train", "m.yaml", "--code", "mine.py", code=3 if message else 0)
    if message:
        assert ended.lines[-1].startswith(f"error: mine.py:6 (class Mine): load gave {message}")


OPTIMIZER = """
import numpy as np

import dlcli


@dlcli.optimizers.register
class Mine(dlcli.Optimizer):
    def update(self, part, lr):
        part.w -= lr * part.g.reshape(2, -1)


@dlcli.schedules.register
class Odd(dlcli.Schedule):
    def value(self, step, span):
        return np.full(2, span.lr)
"""


def test_an_optimizer_and_a_schedule_are_tried_too(cli: Cli) -> None:
    cli.write("mine.py", OPTIMIZER)
    cli.shipped("digits", ("SGD: {lr: 0.05, momentum: 0.9}", "Mine: {lr: 0.05}"), to="o.yaml")
    cli.shipped("digits", ("metrics:", "schedule: Odd\nmetrics:"), to="s.yaml")
    ended = cli("train", "o.yaml", "--code", "mine.py", code=3)
    assert ended.lines[-1].startswith("error: mine.py:10: Mine.update raised ValueError: ")
    ended = cli("train", "s.yaml", "--code", "mine.py", code=3)
    assert ended.lines[-1] == "error: mine.py:13 (class Odd): lr gave shape (2,), expected a number"
    assert not (cli.folder / "runs").exists()


def test_the_trial_leaves_the_bits_of_a_run_alone(cli: Cli) -> None:
    # A metric that measures nothing brings the trial into a run of built-in layers, dropout among them.
    given = odd(cli, "metric")
    cli.shipped("digits", ("  - ReLU\n", "  - ReLU\n  - Dropout: {p: 0.5}\n"), ("epochs: 20", "epochs: 1"), to="d.yaml")
    tried = (cli.folder / "d.yaml").read_text().replace("[accuracy]", "[accuracy, Odd]")
    cli.write("t.yaml", tried)
    plain = cli("train", "d.yaml", "--json").json["metrics"]
    assert plain.items() <= cli("train", "t.yaml", *given[1:], "--json").json["metrics"].items()


@pytest.mark.parametrize(
    ("method", "message"),
    [
        (
            "setup(self, in_shape): return (in_shape[0] / 2,)",
            "setup gave shape (32.0,), expected whole numbers; use //",
        ),
        ("setup(self, in_shape): return (in_shape[0] - 65,)", "setup gave shape (-1,) for (64,), expected sizes >= 1"),
        (
            "setup(self, in_shape): self.declare('w', (0, 3), None)",
            "Boom: declares w of shape (0, 3), expected whole numbers >= 1",
        ),
        ("activations(self): return None", "model.2.Boom: activations gave None, expected a whole number >= 0"),
        ("flops(self): return 'many'", "model.2.Boom: flops gave 'many', expected a whole number >= 0"),
        ("flops(self): return float('nan')", "model.2.Boom: flops gave nan, expected a whole number >= 0"),
        ("backward_flops(self): return -1", "model.2.Boom: backward_flops gave -1, expected a whole number >= 0"),
        ("children(self): return {'part': 3}", "model.2.Boom: 'int' object has no attribute 'children'"),
    ],
)
def test_shapes_and_sizes_that_nothing_has_fail_before_training(cli: Cli, method: str, message: str) -> None:
    given = boom(cli, "pass")
    text = (cli.folder / "boom.py").read_text()
    cli.write("boom.py", f"{text}\n    def {method}\n")
    assert message in cli("check", *given, code=3).err


def test_a_mistake_in_an_installed_package_or_a_plain_class_has_its_place_too(cli: Cli) -> None:
    boom(cli, "np.foo")
    site = cli.folder / "site"
    (site / "booms-1.0.dist-info").mkdir(parents=True)
    (cli.folder / "boom.py").rename(site / "booms.py")
    (site / "booms-1.0.dist-info" / "METADATA").write_text("Metadata-Version: 2.1\nName: booms\nVersion: 1.0\n")
    (site / "booms-1.0.dist-info" / "entry_points.txt").write_text("[dlcli.components]\nbooms = booms\n")
    ended = cli.real("train", "b.yaml", code=3, env={"PYTHONPATH": f"{site}:{PACKAGE}"})
    assert ended.lines[-1].startswith("error: site/booms.py:15: Boom.forward raised AttributeError: ")
    plain = "import dlcli\n\n\n@dlcli.layers.register\nclass Boom:\n    def forward(self):\n        pass\n\n"
    cli.write("plain.py", plain + "    def backward(self, dy):\n        return dy\n")
    ended = cli("train", "b.yaml", "--code", "plain.py", code=3)
    assert ended.lines[-1].startswith("error: plain.py:4 (class Boom): forward ended with TypeError: Boom.forward()")


@pytest.mark.parametrize("threads", ["1", "2"])
def test_an_exit_in_validation_ends_the_run_with_any_number_of_threads(cli: Cli, threads: str) -> None:
    given = boom(cli, "if not training and Boom.calls > 9: sys.exit(0)")
    given = (*given, "--set", "data.validation=1200", "--threads", threads)
    ended = cli("train", *given, "--run-dir", "here", code=3)
    assert ended.lines[-1] == "error: boom.py:15: Boom.forward raised SystemExit: 0"
    assert json.loads((cli.folder / "here" / "run.json").read_text())["status"] == "failed"


@pytest.mark.parametrize(
    ("drawn", "got"), [("np.ones((3, 3))", "float64 of shape (3, 3)"), ("None", "object of shape ()")]
)
def test_what_an_initializer_draws_is_checked(cli: Cli, drawn: str, got: str) -> None:
    head = "import numpy as np\nimport dlcli\n\n\n@dlcli.initializers.register\nclass Mine(dlcli.Initializer):\n"
    cli.write("mine.py", f"{head}    def draw(self, shape, fan_in, fan_out, rng):\n        return {drawn}\n")
    ended = cli("train", cli.shipped("digits"), "--code", "mine.py", "--set", "model.1.Linear.init=Mine", code=3)
    assert ended.lines[-1] == f"error: Mine: draw gave {got}, expected real numbers of shape (64, 64)"
    assert not (cli.folder / "runs").exists()


def test_a_mistake_in_a_constructor_or_in_setup_has_both_places(cli: Cli) -> None:
    for method, where in {"__init__(self)": "model.2", "setup(self, in_shape)": "model.2.Boom"}.items():
        given = boom(cli, "pass")
        text = (cli.folder / "boom.py").read_text()
        for statement, message in {
            "np.foo": f"boom.py:22: Boom.{method.split('(')[0]} raised AttributeError: module 'numpy' has no",
            "raise ValueError('k must be odd')": "k must be odd",
        }.items():
            cli.write("boom.py", f"{text}\n    def {method}:\n        {statement}\n")
            assert cli("check", *given, code=3).err.startswith(f"error: b.yaml:11:5: {where}: {message}")
