"""`sanity` as a command: every shipped config passes, and what is wrong with a config is found and named."""

from __future__ import annotations

from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
from commandline import CONFIGS, Cli

from dlcli.data.dataset import Access
from dlcli.data.digits import Digits
from dlcli.experiment.sanity.course import Course, short_training
from dlcli.experiment.sanity.fitting import Fit, own_fit, steered

SPEEDRUNS = ("speedrun_98", "speedrun_99", "speedrun_995")
DOWNLOADED = ("mnist", "mnist_cnn", "mnist_lenet", "mnist_mlp", "mnist_mlp_augmented", *SPEEDRUNS)
MISSING = ("fashion_mnist",)
"""Configs whose data no machine of ours holds."""

CHECKS = [
    "inputs",
    "targets",
    "initial loss",
    "gradient check",
    "activations",
    "symmetry",
    "gradients",
    "overfit",
    "training",
    "updates",
    "trained activations",
    "regularisation",
    "labels",
    "shuffled labels",
]

ZEROS = ("model.1.init=zeros", "model.3.init=zeros")

WRONG: dict[str, tuple[str, tuple[str, ...], set[str], str]] = {
    "lr": ("digits", ("optimizer.lr=1e3",), {"overfit", "training", "updates"}, "lower optimizer.SGD.lr (1000.0)"),
    "lr-of-adam": (
        "spirals",
        ("optimizer.lr=30",),
        {"overfit", "updates"},
        "lower optimizer.Adam.lr (30.0)",
    ),
    "lr-at-its-peak": ("digits", ("optimizer.lr=1e3", "schedule=OneCycleLR"), {"training"}, "lower optimizer.SGD.lr"),
    "no-lr": ("digits", ("optimizer.lr=1e-9",), {"training", "updates"}, "raise optimizer.SGD.lr (1e-09)"),
    "zero": ("digits", ZEROS, {"activations"}, "every weight of layer 1, 3 starts at 0: change model.1.Linear.init"),
    "alike": (
        "digits",
        tuple(f"model.{i}.init={{weight: {{constant: {{value: 0.1}}}}, bias: zeros}}" for i in (1, 3)),
        {"symmetry"},
        "a constant first value keeps units alike: change model.1.Linear.init",
    ),
    "dead": (
        "digits",
        ("model.1.init={bias: {constant: {value: -100}}}",),
        {"activations", "gradients", "overfit", "updates"},
        "layer 2 ReLU is dead: its inputs are too far from 0: change model.1.Linear.init",
    ),
    "saturated": (
        "digits",
        ("model.2=Tanh", "model.1.init={normal: {std: 5}}"),
        {"activations"},
        "layer 2 Tanh is saturated: its inputs are too far from 0: change model.1.Linear.init",
    ),
    "outputs": (
        "digits",
        ("model.3.init={normal: {std: 20}}",),
        {"initial loss"},
        "are too large for the targets: smaller model.3.Linear.init",
    ),
    "unscaled": (
        "digits",
        ("data.normalize=none", "model.1.init={normal: {std: 3}}"),
        {"initial loss"},
        "set data.normalize: standardize",
    ),
}
"""A config, what is changed in it, checks that have to fail, and the cause that has to be named."""


def verdicts(found: Any) -> dict[str, str]:
    return {row["check"]: row["verdict"] for row in found["checks"]}


def failed(found: Any) -> set[str]:
    return {name for name, verdict in verdicts(found).items() if verdict == "failed"}


def judge(cli: Cli, name: str, *arguments: str, env: dict[str, str] | None = None) -> Any:
    """The document of a config that passes."""
    cli.shipped(name)
    ended = cli("sanity", f"{name}.yaml", *arguments, "--json", env=env)
    found = ended.json
    assert found["passed"] is True
    assert [row["check"] for row in found["checks"]] == CHECKS
    assert set(verdicts(found).values()) <= {"passed", "skipped"}
    return found


@pytest.mark.parametrize("name", sorted({path.stem for path in CONFIGS.glob("*.yaml")} - {*DOWNLOADED, *MISSING}))
def test_shipped_configs_pass(cli: Cli, name: str) -> None:
    judge(cli, name)
    assert [path.name for path in cli.folder.iterdir()] == [f"{name}.yaml"]


@pytest.mark.mnist
@pytest.mark.parametrize("name", DOWNLOADED)
def test_shipped_configs_on_mnist_pass(cli: Cli, name: str, mnist_folder: Path) -> None:
    cli("data", "import", mnist_folder)
    judge(cli, name)


@pytest.mark.parametrize("name", WRONG)
def test_what_is_wrong_is_found_and_named(cli: Cli, name: str) -> None:
    config, changes, checks, cause = WRONG[name]
    cli.shipped(config)
    ended = cli("sanity", f"{config}.yaml", *(f"--set={change}" for change in changes), code=10)
    lines = ended.out.splitlines()
    told = [line.strip() for line in lines]
    marked = {check for check in CHECKS for line in told if line.startswith(f"{check} ") and line.endswith("FAILED")}
    assert marked >= checks
    assert any(cause in line for line in told)
    errors = [line for line in ended.lines if line.startswith("error: ")]
    assert any(cause in line for line in errors)
    assert len(errors) == len(marked)
    assert lines[-1].startswith(f"{len(marked)} of {len(CHECKS)} checks FAILED: ")


def test_thirty_sigmoids_let_gradients_vanish(cli: Cli) -> None:
    stack = "".join("  - Linear: {out_features: 32}\n  - Sigmoid\n" for _ in range(30))
    cli.shipped("digits", ("  - Linear: {out_features: 64}\n  - ReLU\n", stack))
    ended = cli("sanity", "digits.yaml", code=10)
    assert "error: sanity: gradients: gradients vanish towards 1 Linear: use ReLU" in ended.err
    assert "labels look shuffled" not in ended.out


def arrays(cli: Cli, inputs: Any, targets: Any) -> str:
    """The change of a config to data of a file with these arrays."""
    np.savez(cli.folder / "own.npz", x_train=inputs, y_train=targets)
    return "--set=data.dataset={Npz: {path: own.npz, classes: 10}}"


@pytest.mark.parametrize("seed", [0, 1, 2])
def test_shuffled_labels_are_told_from_right_ones(cli: Cli, seed: int) -> None:
    inputs, targets = Digits().load(0, Access()).train
    cli.shipped("digits")
    right = cli("sanity", "digits.yaml", arrays(cli, inputs, targets), "--seed", seed, "--json").json
    assert verdicts(right)["labels"] == "passed"
    shuffled = np.random.default_rng(seed).permutation(targets)
    ended = cli("sanity", "digits.yaml", arrays(cli, inputs, shuffled), "--seed", seed, "--json", code=10)
    assert failed(ended.json) == {"labels"}
    assert ended.err.count("error: sanity: labels: the labels look shuffled") == 1


def test_one_class_is_nothing_to_learn(cli: Cli) -> None:
    inputs, targets = Digits().load(0, Access()).train
    cli.shipped("digits")
    ended = cli("sanity", "digits.yaml", arrays(cli, inputs, np.full_like(targets, 3)), code=10)
    assert "error: sanity: targets: every target is class 3" in ended.err


VALUES = """
data: {{dataset: {{Npz: {{path: own.npz}}}}, batch_size: 32}}
model: [{{Linear: {{out_features: 32}}}}, ReLU, {{Linear: {{out_features: 2}}}}]
loss: {loss}
optimizer: {{{optimizer}: {{lr: {lr}}}}}
train: {{epochs: 5}}
"""


@pytest.mark.parametrize(("optimizer", "lr"), [("SGD", 0.1), ("Adam", 0.01)])
@pytest.mark.parametrize(
    ("scale", "shift", "fails"),
    [(1.0, 0.0, False), (3.0, 2.0, False), (1e5, 1e6, True), (1.0, 1e4, True), (1e-6, 0.0, True)],
)
def test_values_have_to_be_of_a_size_to_learn(
    cli: Cli, optimizer: str, lr: float, scale: float, shift: float, fails: bool
) -> None:
    rng = np.random.default_rng(0)
    x = rng.normal(size=(1000, 5))
    y = np.tanh(x[:, :2]) + 0.1 * rng.normal(size=(1000, 2))
    np.savez(cli.folder / "own.npz", x_train=x, y_train=scale * y + shift)
    cli.write("values.yaml", VALUES.format(loss="MSELoss", optimizer=optimizer, lr=lr))
    ended = cli("sanity", "values.yaml", "--json", code=10 if fails else 0)
    assert ("training" in failed(ended.json)) is fails
    assert ("scale them to about 1" in ended.err) is fails


@pytest.mark.parametrize("loss", ["MSELoss", "L1Loss", "HuberLoss", "LogCoshLoss"])
def test_values_without_a_relation_look_shuffled(cli: Cli, loss: str) -> None:
    rng = np.random.default_rng(0)
    np.savez(cli.folder / "own.npz", x_train=rng.normal(size=(1000, 5)), y_train=rng.normal(size=(1000, 2)))
    cli.write("values.yaml", VALUES.format(loss=loss, optimizer="Adam", lr=0.01))
    assert failed(cli("sanity", "values.yaml", "--json", code=10).json) == {"labels"}


def test_a_last_layer_may_start_at_zero(cli: Cli) -> None:
    judge(cli, "digits", "--set=model.3.init=zeros")


def test_what_is_unwise_is_no_failure(cli: Cli) -> None:
    cli.shipped("digits")
    ended = cli("sanity", "digits.yaml", "--set=optimizer.lr=1e-3", "--set=optimizer.momentum=0")
    assert "warning\n" in ended.out
    assert "raise optimizer.SGD.lr (0.001)" in ended.out
    assert ended.out.splitlines()[-1].startswith("sane: ")
    assert ended.lines[-1].startswith("next   dlcli train digits.yaml --set optimizer.lr=1e-3")


def test_regularisation_is_measured_one_by_one(cli: Cli) -> None:
    cli.shipped("digits", ("  - ReLU\n", "  - ReLU\n  - Dropout\n"))
    changes = {
        "optimizer": "{AdamW: {lr: 0.01, weight_decay: 0.1}}",
        "loss": "{CrossEntropyLoss: {label_smoothing: 0.1}}",
        "train.mixup": "{alpha: 0.5}",
        "data.augment": "[{RandomShift: {pixels: 1}}]",
    }
    found = cli("sanity", "digits.yaml", *(f"--set={k}={v}" for k, v in changes.items()), "--json").json
    (row,) = (row for row in found["checks"] if row["check"] == "regularisation")
    assert row["verdict"] == "passed"
    for name in ("Dropout", "label_smoothing", "augment", "mixup", "weight_decay"):
        assert f"({name})" in row["found"]


def test_the_same_bits_for_any_number_of_threads_and_others_for_another_seed(cli: Cli) -> None:
    cli.shipped("digits")
    shown = cli("sanity", "digits.yaml", "--threads", 1).out
    assert cli("sanity", "digits.yaml", "--threads", 2).out == shown
    assert cli("sanity", "digits.yaml", "--seed", 0).out == shown
    assert cli("sanity", "digits.yaml", "--seed", 1).out != shown


def test_a_run_gives_its_config(cli: Cli, digits: Path) -> None:
    before = sorted(cli.folder.rglob("*"))
    of_run = cli("sanity", digits, "--json").json
    assert of_run == cli("sanity", "digits.yaml", "--json").json
    assert sorted(cli.folder.rglob("*")) == before


def test_a_wrong_backward_is_found(cli: Cli) -> None:
    cli.write(
        "mine.py",
        "import dlcli\n\n\n"
        "@dlcli.layers.register\nclass Twice(dlcli.Layer):\n"
        "    def forward(self, x, training):\n        return 2 * x\n\n"
        "    def backward(self, dy):\n        return 1.9 * dy\n",
    )
    cli.shipped("digits", ("  - ReLU\n", "  - ReLU\n  - Twice\n"))
    ended = cli("sanity", "digits.yaml", "--code", "mine.py", code=10)
    assert "error: sanity: gradient check: 3 Twice: input has a wrong gradient" in ended.err


def test_after_a_wrong_gradient_nothing_else_is_to_blame(cli: Cli) -> None:
    cli.write(
        "mine.py",
        "import dlcli\n\n\n"
        "@dlcli.layers.register\nclass Back(dlcli.Layer):\n"
        "    def forward(self, x, training):\n        return 2 * x\n\n"
        "    def backward(self, dy):\n        return -2 * dy\n",
    )
    rng = np.random.default_rng(0)
    x = rng.normal(size=(300, 5))
    np.savez(cli.folder / "own.npz", x_train=1e4 * x, y_train=np.tanh(x[:, :2]))
    text = VALUES.format(loss="MSELoss", optimizer="SGD", lr=0.1).replace("ReLU,", "ReLU, Back,")
    cli.write("values.yaml", text)
    ended = cli("sanity", "values.yaml", "--code", "mine.py", code=10)
    assert "error: sanity: overfit: see gradient check" in ended.lines


def test_no_way_is_told_where_the_checks_point_both_ways() -> None:
    for last, ratio, told in [(0.5, 0.2, "alone"), (0.5, 0.001, "raise"), (0.0, 0.2, "raise"), (2.0, 0.2, "raise")]:
        fit = Fit(None, None, 0.1, 1.0, first=1.0, last=last)  # type: ignore[arg-type]
        course = Course(None, before=1.0, after=0.5, moved={"0": [ratio]})  # type: ignore[arg-type]
        bench = SimpleNamespace(
            once=lambda make, made={own_fit: fit, short_training: course}: made[make],
            config=SimpleNamespace(optimizer=SimpleNamespace(inside=("optimizer", "SGD"), options={"lr": 0.1})),
        )
        assert told in steered(bench, "raise it")  # type: ignore[arg-type]


@pytest.mark.parametrize(
    ("line", "code", "message"),
    [
        (("none.yaml",), 3, "none.yaml: no such file"),
        (("digits.yaml", "--set", "optimizer.lr=-1"), 3, "optimizer.SGD.lr"),
        (("digits.yaml", "--seed", "-1"), 2, "--seed"),
        (("digits.yaml", "--set", "data.dataset={Npz: {path: none.npz}}"), 4, "none.npz"),
        (("digits.yaml", "--set", "data.dataset=mnist", "--offline"), 5, "offline"),
        ((), 2, "CONFIG"),
    ],
    ids=lambda value: " ".join(value) if isinstance(value, tuple) else "",
)
def test_what_cannot_be_checked(cli: Cli, line: tuple[str, ...], code: int, message: str) -> None:
    cli.shipped("digits")
    ended = cli("sanity", *line, code=code)
    assert ended.out == ""
    assert message in ended.err
