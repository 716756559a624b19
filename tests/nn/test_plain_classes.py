"""A user's plain class with forward and backward serves as a layer or loss, by one decorator."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import numpy as np
import pytest
from registered import build

from dlcli.core.registry import Registry
from dlcli.nn.layer import Layer, layers
from dlcli.nn.layers.linear import Linear
from dlcli.nn.loss import Loss, losses
from dlcli.nn.losses.huber import HuberLoss
from dlcli.nn.network import Network


class Leaky:
    """y = x where x > 0, else alpha * x"""

    def __init__(self, alpha=0.1):
        self.alpha = alpha

    def forward(self, x):
        self.positive = x > 0
        return np.where(self.positive, x, self.alpha * x)

    def backward(self, dy):
        return np.where(self.positive, dy, self.alpha * dy)


class Scaled:
    """y = x in evaluation, 2 x in training"""

    def forward(self, x, training):
        self.factor = 2.0 if training else 1.0
        return self.factor * x

    def backward(self, dy):
        return self.factor * dy


class PlainHuber:
    """The mean Huber loss."""

    def __init__(self, delta=1.0):
        self.delta = delta

    def forward(self, y_pred, y_true):
        self.d = y_pred - y_true
        small = np.abs(self.d) <= self.delta
        return np.mean(np.where(small, self.d**2 / 2, self.delta * (np.abs(self.d) - self.delta / 2)))

    def backward(self):
        return np.clip(self.d, -self.delta, self.delta) / self.d.size


@pytest.fixture(autouse=True)
def registered_by_a_user() -> Iterator[None]:
    before = dict(layers._entries), dict(losses._entries)
    with Registry.origin("mine.py"):
        assert layers.register(Leaky) is Leaky
        layers.register(Scaled)
        losses.register(PlainHuber)
    yield
    layers._entries, losses._entries = before


def test_options_come_from_the_constructor() -> None:
    layer = build("layers", "Leaky", {"alpha": 0.3, "name": "mine"})
    assert isinstance(layer, Layer)
    assert layer.name == "mine"
    np.testing.assert_allclose(layer.forward([[-1.0, 2.0]]), [[-0.3, 2.0]])


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_a_plain_layer_works_in_a_network(dtype: Any) -> None:
    stack = [Linear(None, 4), build("layers", "Leaky", {"alpha": 0.3}), Linear(None, 2)]
    builtin = [Linear(None, 4), build("layers", "LeakyReLU", {"negative_slope": 0.3}), Linear(None, 2)]
    x = np.random.default_rng(0).normal(size=(5, 3)).astype(dtype)
    results = []
    for layers_ in (stack, builtin):
        network = Network(layers_, (3,), dtype=dtype, seed=1)
        y = network.forward(x, training=True).copy()
        network.backward(np.ones((5, 2), dtype))
        results.append((y, network.arena.grads))
    for got, wanted in zip(*results, strict=True):
        assert got.dtype == dtype
        np.testing.assert_allclose(got, wanted, rtol=1e-5, atol=1e-6)


def test_replicas_of_a_plain_layer_keep_their_own_state() -> None:
    network = Network([build("layers", "Leaky", {})], (2,), dtype=np.float64)
    network.root.layers[0].needs_input_grad = True
    network.forward(np.array([[1.0, -1.0]]), training=True)
    network.replica().forward(np.array([[-1.0, 1.0]]))
    np.testing.assert_allclose(network.backward(np.ones((1, 2))), [[1.0, 0.1]])


def test_training_is_told_to_those_that_ask() -> None:
    layer = build("layers", "Scaled", {})
    np.testing.assert_array_equal(layer.forward([[3.0]], training=True), [[6.0]])
    np.testing.assert_array_equal(layer.forward([[3.0]]), [[3.0]])


def test_a_plain_loss_equals_the_builtin_one() -> None:
    loss = build("losses", "PlainHuber", {"delta": 0.5})
    assert isinstance(loss, Loss)
    rng = np.random.default_rng(0)
    y_pred, y_true = rng.normal(size=(6, 2)), rng.normal(size=(6, 2))
    builtin = HuberLoss(delta=0.5)
    value = loss.forward(y_pred, y_true)
    assert type(value) is float
    assert value == pytest.approx(builtin.forward(y_pred, y_true), rel=1e-14)
    np.testing.assert_allclose(loss.backward(), builtin.backward(), rtol=1e-14)
