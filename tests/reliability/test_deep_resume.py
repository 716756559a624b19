"""R8 for deep networks: more than 20 layers with residual blocks, stopped and resumed, end with the same bytes."""

from __future__ import annotations

from pathlib import Path

import pytest
import registered  # noqa: F401 - every built-in component
from in_process import resume, train
from rig import result, verify

from dlcli.config.load import load_config
from dlcli.experiment.assemble import build_network
from dlcli.experiment.prepare import prepare
from dlcli.nn.network import walk

CONFIG = """\
name: deep
seed: 4
data: {dataset: digits, batch_size: 64, validation: 1100, normalize: standardize}
model:
MODEL
  - Linear: {out_features: 10}
loss: CrossEntropyLoss
optimizer: {Adam: {lr: 0.002}}
schedule: {OneCycleLR: {warmup: 20%}}
metrics: [accuracy]
train: {epochs: 2, checkpoint: {every: 2 steps, keep: 2}}
"""
"""338 samples to train on: 6 batches an epoch, the last one short, 12 steps."""

VECTORS = """\
  - Flatten
  - Linear: {out_features: 24}
  - Repeat:
      times: 5
      layers:
        - Residual:
            body: [LayerNorm, {Linear: {out_features: 24}}, ReLU, {Dropout: {p: 0.2}}, {Linear: {out_features: 24}}]
  - Residual:
      body: [{BatchNorm1d: {}}, {Linear: {out_features: 12}}, Tanh]
      shortcut: [{Linear: {out_features: 12, bias: false}}]
  - Concat:
      branches:
        - []
        - [{Linear: {out_features: 6}}, {BatchNorm1d: {momentum: 0.3}}, ReLU]
"""

IMAGES = """\
  - Conv2d: {out_channels: 6, kernel_size: 3, padding: 1, bias: false}
  - BatchNorm2d
  - ReLU
  - Repeat:
      times: 3
      layers:
        - Residual:
            body:
              - Conv2d: {out_channels: 6, kernel_size: 3, padding: 1, bias: false}
              - BatchNorm2d
              - ReLU
              - Conv2d: {out_channels: 6, kernel_size: 3, padding: 1, bias: false}
              - BatchNorm2d
        - ReLU
  - Residual:
      body:
        - Conv2d: {out_channels: 8, kernel_size: 3, stride: 2, padding: 1, bias: false}
        - BatchNorm2d
        - Dropout
      shortcut:
        - Conv2d: {out_channels: 8, kernel_size: 1, stride: 2, bias: false}
        - BatchNorm2d
  - ReLU
  - GlobalAvgPool2d
"""

MODELS = {"vectors": VECTORS, "images": IMAGES}


@pytest.fixture
def config(tmp_path: Path, request: pytest.FixtureRequest) -> Path:
    path = tmp_path / "deep.yaml"
    path.write_text(CONFIG.replace("MODEL\n", MODELS[request.param]))
    return path


@pytest.mark.parametrize(
    ("config", "overrides"),
    [
        ("vectors", ()),
        ("vectors", ("train.accumulate=2", "train.epochs=4")),
        ("images", ()),
        ("images", ("train.ema={decay: 0.9}",)),
    ],
    indirect=["config"],
)
def test_r8_a_deep_network(config: Path, tmp_path: Path, overrides: tuple[str, ...]) -> None:
    train(config, tmp_path / "reference", *overrides)
    reference = result(tmp_path / "reference")
    assert reference.step == 12
    for stops in ((1,), (4, 5), (6,), (7, 11)):
        run = tmp_path / "-".join(map(str, stops))
        train(config, run, *overrides, max_steps=stops[0])
        for stop in stops[1:]:
            resume(run, max_steps=stop)
        assert verify(run)[-1] == stops[-1]
        resume(run)
        assert result(run) == reference, f"stopped after {stops}"


@pytest.mark.parametrize("config", MODELS, indirect=True)
def test_the_resolved_config_makes_the_same_network(config: Path, tmp_path: Path) -> None:
    checked, found = prepare(str(config), (), lambda text: None)
    network = build_network(checked, found.info)
    assert sum(not layer.children() for _, layer in walk(network.root)) > 20
    assert network.state
    train(config, tmp_path / "run", max_steps=0)
    again = load_config(tmp_path / "run" / "config.yaml")
    assert again.sha256 == checked.sha256
    assert build_network(again, found.info).arena.values.tobytes() == network.arena.values.tobytes()
