"""`time` and `train --profile`: what is timed, that it adds up, and that it changes nothing."""

from __future__ import annotations

import hashlib
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from commandline import CONFIGS, Cli

from dlcli.config.doctor import diagnose
from dlcli.config.load import load_config
from dlcli.data.dataset import Access
from dlcli.experiment import stopwatch, timing
from dlcli.experiment.assemble import assemble
from dlcli.experiment.data import load_data
from dlcli.experiment.plugins import load_components
from dlcli.experiment.stopwatch import Spread, Stopwatch
from dlcli.training.loop import Trainer

NET = """
data: {dataset: {blobs: {samples: 96, features: 12, classes: 4}}, batch_size: 32, validation: 0}
model:
  - Linear: {out_features: 12}
  - Residual: {body: [{Linear: {out_features: 12}}, ReLU]}
  - Linear: {out_features: 4}
loss: CrossEntropyLoss
optimizer: {SGD: {lr: 0.1}}
metrics: [accuracy]
train: {epochs: 3, monitor: train.loss}
"""

CLOCK = {"mean", "sd", "gflops", "peak", "share", "overhead", "samples_per_second", "epoch_seconds", "training_seconds"}
"""What differs from one timing to the next."""


def without_clock(document: Any) -> Any:
    if isinstance(document, dict):
        return {key: without_clock(value) for key, value in document.items() if key not in CLOCK}
    return [without_clock(entry) for entry in document] if isinstance(document, list) else document


def test_time_needs_no_data_and_is_the_same_but_for_the_clock(cli: Cli) -> None:
    command = ("time", CONFIGS / "mnist.yaml", "--steps", 3, "--threads", 1, "--batch", 16, "--json")
    first, second = (cli(*command).json for _ in range(2))
    assert without_clock(first) == without_clock(second)
    assert [row["layer"] for row in first["layers"]] == ["Flatten", "Linear", "ReLU", "Linear", "CrossEntropyLoss"]
    assert (first["batch_size"], first["steps"], first["threads"], first["dtype"]) == (16, 3, 1, "float32")
    assert first["steps_per_epoch"] == -(-55000 // 16)
    assert first["training_seconds"] == pytest.approx(5 * 3438 * first["step"]["mean"])
    assert not (cli.folder / "cache").exists()
    assert not (cli.folder / "runs").exists()


def test_the_figures_fit_each_other(cli: Cli) -> None:
    found = cli("time", cli.write("n.yaml", NET), "--steps", 5, "--json").json
    assert [row["name"] for row in found["layers"]] == ["0", "1", "1.body.0", "1.body.1", "2", "loss"]
    linear = found["layers"][0]
    assert linear["forward"]["gflops"] == pytest.approx(2 * 12 * 12 * 32 / linear["forward"]["mean"] / 1e9)
    assert linear["backward"]["gflops"] == pytest.approx(2 * 12 * 12 * 32 / linear["backward"]["mean"] / 1e9)  # no dx
    inner = found["layers"][2]
    assert inner["backward"]["gflops"] == pytest.approx(2 * 2 * 12 * 12 * 32 / inner["backward"]["mean"] / 1e9)
    assert inner["forward"]["peak"] == pytest.approx(inner["forward"]["gflops"] / found["peak"] / found["threads"])
    layers = sum(row[side]["mean"] for row in found["layers"] for side in ("forward", "backward"))
    assert layers + sum(part["mean"] for part in found["parts"]) == pytest.approx(found["step"]["mean"], rel=0.2)
    assert found["samples_per_second"] == pytest.approx(32 / found["step"]["mean"])


def test_the_table_names_what_it_has_not_done(cli: Cli) -> None:
    ended = cli("time", cli.write("n.yaml", NET), "--steps", 2)
    assert ended.out.splitlines()[0].split()[:4] == ["#", "layer", "forward", "ms"]
    assert "an epoch of 3 steps: about" in ended.out
    assert ended.out.endswith("on random samples: the data was not loaded\n")
    assert ended.lines == [f"next   dlcli train {cli.folder / 'n.yaml'} --profile   (the same on the data)"]


def test_a_run_is_timed_by_its_config(cli: Cli) -> None:
    run = cli.train(cli.write("n.yaml", NET))
    assert len(cli("time", run, "--steps", 1, "--json").json["layers"]) == 6


def test_shapes_that_are_not_known_are_told(cli: Cli) -> None:
    config = cli.write(
        "n.yaml", NET.replace("{blobs: {samples: 96, features: 12, classes: 4}}", "{Csv: {path: no.csv, target: y}}")
    )
    for command in ("time", "summary", "trace"):
        told = cli(command, config, code=3).err
        assert told.count(f"error: {config}:2:17: data.dataset: the file is not there") == 1


def test_a_batch_is_no_larger_than_the_data(cli: Cli) -> None:
    found = cli("time", cli.write("n.yaml", NET), "--batch", 1_000_000, "--steps", 2, "--json").json
    assert (found["batch_size"], found["steps"], found["steps_per_epoch"]) == (96, 2, 1)


@pytest.mark.parametrize(("asked", "made"), [(None, timing.FEWEST), (5, 5)])
def test_steps_end_with_the_patience_unless_their_number_is_given(
    monkeypatch: pytest.MonkeyPatch, asked: int | None, made: int
) -> None:
    load_components()
    config = load_config(CONFIGS / "digits.yaml")
    monkeypatch.setattr(timing, "PATIENCE", (0.0, 0.0))
    assert timing.measure(config, diagnose(config).info, None, 1, asked).steps == made


def test_an_optimizer_that_gives_nan_is_told(cli: Cli) -> None:
    head = "import dlcli\n\n\n@dlcli.optimizers.register\nclass Odd(dlcli.Optimizer):\n"
    cli.write("odd.py", f"{head}    def update(self, part, lr):\n        part.w[...] = float('nan')\n")
    config = cli.write("n.yaml", NET.replace("SGD: {lr: 0.1}", "Odd: {lr: 0.1}"))
    ended = cli("time", config, "--code", "odd.py", code=9)
    assert "Odd gives parameters that are not finite" in ended.err
    assert "lower" not in ended.err


def sha256(run: Path) -> list[str]:
    return [hashlib.sha256(path.read_bytes()).hexdigest() for path in sorted((run / "checkpoints").glob("*.npz"))]


def test_profiling_changes_no_bit_and_ends_in_a_table(cli: Cli) -> None:
    config = cli.write("n.yaml", NET)
    plain = cli.train(config, "--run-dir", "plain")
    ended = cli("train", config, "--run-dir", "profiled", "--profile")
    assert ended.out == "profiled\n"
    assert sha256(cli.folder / "profiled") == sha256(plain) != []
    assert "9 steps of 32 samples in float32" in ended.err
    assert [line for line in ended.lines if line.startswith("1.body.1  ReLU")]
    assert "whole step" not in cli("train", config, "--run-dir", "another").err


@pytest.mark.parametrize("words", [["--resume"], ["--max-steps", "0"]])
def test_profiling_no_step_says_so(cli: Cli, words: list[str]) -> None:
    config = cli.write("n.yaml", NET)
    cli("train", config)
    ended = cli("train", config, "--profile", *words)
    assert "no step was made, so there is nothing for --profile to show" in ended.err
    assert "whole step" not in ended.err


@pytest.fixture
def trainer() -> Trainer:
    load_components()
    config = load_config(CONFIGS / "digits.yaml", ["train.epochs=1"])
    return assemble(config, load_data(config, Access(offline=True)), 2).trainer


def test_a_stopwatch_leaves_no_trace(trainer: Trainer) -> None:
    owners = [trainer, trainer.batches, trainer.batches.normalizer, trainer.loss, trainer.optimizer]
    owners += [*trainer.network.layers, *trainer.metrics.values()]
    before = [set(vars(owner)) for owner in owners]
    watch = Stopwatch(skip=2)
    with watch.on(trainer):
        steps = sum(hasattr(done, "loss") for done in trainer.run())
    assert watch.step.steps == steps - 2
    assert watch.samples < len(trainer.batches.samples.targets)
    after = [set(vars(owner)) for owner in owners]
    assert after[0] == before[0]
    assert not any({"forward", "backward", "gather", "apply", "step", "sums"} & kept for kept in after)


class Clock:
    """A clock that goes on only when it is told to."""

    now = 0.0

    def __call__(self) -> float:
        return self.now


def test_what_a_part_calls_inside_is_not_counted_twice(monkeypatch: pytest.MonkeyPatch) -> None:
    clock, watch = Clock(), Stopwatch()
    monkeypatch.setattr(stopwatch, "perf_counter", clock)

    def work(seconds: float) -> None:
        clock.now += seconds

    inner = watch.timed("inner", work)

    def calls_inner() -> None:
        work(1)
        inner(2)
        work(4)
        inner(8)

    outer = watch.timed("outer", calls_inner)
    outer()
    assert watch._now == {}  # outside a step
    watch._open = True
    outer()
    assert watch._now == {"inner": 10, "outer": 5}
    assert watch.calls == 3


def test_the_spread_is_that_of_the_steps() -> None:
    times, spread = np.random.default_rng(0).random(20), Spread()
    for seconds in times:
        spread.add(seconds)
    assert spread.mean == pytest.approx(times.mean())
    assert spread.sd == pytest.approx(times.std(ddof=1))
    assert Spread(1, 2.0).sd == 0
