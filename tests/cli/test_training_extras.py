"""Averages, constraints and figures of layers on the command line: in checkpoints, in `eval` and in metrics.jsonl."""

from __future__ import annotations

import json

import numpy as np
import pytest
from commandline import Cli

from dlcli.training import checkpoint

CONFIG = """\
data: {dataset: digits, normalize: standardize, validation: 0.2}
model:
  - Flatten
  - Linear: {out_features: 16, constraint: {MaxNorm: {max_norm: 1.5}}}
  - ReLU
  - Linear: {out_features: 10}
loss: CrossEntropyLoss
optimizer: {Adam: {lr: 0.01}}
metrics: [accuracy]
train: {epochs: 3, ema: {decay: 0.9}, mixup: {alpha: 0.3}}
"""


@pytest.mark.parametrize("which", ["best", "last"])
def test_eval_measures_the_averages(cli: Cli, which: str) -> None:
    (cli.folder / "c.yaml").write_text(CONFIG)
    run = cli.folder / "run"
    trained = cli("train", "c.yaml", "--run-dir", run, "--json").json
    found = cli("eval", run, "--checkpoint", which, "--json").json["metrics"]
    assert found["loss"] == (trained["best"]["value"] if which == "best" else trained["metrics"]["val.loss"])
    assert ", averaged weights) on the val split" in cli("eval", run, "--checkpoint", which).out


def test_a_checkpoint_holds_what_is_learned_and_its_average(cli: Cli) -> None:
    (cli.folder / "c.yaml").write_text(CONFIG)
    run = cli.folder / "run"
    cli("train", "c.yaml", "--run-dir", run)
    _, last = checkpoint.steps(run / "checkpoints")[-1]
    arrays = checkpoint.read(last).arrays
    for name in ("1.weight", "1.bias", "3.weight", "3.bias"):
        assert arrays[f"ema.{name}"].shape == arrays[name].shape
        assert not np.array_equal(arrays[f"ema.{name}"], arrays[name])
    assert np.linalg.norm(arrays["1.weight"], axis=1).max() < 1.5 * (1 + 1e-6)


def test_figures_of_layers_are_flat_keys_beside_those_of_the_step(cli: Cli) -> None:
    (cli.folder / "c.yaml").write_text(CONFIG)
    run = cli.folder / "run"
    cli("train", "c.yaml", "--run-dir", run, "--set", "train.log_layers=20 steps", "--set", "train.log_every=40 steps")
    rows = [json.loads(line) for line in (run / "metrics.jsonl").read_text().splitlines()]
    layers = [row for row in rows if "layer.1.grad_norm" in row]
    assert [row["step"] for row in layers] == [20, 40]
    assert [row["step"] for row in rows if "step.loss" in row] == [40]
    figures = {f"layer.{i}.{what}" for i in (1, 3) for what in ("grad_norm", "update_ratio")} | {"layer.2.dead"}
    assert set(layers[0]) == {"epoch", "step", "seconds", *figures}
    assert set(layers[1]) == {*layers[0], "lr", "step.loss", "grad_norm"}
    assert all(0 < row["layer.1.update_ratio"] < 1 and 0 <= row["layer.2.dead"] < 1 for row in layers)
