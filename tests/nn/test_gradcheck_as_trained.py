"""The gradient check of whole batches in the network's own type: what a check of few samples in float64 cannot see."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from dlcli.core.arena import Array
from dlcli.nn.gradcheck import check_as_trained, check_network
from dlcli.nn.layers.batch_norm import BatchNorm1d
from dlcli.nn.layers.gaussian_noise import GaussianNoise
from dlcli.nn.layers.linear import Linear
from dlcli.nn.layers.relu import ReLU
from dlcli.nn.losses.cross_entropy import CrossEntropyLoss
from dlcli.nn.network import Network


def batch(size: int) -> tuple[Array, Array]:
    rng = np.random.default_rng(0)
    return rng.normal(size=(size, 12)), rng.integers(10, size=size)


def stack(*layers: Any, dtype: Any = np.float32) -> Network:
    return Network([*layers, Linear(None, 10)], (12,), dtype=dtype, seed=0)


class Forgetful(Linear):
    """Forgets the last samples of a batch of more than 8."""

    def backward(self, dy: Array) -> Array | None:
        if len(dy) > 8:
            dy[-1:] *= 0.99
        return super().backward(dy)


class Coarse(Linear):
    """Wrong in float32 only."""

    def backward(self, dy: Array) -> Array | None:
        dx = super().backward(dy)
        if dy.dtype == np.float32:
            self.grads["weight"] *= -1
        return dx


class Widening(ReLU):
    """Gives float64 for float32."""

    def forward(self, x: Array, training: bool) -> Array:
        y = super().forward(x, training)
        return y.astype(np.float64) if y.dtype == np.float32 else y


@pytest.mark.parametrize("seed", range(20))
def test_no_false_alarm(seed: int) -> None:
    network = stack(Linear(None, 32), BatchNorm1d(), ReLU())
    x, y = batch(64)
    exact, cast = check_as_trained(network, CrossEntropyLoss(), x, y, seed=seed)
    assert (exact.method, exact.layer) == ("trained", "as trained, 64 samples")
    assert exact.error < 1e-12
    assert cast.layer == "as trained, 64 samples in float32"
    assert cast.error < 1e-4


@pytest.mark.parametrize(
    ("layer", "where", "hint"),
    [
        (Forgetful, "as trained, 64 samples", "on 64 samples the gradient is wrong, on 4 it is not"),
        (Coarse, "as trained, 64 samples in float32", "the gradient in float32 is another than in float64"),
    ],
)
def test_what_only_training_meets_is_found(layer: type[Linear], where: str, hint: str) -> None:
    network = stack(layer(None, 16), ReLU())
    assert check_network(network, CrossEntropyLoss(), *batch(4), seed=0).passed
    (row,) = [r for r in check_as_trained(network, CrossEntropyLoss(), *batch(64), seed=0) if not r.passed]
    assert (row.layer, row.verdict, row.hint) == (where, "bug", hint)
    assert row.tensor in ("0.weight", "0.bias")


def test_a_layer_that_does_not_keep_the_type_is_named() -> None:
    last = check_as_trained(stack(Linear(None, 8), Widening()), CrossEntropyLoss(), *batch(16), seed=0)[-1]
    assert (last.layer, last.hint) == ("1 Widening", "forward gave float64 for float32; keep the type of x")


def test_noise_that_the_types_draw_apart_is_left_out() -> None:
    rows = check_as_trained(stack(GaussianNoise(0.5), Linear(None, 8)), CrossEntropyLoss(), *batch(16), seed=0)
    assert [(row.mode, row.passed) for row in rows] == [("training", True), ("evaluation", True)]


def test_a_network_in_float64_needs_no_second_pass() -> None:
    network = stack(Linear(None, 8), dtype=np.float64)
    assert len(check_as_trained(network, CrossEntropyLoss(), *batch(16), seed=0)) == 1
