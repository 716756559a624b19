"""Averaged weights: the formula, what is averaged, and that training itself does not see them."""

from __future__ import annotations

from dataclasses import dataclass
from types import ModuleType
from typing import Any

import numpy as np
import pytest

from dlcli.core.arena import Array
from dlcli.nn.layer import Layer, Shape
from dlcli.nn.layers.linear import Linear
from dlcli.nn.layers.tanh import Tanh
from dlcli.nn.network import Network
from dlcli.training.ema import Ema


@dataclass(eq=False)
class Remembering(Layer):
    """y = x - mean, where the mean is that of all it has seen."""

    def setup(self, in_shape: Shape) -> Shape:
        self.keep("mean", np.zeros(in_shape))
        return in_shape

    def forward(self, x: Array, training: bool) -> Array:
        return x - self.state["mean"]

    def backward(self, dy: Array) -> Array:
        return dy


def network(dtype: Any = np.float64) -> Network:
    return Network([Linear(3, 4), Remembering(), Tanh(), Linear(4, 2, trainable=False)], (3,), dtype=dtype, seed=1)


def courses(net: Network, steps: int) -> Any:
    """Everything that a network has learned after each of some made-up steps, which it takes."""
    rng = np.random.default_rng(0)
    for _ in range(steps):
        for array in (net.params["0.weight"], net.params["0.bias"], net.state["1.mean"]):
            array += rng.normal(size=array.shape)
        yield {name: array.copy() for name, array in {**net.params, **net.state}.items()}


@pytest.mark.parametrize("warmup", [False, True])
@pytest.mark.parametrize("decay", [0.0, 0.5, 0.99])
def test_follows_the_formula(decay: float, warmup: bool) -> None:
    net = network()
    ema = Ema(net, decay, warmup)
    expected = {name: array.copy() for name, array in {**net.params, **net.state}.items()}
    for t, learned in enumerate(courses(net, 120), 1):
        d = min(decay, (1 + t) / (10 + t)) if warmup else decay
        expected = {name: d * expected[name] + (1 - d) * learned[name] for name in expected}
        ema.update(t)
        for name, average in {**ema.averaged.params, **ema.averaged.state}.items():
            np.testing.assert_allclose(average, expected[name], rtol=1e-12, atol=1e-12, err_msg=name)
            np.testing.assert_array_equal({**net.params, **net.state}[name], learned[name])


def test_a_decay_of_nothing_is_the_network_itself() -> None:
    net = network(np.float32)
    ema = Ema(net, 0.0)
    x = np.random.default_rng(3).normal(size=(5, 3))
    for t, _ in enumerate(courses(net, 3), 1):
        ema.update(t)
        np.testing.assert_allclose(ema.averaged.forward(x), net.forward(x), rtol=1e-5)


def test_frozen_parameters_stay() -> None:
    net = network()
    ema = Ema(net, 0.9)
    before = net.params["3.weight"].copy()
    for t, _ in enumerate(courses(net, 5), 1):
        ema.update(t)
    np.testing.assert_array_equal(ema.averaged.params["3.weight"], before)


def test_memory_is_its_own() -> None:
    net = network()
    ema = Ema(net, 0.9)
    for name, array in {**ema.averaged.params, **ema.averaged.state}.items():
        assert not np.shares_memory(array, {**net.params, **net.state}[name])


@pytest.mark.torch
def test_is_that_of_pytorch(torch: ModuleType) -> None:
    """PyTorch begins with the values that its first update sees: here, the first values."""
    from torch.optim.swa_utils import AveragedModel, get_ema_multi_avg_fn

    net = network()
    ema = Ema(net, 0.9, warmup=False)
    twin = torch.nn.Linear(3, 4).double()

    def copied() -> None:
        with torch.no_grad():
            for name, parameter in twin.named_parameters():
                parameter.copy_(torch.from_numpy(net.params[f"0.{name}"].copy()))

    copied()
    theirs = AveragedModel(twin, multi_avg_fn=get_ema_multi_avg_fn(0.9))
    theirs.update_parameters(twin)
    for t, _ in enumerate(courses(net, 20), 1):
        copied()
        ema.update(t)
        theirs.update_parameters(twin)
        for name, parameter in theirs.module.named_parameters():
            np.testing.assert_allclose(ema.averaged.params[f"0.{name}"], parameter.detach().numpy(), rtol=1e-12)
