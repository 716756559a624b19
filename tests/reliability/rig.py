"""The run that is stopped, killed and starved: 784-32-10 on generated images, 72 steps; and what must come of it."""

from __future__ import annotations

import hashlib
import json
import struct
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from dlcli.training import checkpoint

STEPS = 72

CONFIG = """\
name: rig
data:
  dataset: {{Idx: {{train_images: {data}/images, train_labels: {data}/labels}}}}
  batch_size: 39
  validation: 0.1
  normalize: standardize
model:
  - Flatten
  - Linear: {{out_features: 32}}
  - ReLU
  - Dropout: {{p: 0.2}}
  - Linear: {{out_features: 10}}
loss: CrossEntropyLoss
optimizer:
  Adam: {{lr: 0.003}}
schedule:
  OneCycleLR: {{warmup: 10%}}
metrics: [accuracy]
train:
  epochs: 6
  checkpoint: {{every: 5 steps, keep: 3}}
  log_every: 7 steps
"""
"""461 samples to train on: 12 batches an epoch, the last one short."""


def write_config(folder: Path) -> Path:
    """The config in `folder`, and beside it the images that it names: noisy pictures of ten patterns."""
    rng = np.random.default_rng(7)
    labels = np.arange(512) % 10
    patterns = rng.integers(0, 200, (10, 28, 28))
    images = patterns[labels] + rng.integers(0, 56, (512, 28, 28))
    (folder / "images").write_bytes(struct.pack(">4B3I", 0, 0, 8, 3, 512, 28, 28) + images.astype(np.uint8).tobytes())
    (folder / "labels").write_bytes(struct.pack(">4BI", 0, 0, 8, 1, 512) + labels.astype(np.uint8).tobytes())
    config = folder / "rig.yaml"
    config.write_text(CONFIG.format(data=folder))
    return config


@dataclass(frozen=True)
class Result:
    """What a run has come to: equal for two runs of one config, however they were stopped and continued."""

    step: int
    final: str
    """The sha256 of the last checkpoint."""
    best: str | None
    metrics: bytes
    """metrics.jsonl without the seconds."""
    summary: dict[str, Any] | None


def result(run: Path) -> Result:
    """What the files of a run say."""
    step, last = checkpoint.steps(run / "checkpoints")[-1]
    best = run / "checkpoints" / "best.npz"
    rows = [json.loads(line) for line in (run / "metrics.jsonl").read_bytes().splitlines()]
    lines = [json.dumps({k: v for k, v in row.items() if k != "seconds"}).encode() for row in rows]
    summary = run / "summary.json"
    figures = json.loads(summary.read_text()) if summary.exists() else {}
    figures.pop("seconds", None)
    return Result(step, sha256(last), sha256(best) if best.exists() else None, b"\n".join(lines), figures or None)


def sha256(path: Path) -> str:
    return hashlib.sha256(path.read_bytes()).hexdigest()


def verify(run: Path) -> list[int]:
    """Read every checkpoint of a run in full, raising for any damage; the steps that it has."""
    folder = run / "checkpoints"
    if (folder / "best.npz").exists():
        checkpoint.read(folder / "best.npz")
    found = checkpoint.steps(folder)
    assert all(checkpoint.read(path).step == step for step, path in found)
    return [step for step, _ in found]


def tree(folder: Path) -> dict[str, str]:
    """Every file below `folder` with its hash and time of change."""
    files = [p for p in sorted(folder.rglob("*")) if p.is_file()]
    return {str(p.relative_to(folder)): f"{sha256(p)} {p.stat().st_mtime_ns}" for p in files}
