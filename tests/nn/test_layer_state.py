"""Arrays that layers keep but do not train: batch norm's running statistics, from training to evaluation and back."""

from __future__ import annotations

import copy
from typing import Any

import numpy as np
import pytest
from registered import build

from dlcli.core.errors import ConfigError
from dlcli.core.workers import Workers
from dlcli.nn.layers.linear import Linear
from dlcli.nn.network import Network

SHAPE = (3, 4, 5)


def network(dtype: Any = np.float64, **options: Any) -> Network:
    return Network([build("layers", "BatchNorm2d", options)], SHAPE, dtype=dtype, seed=1)


def batches(count: int, n: int = 6, dtype: Any = np.float64) -> list[Any]:
    rng = np.random.default_rng(0)
    return [rng.normal(2.0, 3.0, size=(n, *SHAPE)).astype(dtype) for _ in range(count)]


def moments(x: Any) -> tuple[Any, Any]:
    """Mean and unbiased variance of every channel."""
    return x.mean(axis=(0, 2, 3)), x.var(axis=(0, 2, 3), ddof=1)


def test_running_statistics_follow_the_formula() -> None:
    net, mean, var = network(momentum=0.3), np.zeros(3), np.ones(3)
    for x in batches(4):
        net.forward(x, training=True)
        new_mean, new_var = moments(x)
        mean, var = 0.7 * mean + 0.3 * new_mean, 0.7 * var + 0.3 * new_var
    np.testing.assert_allclose(net.state["0.running_mean"], mean, rtol=1e-12)
    np.testing.assert_allclose(net.state["0.running_var"], var, rtol=1e-12)
    (x,) = batches(1)
    wanted = (x - mean[:, None, None]) / np.sqrt(var + 1e-5)[:, None, None]
    np.testing.assert_allclose(net.forward(x), wanted, rtol=1e-10, atol=1e-12)


def test_without_momentum_they_are_means_over_all_batches() -> None:
    net, xs = network(momentum=None), batches(5)
    for x in xs:
        net.forward(x, training=True)
    for name, wanted in zip(("mean", "var"), zip(*map(moments, xs), strict=True), strict=True):
        np.testing.assert_allclose(net.state[f"0.running_{name}"], np.mean(wanted, axis=0), rtol=1e-12)
    assert net.state["0.num_batches_tracked"] == 5


def test_evaluation_leaves_them_alone() -> None:
    net = network()
    before = {name: array.copy() for name, array in net.state.items()}
    net.forward(batches(1)[0])
    for name, array in net.state.items():
        np.testing.assert_array_equal(array, before[name])


def test_a_replica_shares_them_and_a_copy_has_its_own() -> None:
    net = network()
    replica, copied = net.replica(), copy.deepcopy(net)
    net.forward(batches(1)[0], training=True)
    np.testing.assert_array_equal(replica.state["0.running_mean"], net.state["0.running_mean"])
    np.testing.assert_array_equal(copied.state["0.running_mean"], np.zeros(3))


@pytest.mark.parametrize("momentum", [0.1, None])
def test_state_carried_over_continues_to_the_same_bits(momentum: float | None) -> None:
    xs = batches(6, dtype=np.float32)
    through, first, second = (network(np.float32, momentum=momentum) for _ in range(3))
    for x in xs:
        through.forward(x, training=True)
    for x in xs[:3]:
        first.forward(x, training=True)
    second.state.update(first.state)
    for x in xs[3:]:
        second.forward(x, training=True)
    for name, array in through.state.items():
        np.testing.assert_array_equal(second.state[name], array)


def test_no_weight_decay_reaches_norms() -> None:
    for spec in ("BatchNorm2d", {"LayerNorm": {}}, {"GroupNorm": {"num_groups": 3}}, "PReLU"):
        name, options = (spec, {}) if isinstance(spec, str) else next(iter(spec.items()))
        net = Network([build("layers", name, options)], SHAPE)
        assert net.arena.parameters
        assert {p.decay for p in net.arena.parameters} == {0.0}


@pytest.mark.parametrize(("name", "shape"), [("BatchNorm1d", (3,)), ("BatchNorm2d", (3, 1, 1))])
def test_one_value_for_each_channel_cannot_be_trained_on(name: str, shape: tuple[int, ...]) -> None:
    net = Network([build("layers", name, {}), *([Linear(None, 2)] if len(shape) == 1 else [])], shape)
    x = np.ones((1, *shape), np.float32)
    with pytest.raises(
        ConfigError, match=rf"^{name}: got one value for each channel, expected two .*larger batch_size"
    ):
        net.forward(x, training=True)
    net.forward(x)


@pytest.mark.parametrize("name", ["BatchNorm2d", "MaxPool2d", "AvgPool2d"])
def test_bits_do_not_depend_on_the_threads(name: str) -> None:
    rng = np.random.default_rng(0)
    x = rng.normal(size=(99, 8, 30, 30)).astype(np.float32)
    results = []
    for threads in (1, 3):
        options = {} if name == "BatchNorm2d" else {"kernel_size": 3, "stride": 2}
        net = Network([build("layers", name, options)], x.shape[1:]).cast(np.float32, needs_input_grad=True)
        net.use(Workers(threads))
        y = net.forward(x, training=True).copy()
        dx = net.backward(np.cos(y))
        assert dx is not None
        results.append([y, dx.copy(), *net.state.values(), *net.grads.values()])
    for one, three in zip(*results, strict=True):
        np.testing.assert_array_equal(one, three)


def test_a_large_mean_does_not_spoil_the_variance() -> None:
    x = batches(1, n=64, dtype=np.float32)[0] / 3 + 1000
    net = network(np.float32, momentum=1.0)
    net.forward(x, training=True)
    np.testing.assert_allclose(net.state["0.running_var"], moments(x.astype(np.float64))[1], rtol=1e-4)
