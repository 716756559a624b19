"""What is trained on is augmented; what is validated, tested or evaluated is not, not even of the train split."""

from __future__ import annotations

import numpy as np
import pytest

import dlcli.nn.layers
import dlcli.nn.losses
import dlcli.optim
import dlcli.training.metrics  # noqa: F401
from dlcli.config.load import parse_config
from dlcli.data.dataset import Access
from dlcli.experiment.assemble import Experiment, assemble
from dlcli.experiment.data import load_data

TEXT = """\
data:
  dataset: digits
  batch_size: 100
  normalize: standardize
model: [Flatten, Linear: {out_features: 10}]
loss: CrossEntropyLoss
optimizer: {SGD: {lr: 0.1}}
metrics: [accuracy]
train: {epochs: 2}
"""
WILD = "data.augment=[RandomErasing: {p: 1, scale: [0.5, 0.5], ratio: [1, 1], value: 999}, GaussianNoise: {std: 3}]"


def built(*changes: str) -> Experiment:
    config = parse_config(TEXT, "c.yaml", changes)
    return assemble(config, load_data(config, Access()), threads=1)


def test_only_what_is_trained_on_is_augmented() -> None:
    plain, wild = built(), built(WILD)
    (clean, y), (varied, also_y) = (next(e.trainer.batches.epoch(0)) for e in (plain, wild))
    np.testing.assert_array_equal(y, also_y)
    assert (clean != varied).all(axis=(1, 2, 3)).mean() > 0.9
    assert plain.trainer.validate is not None
    assert wild.trainer.validate is not None
    assert wild.trainer.validate() == plain.trainer.validate()


def test_an_epoch_resumed_at_any_batch_sees_the_same_images() -> None:
    whole = [x.copy() for x, _ in built(WILD).trainer.batches.epoch(1)]
    for first in (1, 6, len(whole) - 1):
        again = [x.copy() for x, _ in built(WILD).trainer.batches.epoch(1, first)]
        for got, wanted in zip(again, whole[first:], strict=True):
            np.testing.assert_array_equal(got, wanted)


@pytest.mark.parametrize("dtype", ["float32", "float64"])
def test_the_images_do_not_depend_on_the_size_of_the_batches(dtype: str) -> None:
    def by_row(size: int) -> np.ndarray:
        batches = built(WILD, f"dtype={dtype}", f"data.batch_size={size}", "data.shuffle=false").trainer.batches
        return np.concatenate([x.copy() for x, _ in batches.epoch(1)])

    one = by_row(64)
    assert one.dtype == dtype
    for size in (1000, 7):
        np.testing.assert_array_equal(by_row(size), one)
