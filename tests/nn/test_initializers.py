"""First values: bounds, moments, fans and repeatability of every initializer."""

from __future__ import annotations

import math
from typing import Any

import numpy as np
import pytest
from registered import build, names, of, rows

from dlcli.core.rng import stream
from dlcli.nn.initializers import Constant, Zeros, as_mapping, fans, gain, initializers

SHAPE = (400, 300)


def draw(initializer: Any, shape: tuple[int, ...] = SHAPE, seed: int = 0) -> Any:
    return initializer.draw(shape, *fans(shape), stream(seed, "init", 0, 0))


@pytest.mark.parametrize(("name", "example"), rows("initializers"))
def test_draws_repeat_by_stream_in_float64(name: str, example: Any) -> None:
    first = draw(of("initializers", name, example), example.shape)
    again = draw(of("initializers", name, example), example.shape)
    assert (first.shape, first.dtype) == (example.shape, np.float64)
    np.testing.assert_array_equal(first, again)
    if np.ptp(first):
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


@pytest.mark.parametrize("name", names("initializers"))
def test_documented(name: str) -> None:
    doc = initializers.get(name).__doc__ or ""
    assert "w " in doc
    assert "Source: " in doc
    assert initializers.get(name).examples
