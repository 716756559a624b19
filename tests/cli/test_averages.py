"""Averaged weights on the command line: what `train` has measured is what `eval` measures, and it says so."""

from __future__ import annotations

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
