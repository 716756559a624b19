"""What `summary` tells of memory, against what training really allocates."""

from __future__ import annotations

import time
import tracemalloc
from collections.abc import Sequence
from dataclasses import replace
from itertools import islice
from pathlib import Path

import numpy as np
import pytest

import dlcli
from dlcli.config.schema import Config
from dlcli.data.dataset import DataInfo, Samples
from dlcli.experiment import memory
from dlcli.experiment.assemble import assemble, build_network
from dlcli.experiment.data import Splits, sample_batch
from dlcli.experiment.plugins import load_components
from dlcli.experiment.prepare import prepare
from dlcli.experiment.summary import Summary, summarize

CONFIGS = Path(dlcli.__file__).parents[1] / "configs"
SHIPPED = sorted(path.stem for path in CONFIGS.glob("*.yaml"))

RESIDUAL = """\
data: {dataset: digits, batch_size: 128}
model:
  - Conv2d: {out_channels: 8, kernel_size: 3, padding: same}
  - Repeat:
      times: 3
      layers:
        - Residual: {body: [{Conv2d: {out_channels: 8, kernel_size: 3, padding: same}}, BatchNorm2d, ReLU]}
  - Concat: {branches: [[GELU], [Tanh, Dropout], []]}
  - Flatten
  - Linear: {out_features: 10}
loss: CrossEntropyLoss
optimizer: {Adam: {lr: 0.01}}
train: {epochs: 1}
"""

EVERYTHING = [
    "data.augment=[ElasticTransform, RandomErasing, RandomShift: {pixels: 1}]",
    "optimizer=Muon: {lr: 0.01}",
    "train.ema={}",
    "train.mixup={}",
    "train.accumulate=2",
    "train.log_layers=1 step",
]


def prepared(name: str, changes: Sequence[str], folder: Path) -> tuple[Config, DataInfo]:
    """A config, and data of two steps for it."""
    load_components([], lambda line: None)
    path = folder / "residual.yaml"
    path.write_text(RESIDUAL)
    source = str(path if name == "residual" else CONFIGS / f"{name}.yaml")
    config, found = prepare(source, changes, lambda line: None)
    config.data = replace(config.data, validation=0)
    return config, replace(found.info, train=2 * config.train.accumulate * config.data.batch_size)


def allocated(config: Config, info: DataInfo, threads: int) -> int:
    """The bytes of all arrays that a training keeps after an epoch of two steps, its data left out."""
    outputs = build_network(config, info).out_shape[0]
    x, y = sample_batch(config, info, outputs, info.train or 0)
    inputs = (x > 0).astype(np.uint8) if info.image else x
    splits = Splits(info, Samples(inputs, y.astype(config.dtype) if y.dtype.kind == "f" else y), None, None, {}, None)
    tracemalloc.start()
    try:
        experiment = assemble(config, splits, threads)
        for _ in islice(experiment.trainer.run(), 3):
            pass
        arrays = tracemalloc.DomainFilter(True, np.lib.tracemalloc_domain)
        kept = tracemalloc.take_snapshot().filter_traces([arrays]).statistics("filename")
    finally:
        tracemalloc.stop()
    return sum(statistic.size for statistic in kept)


def told(config: Config, info: DataInfo, threads: int = 1) -> Summary:
    return summarize(config, info, threads)


@pytest.mark.parametrize(
    ("name", "changes"),
    [
        ("digits", []),
        ("digits", EVERYTHING),
        ("linear_regression", ["data.batch_size=1000", "dtype=float64"]),
        ("spirals", ["data.batch_size=512"]),
        ("mnist", []),
        ("mnist", ["data.batch_size=3000", "optimizer=Adam: {lr: 0.1}"]),
        ("mnist_lenet", []),
        ("mnist_mlp", []),
        ("mnist_mlp_augmented", []),
        ("mnist_cnn", []),
        ("residual", []),
        ("residual", [*EVERYTHING, "data.batch_size=10"]),
    ],
    ids=lambda value: value if isinstance(value, str) else f"{len(value)} changes",
)
def test_agrees_with_what_training_allocates(name: str, changes: list[str], tmp_path: Path) -> None:
    config, info = prepared(name, changes, tmp_path)
    assert told(config, info).training_bytes == pytest.approx(allocated(config, info, 1), rel=0.05)


@pytest.mark.parametrize(("name", "batch"), [("residual", 400), ("mnist_lenet", 64)])  # long enough for several lanes
def test_every_thread_takes_its_own_buffers(name: str, batch: int, tmp_path: Path) -> None:
    config, info = prepared(name, [f"data.batch_size={batch}"], tmp_path)
    one, two = (told(config, info, threads).training_bytes for threads in (1, 2))
    assert one < two
    # whether the second thread comes to work on every layer is for the system to say
    assert 0.95 * one <= allocated(config, info, 2) <= 1.05 * two


@pytest.mark.parametrize("size", [100, 500])
def test_a_batch_too_large_to_try_is_told_from_smaller_ones(
    size: int, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    config, info = prepared("residual", [f"data.batch_size={size}"], tmp_path)
    exact = told(config, info, 2)
    monkeypatch.setattr(memory, "WORK", size // 2 * exact.flops)
    found = told(config, info, 2)
    assert found.training_bytes == pytest.approx(exact.training_bytes, rel=0.05)
    assert found.activation_bytes == pytest.approx(exact.activation_bytes, rel=0.01)


def test_sums_are_those_of_the_rows(tmp_path: Path) -> None:
    config, info = prepared("residual", EVERYTHING, tmp_path)
    found = told(config, info)
    assert found.training_bytes == sum(found.memory.values())
    assert found.memory["activations"] == found.activation_bytes == 128 * sum(row.activation for row in found.rows)
    assert found.memory["scratch"] >= sum(row.scratch for row in found.rows)
    assert min(row.scratch for row in found.rows) >= 0
    assert min(found.memory.values()) > 0
    assert found.backward_flops == sum(row.backward_flops for row in found.rows)
    for rows in (found.rows, found.folded):
        for column in ("parameters", "flops", "backward_flops", "activation", "scratch"):
            assert sum(getattr(row, column) for row in rows) == sum(getattr(row, column) for row in found.rows)


@pytest.mark.parametrize("name", SHIPPED)
def test_is_quick(name: str, tmp_path: Path) -> None:
    """On an idle machine under 0.4 s each; the bound leaves room for others that slow down its caches."""
    config, info = prepared(name, [], tmp_path)
    began = time.process_time()
    told(config, info)
    assert time.process_time() - began < 2
