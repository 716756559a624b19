"""A small valid config for tests to change, with all components registered."""

import pytest

import dlcli.data
import dlcli.nn.layers
import dlcli.nn.losses
import dlcli.optim
import dlcli.training.metrics  # noqa: F401
from dlcli.config.load import parse_config
from dlcli.config.schema import Config
from dlcli.core.errors import ConfigError

TEXT = """\
seed: 3
data:
  dataset: digits
  batch_size: 32
  normalize: standardize
model:
  - Flatten
  - Linear: {out_features: 16}
  - ReLU
  - Linear: {out_features: 10}
loss: CrossEntropyLoss
optimizer:
  SGD: {lr: 0.1}
metrics: [accuracy]
train:
  epochs: 5
"""


def small(*overrides: str) -> Config:
    """The small config with `--set` overrides."""
    return parse_config(TEXT, "c.yaml", overrides)


def edited(old: str, new: str) -> str:
    """The text of the small config with one piece replaced."""
    assert TEXT.count(old) == 1, old
    return TEXT.replace(old, new)


def problems(text: str) -> list[str]:
    """What is wrong with a config of that text."""
    with pytest.raises(ConfigError) as error:
        parse_config(text, "c.yaml")
    return error.value.problems
