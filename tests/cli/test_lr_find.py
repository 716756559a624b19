"""`lr-find`: what it suggests, and why."""

from __future__ import annotations

import math
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from commandline import Cli

from dlcli.experiment.lr_find import Point, RangeTest, Sweep, judged

SWEEP = Sweep(low=1e-5, high=1e3, steps=200)


def test_suggests_and_writes_nothing(cli: Cli) -> None:
    cli.shipped("digits")
    ended = cli("lr-find", "digits.yaml")
    assert [path.name for path in cli.folder.iterdir()] == ["digits.yaml"]
    assert "▲" in ended.out
    (suggested,) = (line.split()[1] for line in ended.out.splitlines() if line.startswith("suggestion"))
    assert ended.lines == [f"next   dlcli train digits.yaml --set optimizer.lr={suggested}"]


@pytest.mark.parametrize(
    ("name", "epochs", "loss"),
    [("digits", 3, 0.2), ("xor", 10, 0.05), ("spirals", 15, 0.1), ("linear_regression", 4, 0.001)],
)
def test_what_it_suggests_trains_well(cli: Cli, name: str, epochs: int, loss: float) -> None:
    """As far as the config's own learning rate comes in these epochs, or further."""
    cli.shipped(name)
    suggested = cli("lr-find", f"{name}.yaml", "--json", "--set", "optimizer.lr=1e-5").json["suggestion"]
    changes = ("--set", f"optimizer.lr={suggested}", "--set", f"train.epochs={epochs}")
    assert cli("train", f"{name}.yaml", *changes, "--json").json["metrics"]["val.loss"] < loss


def test_json_holds_the_whole_curve(cli: Cli) -> None:
    cli.shipped("xor")
    ended = cli("lr-find", "xor.yaml", "--json", "--steps", 50, "--min", 0.001, "--max", 0.1)
    found = ended.json
    assert list(found) == ["suggestion", "reason", "steepest", "minimum", "points"]
    rates = [point["lr"] for point in found["points"]]
    assert rates == pytest.approx(np.geomspace(0.001, 0.1, 50))
    share, total = 1 / 2, 0.0  # 50 steps look back over 2
    for n, point in enumerate(found["points"], 1):
        total += share * (point["loss"] - total)
        assert point["smoothed"] == pytest.approx(total / (1 - (1 - share) ** n))
    assert ended.err == ""
    assert cli("lr-find", "xor.yaml", "--json", "--steps", 50, "--seed", 1).json != found


def test_the_config_decides_all_but_the_learning_rate(cli: Cli) -> None:
    """Optimizer, clipping and accumulation change the curve; its own rate, schedule and epochs do not."""
    cli.shipped("digits")

    def points(*changes: str) -> Any:
        options = [word for change in changes for word in ("--set", change)]
        return cli("lr-find", "digits.yaml", "--json", "--steps", 40, *options).json["points"]

    plain = points()
    same = ("optimizer.lr=3", "train.epochs=1", "schedule=StepLR: {step_size: 1 step}")
    assert points(*same) == points("train.ema={}", "train.log_layers=1 step") == plain
    for change in ("optimizer=Adam: {lr: 1}", "train.clip_grad_norm=0.1", "train.accumulate=2", "seed=1"):
        assert points(change) != plain


def test_the_held_out_and_the_test_samples_are_not_looked_at(cli: Cli) -> None:
    rng = np.random.default_rng(0)
    x, y = rng.normal(size=(60, 3)), rng.integers(0, 2, 60)
    y[40:] = 1 - y[40:]
    cli.write("c.yaml", NPZ)
    found = []
    for test in (1.0, -50.0):
        np.savez(cli.folder / "d.npz", x_train=x, y_train=y, x_test=test * x, y_test=y)
        found.append(cli("lr-find", "c.yaml", "--json").json)
    assert found[0] == found[1]


NPZ = """\
data: {dataset: {Npz: {path: d.npz}}, validation: 20}
model: [{Linear: {out_features: 2}}]
loss: CrossEntropyLoss
optimizer: {SGD: {lr: 0.1}}
train: {epochs: 1}
"""


@pytest.mark.parametrize(
    ("change", "words"),
    [
        ("schedule=OneCycleLR", "; OneCycleLR scales it, so it is the peak\n"),
        ("train.epochs=1", "where it is lowest\n"),
    ],
)
def test_a_schedule_is_told_of(cli: Cli, change: str, words: str) -> None:
    cli.shipped("digits")
    assert words in cli("lr-find", "digits.yaml", "--set", change).out


def test_takes_a_run_and_its_own_changes(cli: Cli, digits: Path) -> None:
    before = sorted((cli.folder / "runs").rglob("*"))
    ended = cli("lr-find", digits, "--set", "optimizer.SGD.lr=5", "--set", "data.batch_size=16", "--min", "1e-05")
    assert sorted((cli.folder / "runs").rglob("*")) == before
    assert ended.lines[-1].startswith(f"next   dlcli train {digits} --set data.batch_size=16 --set optimizer.lr=0.")
    assert "(optimizer.lr is 5)" in ended.out


@pytest.mark.parametrize(
    ("options", "says"),
    [
        (["--max", "1e-6"], "from 1e-07 to 1e-06 the loss falls by no more than its noise; move --min or"),
        (["--min", "1e3", "--max", "1e9"], "the loss rises without having fallen before; lower --min, now 1000"),
    ],
)
def test_a_curve_that_never_falls_suggests_nothing(cli: Cli, options: list[str], says: str) -> None:
    cli.shipped("digits")
    ended = cli("lr-find", "digits.yaml", *options)
    assert f"no suggestion: {says}" in ended.out
    assert ended.err == ""
    found = cli("lr-find", "digits.yaml", "--json", *options).json
    assert found["suggestion"] is found["steepest"] is None
    assert found["reason"].startswith(says)


def test_losses_that_are_not_finite_at_first_are_the_configs_fault(cli: Cli) -> None:
    cli.write("c.yaml", NPZ.replace("CrossEntropyLoss", "MSELoss").replace("{out_features: 2}", "{out_features: 1}"))
    x = np.full((60, 3), 1e30)
    np.savez(cli.folder / "d.npz", x_train=x, y_train=np.arange(60.0), x_test=x, y_test=np.arange(60.0))
    assert "before any update" in cli("lr-find", "c.yaml", code=9).err


def test_tiny_data_takes_several_epochs(cli: Cli) -> None:
    cli.shipped("xor", ("samples: 400", "samples: 10"))
    found = cli("lr-find", "xor.yaml", "--json").json
    assert len(found["points"]) == 200
    assert 0.001 < found["suggestion"] < 1


def curve(
    fall: float = 1.0,
    rise: float | None = 10.0,
    noise: float = 0.0,
    level: float = 2.0,
    width: float = 0.5,
    seed: int = 0,
) -> RangeTest:
    """The judgement of a loss that falls by 1 around `fall` and explodes from `rise` on."""
    rng = np.random.default_rng(seed)
    points, total = [], 0.0
    for step in range(SWEEP.steps):
        lr = SWEEP.value(step, None)  # type: ignore[arg-type]
        loss = level - 1 / (1 + (fall / lr) ** (1 / width)) + noise * rng.normal()
        loss += 0.1 * (lr / rise) ** 4 if rise is not None else 0.0
        total += (loss - total) / SWEEP.window
        points.append(Point(lr, loss, total / (1 - (1 - 1 / SWEEP.window) ** (step + 1))))
        if loss > 10:
            return judged(points, SWEEP, True)
    return judged(points, SWEEP, False)


@pytest.mark.parametrize("level", [2.0, 1.0, -5.0])
@pytest.mark.parametrize("noise", [0.0, 0.03, 0.1])
def test_reads_the_curve_whatever_its_level_and_noise(level: float, noise: float) -> None:
    found = curve(noise=noise, level=level)
    assert found.suggestion is not None
    assert found.steepest == pytest.approx(1.3, rel=0.7)
    assert found.minimum / 10 * 0.95 <= found.suggestion <= found.minimum / 5 * 1.05
    assert f"{found.minimum:g}, where it is lowest" in found.reason


def test_says_where_the_two_readings_differ() -> None:
    early = curve(fall=0.001, noise=0.01, width=0.1)
    assert early.suggestion == early.steepest < 0.01
    assert "is far from it: try" in early.reason
    unturned = curve(rise=None)
    assert unturned.suggestion == unturned.steepest
    assert unturned.reason.endswith("raise --max above 1000")


def test_noise_alone_is_no_fall() -> None:
    assert curve(fall=math.inf, rise=None).suggestion is None
    found = [curve(fall=math.inf, rise=None, noise=1.0, seed=seed).suggestion for seed in range(50)]
    assert found.count(None) >= 45


def test_the_first_step_may_be_the_last() -> None:
    found = judged([Point(1e-5, 2.0, 2.0)], SWEEP, True)
    assert found.suggestion is None
    assert found.minimum == 1e-5
