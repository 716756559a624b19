"""Evaluation in blocks: equal to the plain one-pass figures, and to the bit whatever the number of threads."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from dlcli.data.batches import Normalizer
from dlcli.data.dataset import Samples
from dlcli.nn.layers.dropout import Dropout
from dlcli.nn.layers.linear import Linear
from dlcli.nn.layers.relu import ReLU
from dlcli.nn.losses.cross_entropy import CrossEntropyLoss
from dlcli.nn.losses.mse import MSELoss
from dlcli.nn.network import Network
from dlcli.training.evaluate import BLOCK, Evaluation, Evaluator
from dlcli.training.metrics import metrics

FEATURES, CLASSES = 7, 4


def network(dtype: Any = np.float32) -> Network:
    stack = [Linear(None, 16), ReLU(), Dropout(p=0.5), Linear(None, CLASSES)]
    return Network(stack, (FEATURES,), dtype=dtype, seed=1)


def samples(n: int) -> Samples:
    rng = np.random.default_rng(0)
    return Samples(rng.integers(0, 256, (n, FEATURES), dtype=np.uint8), rng.integers(0, CLASSES, n))


NORMALIZER = Normalizer(np.array(120.0), np.array(70.0))


def evaluate(net: Network, data: Samples, threads: int) -> Evaluation:
    chosen = {"accuracy": metrics.get("accuracy")()}
    return Evaluator(net, CrossEntropyLoss(), chosen, data, NORMALIZER, threads).run(collect=True)


def fingerprint(found: Evaluation) -> Any:
    assert found.outputs is not None
    return found.loss.hex(), {k: v.hex() for k, v in found.values.items()}, found.outputs.tobytes()


@pytest.mark.parametrize("n", [1, BLOCK - 1, BLOCK, BLOCK + 1, 5 * BLOCK + 123])
def test_threads_change_no_bit(n: int) -> None:
    net, data = network(), samples(n)
    one = fingerprint(evaluate(net, data, 1))
    assert fingerprint(evaluate(net, data, 2)) == one
    assert fingerprint(evaluate(net, data, 4)) == one


def test_equals_the_plain_evaluation() -> None:
    net, data = network(np.float64), samples(2 * BLOCK + 77)
    found = evaluate(net, data, 2)
    p, x = net.params, (data.inputs - 120.0) / 70.0
    hidden = np.maximum(x @ p["0.weight"].T + p["0.bias"], 0)
    logits = hidden @ p["3.weight"].T + p["3.bias"]
    log_p = logits - np.log(np.exp(logits).sum(1, keepdims=True))
    assert found.samples == len(x)
    assert found.loss == pytest.approx(-log_p[np.arange(len(x)), data.targets].mean(), rel=1e-12)
    assert found.values["accuracy"] == np.mean(logits.argmax(1) == data.targets)
    assert found.sums["accuracy"].tolist() == [np.sum(logits.argmax(1) == data.targets), len(x)]
    np.testing.assert_allclose(found.outputs, logits, rtol=1e-11, atol=1e-13)


def test_an_evaluator_sees_the_parameters_as_they_stand() -> None:
    net, data = network(), samples(50)
    evaluator = Evaluator(net, CrossEntropyLoss(), {}, data, NORMALIZER, 2)
    before = evaluator.run()
    net.arena.values[:] = 0
    assert evaluator.run().loss == pytest.approx(np.log(CLASSES), rel=1e-6)
    assert before.loss != pytest.approx(np.log(CLASSES), rel=1e-6)
    assert before.outputs is None


def test_evaluating_does_not_disturb_training() -> None:
    """Between forward and backward an evaluation of the same network and loss leaves every buffer alone."""

    def gradients(interrupted: bool) -> Any:
        net, loss, data = network(), CrossEntropyLoss(), samples(30)
        loss.scratch, loss.dtype = {}, net.dtype
        x = NORMALIZER.apply(data.inputs, np.empty(data.inputs.shape, np.float32))
        loss.forward(net.forward(x, training=True), data.targets)
        if interrupted:
            Evaluator(net, loss, {}, samples(60), NORMALIZER).run()
        net.backward(loss.backward())
        return net.arena.grads.copy()

    np.testing.assert_array_equal(gradients(True), gradients(False))


def test_regression_figures() -> None:
    rng = np.random.default_rng(0)
    x, y = rng.normal(size=(BLOCK + 50, 3)), rng.normal(size=(BLOCK + 50, 2))
    net = Network([Linear(None, 2)], (3,), dtype=np.float64)
    chosen = {name: metrics.get(name)() for name in ("mse", "mae", "r2")}
    as_is = Normalizer(np.zeros(()), np.ones(()))
    found = Evaluator(net, MSELoss(), chosen, Samples(x, y), as_is, 2).run()
    error = net.forward(x) - y
    assert found.loss == pytest.approx(np.mean(error**2), rel=1e-12)
    assert found.values["mse"] == pytest.approx(np.mean(error**2), rel=1e-12)
    assert found.values["mae"] == pytest.approx(np.mean(np.abs(error)), rel=1e-12)
    r2 = 1 - np.sum(error**2, 0) / np.sum((y - y.mean(0)) ** 2, 0)
    assert found.values["r2"] == pytest.approx(r2.mean(), rel=1e-11)
