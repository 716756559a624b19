"""Losses that weigh classes or add up: one figure and one gradient, however the samples are cut into batches."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from registered import build
from small_training import AS_THEY_ARE, samples, trainer

from dlcli.nn.loss import losses
from dlcli.training.evaluate import BLOCK, Evaluator
from dlcli.training.loop import StepDone

LOSSES = [
    ("CrossEntropyLoss", {"reduction": "sum"}),
    ("CrossEntropyLoss", {"weight": [0.2, 1.0, 5.0]}),
    ("NLLLoss", {"weight": [0.2, 0.0, 5.0]}),
    ("MultiMarginLoss", {"weight": [0.2, 1.0, 5.0]}),
    ("MSELoss", {}),
    ("KLDivLoss", {}),
]
each_loss = pytest.mark.parametrize(("name", "options"), LOSSES)


def training(name: str, options: dict[str, Any], **setup: Any) -> Any:
    t = trainer(dtype=np.float64, epochs=1, **setup)
    t.loss = build("losses", name, options)
    t.loss.scratch, t.loss.dtype = {}, t.network.dtype
    return t


@each_loss
def test_accumulation_equals_the_big_batch(name: str, options: dict[str, Any]) -> None:
    big, small = (training(name, options, batch_size=b, accumulate=10 // b) for b in (10, 5))
    for one, other in zip(big.run(), small.run(), strict=True):
        if isinstance(one, StepDone):
            assert (one.loss, one.grad_norm) == pytest.approx((other.loss, other.grad_norm), rel=1e-12)
    np.testing.assert_allclose(big.network.arena.values, small.network.arena.values, rtol=1e-12, atol=1e-14)


@each_loss
def test_the_loss_of_an_epoch_is_that_of_all_samples(name: str, options: dict[str, Any]) -> None:
    data = samples(3 * BLOCK + 77)
    t = training(name, options, data=data, batch_size=50, optimizer=("SGD", {"lr": 1e-300}))
    *_, epoch = t.run()
    loss = build("losses", name, options)
    total, count = loss.sums(loss.forward(t.network.forward(data.inputs), data.targets), data.targets)
    assert epoch.figures["train.loss"] == pytest.approx(total / count, rel=1e-12)
    for threads in (1, 2):
        found = Evaluator(t.network, loss, {}, data, AS_THEY_ARE, threads).run()
        assert found.loss == pytest.approx(total / count, rel=1e-12)


def test_samples_that_all_count_nothing_have_no_loss() -> None:
    data = samples()._replace(targets=np.ones(22, int))
    t = training("CrossEntropyLoss", {"weight": [1.0, 0.0, 1.0]}, data=data)
    before = t.network.arena.values.copy()
    *_, epoch = t.run()
    assert epoch.figures["train.loss"] == 0
    np.testing.assert_array_equal(t.network.arena.values, before)
    assert Evaluator(t.network, t.loss, {}, data, AS_THEY_ARE).run().loss == 0


@pytest.mark.parametrize("name", ["MSELoss", "BCEWithLogitsLoss"])
def test_outputs_are_scores_once_the_loss_knows_of_classes(name: str) -> None:
    t, loss = trainer(dtype=np.float64), losses.get(name)()
    loss.of_classes = True
    alone = Evaluator(t.network, loss, {}, samples(), AS_THEY_ARE).outputs()
    after = Evaluator(t.network, losses.get(name)(), {}, samples(), AS_THEY_ARE).run(collect=True).outputs
    np.testing.assert_array_equal(alone, after)
