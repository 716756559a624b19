"""Constraints: what they ask for holds, what keeps it stays, and layers apply them after a step."""

from __future__ import annotations

import copy
from types import ModuleType
from typing import Any

import numpy as np
import pytest
from registered import build, of, rows

from dlcli.core.arena import shaped
from dlcli.core.errors import ConfigError
from dlcli.nn.constraints import MaxNorm, NonNeg, UnitNorm, norms
from dlcli.nn.layers.linear import Linear
from dlcli.nn.layers.sequential import Sequential
from dlcli.nn.layers.tanh import Tanh
from dlcli.nn.network import Network

SHAPES = [(6, 5), (1, 1), (7,), (6, 3, 4, 2), (5, 2, 3)]


def drawn(shape: tuple[int, ...], dtype: Any) -> Any:
    """Values as a network holds them: of four axes, the channels lie innermost in memory."""
    values = np.random.default_rng(5).normal(size=int(np.prod(shape))).astype(dtype)
    return shaped(values, shape)


def lengths(w: Any) -> Any:
    return np.sqrt((w.astype(np.float64) ** 2).reshape(len(w), -1).sum(axis=1))


HOLDS: dict[str, Any] = {
    "MaxNorm": lambda constraint, w: (lengths(w) <= constraint.max_norm * (1 + 1e-6)).all(),
    "UnitNorm": lambda constraint, w: np.allclose(lengths(w), 1, rtol=1e-6),
    "NonNeg": lambda constraint, w: (w >= 0).all(),
}

BY_ROW: dict[str, Any] = {
    "MaxNorm": lambda constraint, row: row * min(1, constraint.max_norm / np.linalg.norm(row)),
    "UnitNorm": lambda constraint, row: row / np.linalg.norm(row),
    "NonNeg": lambda constraint, row: np.where(row > 0, row, 0),
}
"""The textbook form, unit by unit."""


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
@pytest.mark.parametrize("shape", SHAPES, ids=str)
@pytest.mark.parametrize(("name", "example"), rows("constraints"))
def test_projects_in_place_and_only_once(name: str, example: Any, shape: tuple[int, ...], dtype: Any) -> None:
    constraint, w = of("constraints", name, example), drawn(shape, dtype)
    expected = np.stack([BY_ROW[name](constraint, row) for row in w.astype(np.float64)])
    constraint.project(w)
    assert HOLDS[name](constraint, w)
    rounding = 4 * np.finfo(dtype).eps
    np.testing.assert_allclose(w, expected, rtol=rounding)
    once = w.copy()
    constraint.project(w)
    np.testing.assert_allclose(w, once, rtol=rounding)


INNER = [(MaxNorm(100.0), 1.0), (MaxNorm(), 0.1), (NonNeg(), -1.0)]


@pytest.mark.parametrize(("constraint", "factor"), INNER, ids=str)
@pytest.mark.parametrize("shape", SHAPES, ids=str)
def test_what_keeps_the_constraint_stays_to_the_bit(constraint: Any, factor: float, shape: tuple[int, ...]) -> None:
    w = drawn(shape, np.float32) * np.float32(factor)
    w = np.abs(w) if isinstance(constraint, NonNeg) else w
    before = w.copy()
    constraint.project(w)
    np.testing.assert_array_equal(w, before)


def test_a_unit_that_is_short_enough_stays_beside_a_long_one() -> None:
    w = np.array([[0.3, 0.4], [30.0, 40.0]])
    MaxNorm(1.0).project(w)
    np.testing.assert_array_equal(w[0], [0.3, 0.4])
    np.testing.assert_allclose(w[1], [0.6, 0.8])


@pytest.mark.parametrize("constraint", [MaxNorm(), UnitNorm(), NonNeg()], ids=str)
def test_a_unit_of_zeros_stays_finite(constraint: Any) -> None:
    w = np.zeros((3, 4), np.float32)
    constraint.project(w)
    np.testing.assert_array_equal(w, 0)


@pytest.mark.parametrize("shape", SHAPES, ids=str)
def test_norms(shape: tuple[int, ...]) -> None:
    w = drawn(shape, np.float64)
    np.testing.assert_allclose(norms(w), lengths(w), rtol=1e-14)


@pytest.mark.torch
@pytest.mark.parametrize("shape", [shape for shape in SHAPES if len(shape) > 1], ids=str)
def test_max_norm_is_that_of_pytorch(torch: ModuleType, shape: tuple[int, ...]) -> None:
    """Which divides by the norm + 1e-7."""
    w = drawn(shape, np.float64)
    theirs = torch.renorm(torch.from_numpy(w.copy()), p=2, dim=0, maxnorm=0.7).numpy()
    MaxNorm(0.7).project(w)
    np.testing.assert_allclose(w, theirs, rtol=1e-6)


def network(**options: Any) -> Network:
    inner = Linear(None, 4, init=build("initializers", "normal", {"std": 5.0}), **options)
    return Network([Sequential(layers=[inner, Tanh()]), Linear(None, 2)], (3,), seed=2)


def test_a_network_projects_the_parameters_that_have_a_constraint() -> None:
    net = network(constraint={"weight": MaxNorm(0.5), "bias": NonNeg()})
    net.params["0.0.bias"] = [-1, 2, -3, 4]
    others = net.params["1.weight"].copy()
    net.constrain()
    np.testing.assert_allclose(lengths(net.params["0.0.weight"]), 0.5, rtol=1e-6)
    np.testing.assert_array_equal(net.params["0.0.bias"], [0, 2, 0, 4])
    np.testing.assert_array_equal(net.params["1.weight"], others)


def test_a_lone_constraint_is_for_the_weight_and_a_frozen_layer_stays() -> None:
    net = network(constraint=NonNeg())
    net.params["0.0.bias"] = [-1, -1, -1, -1]
    net.constrain()
    assert (net.params["0.0.weight"] >= 0).all()
    assert (net.params["0.0.bias"] == -1).all()
    frozen = network(constraint=NonNeg(), trainable=False)
    frozen.constrain()
    assert (frozen.params["0.0.weight"] < 0).any()


def test_copies_of_a_network_project_their_own_parameters() -> None:
    net = network(constraint=MaxNorm(0.5))
    before = net.params["0.0.weight"].copy()
    for twin in (net.cast(np.float64), copy.deepcopy(net)):
        twin.constrain()
        assert (lengths(twin.params["0.0.weight"]) < 0.6).all()
        np.testing.assert_array_equal(net.params["0.0.weight"], before)
    net.replica().constrain()
    assert (lengths(net.params["0.0.weight"]) < 0.6).all()


@pytest.mark.parametrize(
    ("layer", "message"),
    [
        (
            Linear(3, 2, bias=False, constraint={"bias": NonNeg()}),
            "constraint: got a constraint for 'bias'; expected one of: weight",
        ),
        (Tanh(constraint=NonNeg()), "constraint: got a constraint for 'weight'; Tanh has no parameter"),
    ],
)
def test_a_constraint_for_an_unknown_parameter(layer: Any, message: str) -> None:
    with pytest.raises(ConfigError) as caught:
        layer.setup((3,))
    assert str(caught.value) == message
