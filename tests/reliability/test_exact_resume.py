"""R8: a run stopped after any step and resumed ends with the bytes of the run that was never stopped."""

from __future__ import annotations

import os
from functools import cache
from importlib import metadata
from pathlib import Path

import numpy as np
import pytest
from in_process import resume, train
from processes import Server
from rig import STEPS, Result, result, verify

from dlcli.config.load import parse_config
from dlcli.experiment import environment, opening
from dlcli.experiment import train as engine
from dlcli.experiment.prepare import prepare

CONFIG = """\
name: small
data:
  dataset: {blobs: {samples: 100, features: 6, classes: 4, spread: 2.5}}
  batch_size: 8
  validation: 8
  normalize: standardize
model:
  - Linear: {out_features: 9}
  - ReLU
  - Linear: {out_features: 4}
loss: CrossEntropyLoss
optimizer:
  SGD: {lr: 0.05}
metrics: [accuracy]
train:
  epochs: 6
"""
"""92 samples to train on: 12 batches an epoch, the last one short, 72 steps."""

DROPOUT = "model=[Dropout: {p: 0.1}, Linear: {out_features: 9}, Tanh, Dropout: {p: 0.4}, Linear: {out_features: 4}]"

BOUNDED = (
    "model=[Linear: {out_features: 9, constraint: {MaxNorm: {max_norm: 0.8}}}, Dropout: {p: 0.2}, Tanh, "
    "Linear: {out_features: 4, constraint: {weight: UnitNorm, bias: NonNeg}}]"
)

NORMALISED = "model=[Linear: {out_features: 9}, BatchNorm1d, ReLU, Linear: {out_features: 4}]"

EVERY_STEP = {
    "sgd": [],
    "momentum": [
        "optimizer={SGD: {lr: 0.1, momentum: 0.9, weight_decay: 0.01}}",
        "schedule={StepLR: {step_size: 7 steps, gamma: 0.7}}",
    ],
    "adam": [DROPOUT, "optimizer={Adam: {lr: 0.02}}", "schedule={OneCycleLR: {warmup: 10%}}"],
    "adamw": [
        "optimizer={AdamW: {lr: 0.1}}",
        "train.early_stopping={patience: 3 epochs, min_delta: 0.01}",
        "train.epochs=30",
        "train.monitor=val.accuracy",
    ],
    "ema-mixup": [BOUNDED, "optimizer={Adam: {lr: 0.02}}", "train.ema={decay: 0.95}", "train.mixup={alpha: 0.4}"],
    "plateau": [
        DROPOUT,
        "optimizer={SGD: {lr: 0.4, momentum: 0.9}}",
        "schedule={ReduceLROnPlateau: {patience: 0, factor: 0.5, threshold: 0.3, cooldown: 1}}",
    ],
}
"""What is stopped after each of its steps."""

MORE = {
    "nesterov": ["optimizer={SGD: {lr: 0.05, momentum: 0.9, nesterov: true}}", "train.clip_grad_value=0.1"],
    "seeds-momentum": ["optimizer={SGDMomentum: {lr: 0.05}}"],
    "float64": ["optimizer={Adam: {lr: 0.01}}", "dtype=float64", "train.clip_grad_norm=0.5"],
    "cosine": ["optimizer={AdamW: {lr: 0.02}}", "schedule={CosineAnnealingLR: {warmup: 1 epoch}}"],
    "drop-last": ["data.drop_last=true", "data.validation=2", "train.monitor=train.loss"],
    "accumulate": [DROPOUT, "train.accumulate=5", "train.epochs=24", "optimizer={Adam: {lr: 0.01}}"],
    "order-of-the-data": ["data.shuffle=false", "data.validation=0", "data.batch_size=9"],
    "log-every": ["train.log_every=5 steps", "train.log_layers=3 steps", "train.checkpoint={every: 7 steps, keep: 2}"],
    "ema-accumulate": ["train.ema={warmup: false}", "train.mixup={}", "train.accumulate=2", "train.epochs=12"],
    "augment": [
        "data.dataset=digits",
        "data.validation=1346",
        "model=[Flatten, Linear: {out_features: 9}, ReLU, Linear: {out_features: 10}]",
        "data.augment=[RandomAffine: {degrees: 9, translate: [0.1, 0.1]}, ElasticTransform: {alpha: 6, sigma: 2}, "
        "RandomErasing, GaussianNoise]",
    ],
    "ema-batch-norm": [NORMALISED, "train.ema={decay: 0.9}", "optimizer={AdamW: {lr: 0.02}}"],
    "by-time": ["train.checkpoint={every: 0.001 s, keep: 1}", "train.log_every=1 steps"],
}
"""What is stopped after every sixteenth step, and nightly after each."""

VARIANTS = EVERY_STEP | MORE


@pytest.fixture
def config(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    # What has tests of its own and would make these take minutes: durability, the machine's description, plugins,
    # and to read a text again that has been read.
    monkeypatch.setattr(os, "fsync", lambda descriptor: None)
    monkeypatch.setattr(environment, "facts", lambda threads: {})
    monkeypatch.setattr(metadata, "entry_points", lambda **_: ())
    prepared, parsed = cache(prepare), cache(parse_config)
    monkeypatch.setattr(engine, "prepare", lambda source, overrides, note: prepared(source, tuple(overrides), note))
    monkeypatch.setattr(opening, "load_config", lambda path: parsed(path.read_text(), str(path.name)))
    path = tmp_path / "small.yaml"
    path.write_text(CONFIG)
    return path


@pytest.mark.parametrize(
    ("variant", "apart"),
    [
        *[(name, 1) for name in EVERY_STEP],
        *[(name, 16) for name in MORE],
        *[pytest.param(name, 1, marks=pytest.mark.nightly) for name in MORE],
    ],
)
def test_r8_resuming_after_every_step(config: Path, tmp_path: Path, variant: str, apart: int) -> None:
    overrides = VARIANTS[variant]
    done = train(config, tmp_path / "reference", *overrides)
    reference = result(tmp_path / "reference")
    assert done.outcome is not None
    assert done.outcome.early == (variant == "adamw")
    assert (36 < reference.step < 180) if done.outcome.early else reference.step == STEPS
    for k in {*range(0, reference.step, apart), 11, 12, 13, reference.step}:
        run = tmp_path / str(k)
        assert train(config, run, *overrides, max_steps=k).result["steps"] == k
        assert verify(run)[-1] == k
        assert not (run / "summary.json").exists()
        assert resume(run).result["status"] == "complete"
        assert result(run) == reference, f"stopped after step {k}"


@pytest.mark.parametrize("variant", ["adam", "adamw", "accumulate", "log-every"])
def test_r8_a_chain_of_stops(config: Path, tmp_path: Path, variant: str) -> None:
    overrides = VARIANTS[variant]
    train(config, tmp_path / "reference", *overrides)
    reference = result(tmp_path / "reference")
    rng = np.random.default_rng(3)
    for chain in range(3):
        run, step = tmp_path / str(chain), 0
        train(config, run, *overrides, max_steps=0)
        while step < reference.step:
            step += int(rng.integers(0, 18))
            resume(run, max_steps=step if step < reference.step else None)
        assert result(run) == reference


@pytest.mark.parametrize("stops", [(1,), (12,), (71,), (72,), (5, 5, 24, 60)])
def test_r8_on_the_command_line(server: Server, rig: Path, uninterrupted: Result, stops: tuple[int, ...]) -> None:
    run = server.folder / "run"
    first, *others = stops
    server.must("train", rig, "--run-dir", run, "--max-steps", first, real=True)
    for stop in others:
        server.must("resume", run, "--max-steps", stop, real=True)
    assert result(run).summary is None
    server.must("resume", run, real=True)
    assert result(run) == uninterrupted
