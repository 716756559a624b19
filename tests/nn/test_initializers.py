"""First values: bounds, moments, fans and repeatability of every initializer."""

from __future__ import annotations

import math
import re
from statistics import NormalDist
from typing import Any

import numpy as np
import pytest
from registered import build, of, rows

from dlcli.core.errors import ConfigError, ShapeError
from dlcli.core.rng import stream
from dlcli.nn.initializers import Constant, Ones, Zeros, as_mapping, fans
from dlcli.nn.initializers.kaiming import gain
from dlcli.nn.layers.conv2d import Conv2d
from dlcli.nn.layers.linear import Linear

SHAPE = (400, 300)


def draw(initializer: Any, shape: tuple[int, ...] = SHAPE, seed: int = 0) -> Any:
    return initializer.draw(shape, *fans(shape), stream(seed, "init", 0, 0))


@pytest.mark.parametrize(("name", "example"), rows("initializers"))
def test_draws_repeat_by_stream_in_float64(name: str, example: Any) -> None:
    first = draw(of("initializers", name, example), example.shape)
    again = draw(of("initializers", name, example), example.shape)
    assert (first.shape, first.dtype) == (example.shape, np.float64)
    np.testing.assert_array_equal(first, again)
    if np.ptp(first) and name != "constant":
        assert not np.array_equal(first, draw(of("initializers", name, example), example.shape, seed=1))


UNIFORM = [
    ("uniform", {"a": -0.5, "b": 2.0}, -0.5, 2.0),
    ("uniform", {}, 0.0, 1.0),
    ("xavier_uniform", {}, -math.sqrt(6 / 700), math.sqrt(6 / 700)),
    ("xavier_uniform", {"gain": 2.0}, -2 * math.sqrt(6 / 700), 2 * math.sqrt(6 / 700)),
    ("kaiming_uniform", {}, -math.sqrt(6 / 300), math.sqrt(6 / 300)),
    ("kaiming_uniform", {"mode": "fan_out", "nonlinearity": "relu"}, -math.sqrt(6 / 400), math.sqrt(6 / 400)),
    ("kaiming_uniform", {"a": math.sqrt(5)}, -1 / math.sqrt(300), 1 / math.sqrt(300)),
    ("torch_default", {}, -1 / math.sqrt(300), 1 / math.sqrt(300)),
    ("lecun_uniform", {}, -math.sqrt(3 / 300), math.sqrt(3 / 300)),
]


@pytest.mark.parametrize(("name", "options", "low", "high"), UNIFORM)
def test_uniform_ones_fill_their_interval_evenly(name: str, options: dict[str, Any], low: float, high: float) -> None:
    values = draw(build("initializers", name, options))
    assert low <= values.min() < low + 1e-3 * (high - low)
    assert high - 1e-3 * (high - low) < values.max() <= high
    share, _ = np.histogram(values, bins=10, range=(low, high))
    np.testing.assert_allclose(share / values.size, 0.1, atol=0.004)


NORMAL = [
    ("normal", {"mean": 3.0, "std": 0.5}, 3.0, 0.5),
    ("normal", {}, 0.0, 1.0),
    ("xavier_normal", {"gain": 0.5}, 0.0, 0.5 * math.sqrt(2 / 700)),
    ("kaiming_normal", {}, 0.0, math.sqrt(2 / 300)),
    ("kaiming_normal", {"mode": "fan_out", "nonlinearity": "tanh"}, 0.0, 5 / 3 / math.sqrt(400)),
]


@pytest.mark.parametrize(("name", "options", "mean", "std"), NORMAL)
def test_normal_ones_have_their_moments(name: str, options: dict[str, Any], mean: float, std: float) -> None:
    values = draw(build("initializers", name, options))
    assert values.mean() == pytest.approx(mean, abs=5 * std / math.sqrt(values.size))
    assert values.std() == pytest.approx(std, rel=0.01)
    z = (values - mean) / std
    assert np.mean(np.abs(z) < 1) == pytest.approx(0.6827, abs=0.006)
    assert np.mean(np.abs(z) > 3) == pytest.approx(0.0027, abs=0.001)


def test_constants() -> None:
    assert (draw(Constant(0.25)) == 0.25).all()
    assert (draw(Zeros()) == 0).all()
    assert (draw(Ones()) == 1).all()
    np.testing.assert_array_equal(draw(Constant([[1, 0], [0.5, -1]]), (2, 2)), [[1, 0], [0.5, -1]])
    np.testing.assert_array_equal(draw(Constant([1, 2]), (2,)), [1, 2])


TRUNCATED = [
    {},
    {"mean": 1.0, "std": 0.5, "a": 0.0, "b": 1.5},
    {"std": 0.1},
    {"a": -0.1, "b": 0.3},
    {"mean": -2.0, "a": 0.0, "b": 0.5},
    {"mean": -2.0, "a": 0.0, "b": 1e6},
    {"mean": 0.5, "std": 100.0, "a": -1.0, "b": 1.0},
]


@pytest.mark.parametrize("options", TRUNCATED, ids=str)
def test_truncated_normal_is_exact(options: dict[str, float]) -> None:
    """The shares below some points against the distribution function, and the bounds never passed."""
    init = build("initializers", "trunc_normal", options)
    values, normal = draw(init), NormalDist(init.mean, init.std)
    assert init.a <= values.min() < values.max() <= init.b
    floor, share = normal.cdf(init.a), normal.cdf(init.b) - normal.cdf(init.a)
    for q in np.linspace(0.05, 0.95, 10):
        point = float(np.quantile(values, q))
        assert (normal.cdf(point) - floor) / share == pytest.approx(q, abs=5 * 0.5 / math.sqrt(values.size))


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"a": 1.0, "b": 1.0}, "got a = 1 and b = 1, expected a < b"),
        (
            {"mean": 5.0},
            "got mean = 5 for values in [-2, 2], expected one at most 2 std = 2 outside; move the mean, or a",
        ),
    ],
)
def test_truncated_normal_refuses_bounds_that_reject_nearly_everything(options: dict[str, float], message: str) -> None:
    with pytest.raises(ConfigError, match=re.escape(message)):
        build("initializers", "trunc_normal", options)


def test_uniform_refuses_bounds_in_the_wrong_order() -> None:
    with pytest.raises(ConfigError, match=r"got a = 1 and b = 0, expected a <= b"):
        build("initializers", "uniform", {"a": 1.0, "b": 0.0})


def test_lecun_normal_has_the_variance_of_its_fan_and_is_cut() -> None:
    values, std = draw(build("initializers", "lecun_normal", {})), 1 / math.sqrt(300)
    assert values.mean() == pytest.approx(0, abs=5 * std / math.sqrt(values.size))
    assert values.std() == pytest.approx(std, rel=0.01)
    assert 2.26 * std < np.abs(values).max() <= 2 / 0.8796 * std


@pytest.mark.parametrize("shape", [(40, 30), (30, 40), (8, 8), (1, 5), (16, 3, 3, 3), (64, 2, 5, 5)])
def test_orthogonal_rows_or_columns(shape: tuple[int, ...]) -> None:
    """w wT = gain**2 I where a weight has no more rows than columns, else wT w."""
    w = draw(build("initializers", "orthogonal", {"gain": 1.5}), shape).reshape(shape[0], -1)
    gram = w @ w.T if w.shape[0] <= w.shape[1] else w.T @ w
    np.testing.assert_allclose(gram, 1.5**2 * np.eye(len(gram)), atol=1e-13)


def test_orthogonal_prefers_no_direction() -> None:
    """Without the signs of R, QR would give a first column that always points the same way."""
    init = build("initializers", "orthogonal", {})
    corners = np.array([draw(init, (3, 3), seed)[np.arange(3), np.arange(3)] for seed in range(400)])
    np.testing.assert_allclose(corners.mean(axis=0), 0, atol=5 / math.sqrt(3 * 400))
    np.testing.assert_allclose(np.mean(corners**2, axis=0), 1 / 3, atol=0.08)


@pytest.mark.parametrize("sparsity", [0.0, 0.001, 0.25, 0.9, 1.0])
def test_sparse_columns(sparsity: float) -> None:
    values = draw(build("initializers", "sparse", {"sparsity": sparsity, "std": 0.1}))
    zeros = math.ceil(sparsity * SHAPE[0])
    assert (np.count_nonzero(values == 0, axis=0) == zeros).all()
    if sparsity == 0.25:
        assert values[values != 0].std() == pytest.approx(0.1, rel=0.01)
        np.testing.assert_allclose(np.mean(values == 0, axis=1), 0.25, atol=5 * 0.433 / math.sqrt(SHAPE[1]))


@pytest.mark.parametrize(
    ("name", "options", "layer", "message"),
    [
        (
            "sparse",
            {"sparsity": 0.5},
            "Conv2d",
            "sparse: got a parameter of shape (4, 3, 2, 2), expected two axes (out, in)",
        ),
        ("sparse", {"sparsity": 0.5}, "bias", "sparse: got a parameter of shape (4,), expected two axes (out, in)"),
        ("orthogonal", {}, "bias", "orthogonal: got a parameter of shape (4,), expected two axes or more"),
        ("constant", {"value": [1.0, 2.0]}, "bias", "constant: got values of shape (2,), expected (4,)"),
        ("constant", {"value": [[1.0], [2.0]]}, "bias", "constant: got values of shape (2, 1), expected (4,)"),
        ("constant", {"value": [[1.0], []]}, "bias", "constant: got rows of different lengths, expected (4,)"),
    ],
)
def test_a_shape_that_cannot_be_drawn_is_told_with_the_shapes(
    name: str, options: dict[str, Any], layer: str, message: str
) -> None:
    init = build("initializers", name, options)
    if layer == "Conv2d":
        made, shape = Conv2d(None, 4, 2, init=init), (3, 5, 5)
    else:
        made, shape = Linear(None, 4, init={"bias": init}), (3,)
    with pytest.raises(ShapeError, match=re.escape(message)):
        made.setup(shape)


@pytest.mark.parametrize(
    ("shape", "expected"), [((4, 3), (3, 4)), ((4,), (4, 4)), ((8, 3, 5, 5), (75, 200)), ((8, 3, 7), (21, 56))]
)
def test_fans(shape: tuple[int, ...], expected: tuple[int, int]) -> None:
    assert fans(shape) == expected


def test_gains() -> None:
    found = {name: gain(name, 0.0) for name in ("linear", "sigmoid", "tanh", "relu", "leaky_relu", "selu")}
    assert found == {
        "linear": 1.0,
        "sigmoid": 1.0,
        "tanh": 5 / 3,
        "relu": math.sqrt(2),
        "leaky_relu": math.sqrt(2),
        "selu": 0.75,
    }
    assert gain("leaky_relu", 0.2) == math.sqrt(2 / 1.04)


def test_init_options_as_a_mapping() -> None:
    zeros = Zeros()
    assert as_mapping(None) == {}
    assert as_mapping(zeros) == {"weight": zeros}
    assert as_mapping({"bias": zeros}) == {"bias": zeros}
