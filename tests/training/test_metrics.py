"""Metrics against their plain formulas, whatever the split into batches, and Wilson's interval."""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
from registered import names, of, rows

from dlcli.training.metrics import metrics, wilson

each_metric = pytest.mark.parametrize(("name", "example"), rows("metrics"))


def data(name: str, shape: tuple[int, ...], n: int = 40, dtype: Any = np.float64) -> tuple[Any, Any]:
    rng = np.random.default_rng(0)
    outputs = rng.normal(size=(n, *shape)).astype(dtype)
    if metrics.get(name).task == "classification":
        return outputs, rng.integers(0, shape[0], n)
    return outputs, outputs + rng.normal(size=(n, *shape))


def measure(metric: Any, outputs: Any, targets: Any, cuts: list[int]) -> float:
    pieces = zip(np.split(outputs, cuts), np.split(targets, cuts), strict=True)
    return metric.value(np.sum([metric.sums(o, t) for o, t in pieces], axis=0))


@pytest.mark.parametrize("cuts", [[1], [20], [3, 7, 30], list(range(1, 40))], ids=len)
@each_metric
def test_any_split_into_batches_gives_the_same_number(name: str, example: Any, cuts: list[int]) -> None:
    metric, (outputs, targets) = of("metrics", name, example), data(name, example.shape)
    assert measure(metric, outputs, targets, cuts) == pytest.approx(measure(metric, outputs, targets, []), rel=1e-12)


@each_metric
def test_sums_are_float64_vectors_and_leave_the_arguments_alone(name: str, example: Any) -> None:
    metric, (outputs, targets) = of("metrics", name, example), data(name, example.shape, dtype=np.float32)
    outputs.flags.writeable = targets.flags.writeable = False
    sums = metric.sums(outputs, targets)
    assert sums.dtype == np.float64
    assert sums.ndim == 1
    assert type(metric.value(sums)) in (float, np.float64)


@each_metric
def test_perfect_outputs_are_the_better_end(name: str, example: Any) -> None:
    metric, (outputs, targets) = of("metrics", name, example), data(name, example.shape)
    best = np.eye(example.shape[0])[targets] if metric.task == "classification" else targets
    perfect, random = (metric.value(metric.sums(o, targets)) for o in (best, outputs))
    assert metric.better in ("max", "min")
    assert perfect > random if metric.better == "max" else perfect < random
    assert perfect == (1.0 if metric.better == "max" else 0.0)


PLAIN: dict[str, Callable[[Any, Any], float]] = {
    "accuracy": lambda o, t: float(np.mean([row.argmax() == c for row, c in zip(o, t, strict=True)])),
    "mse": lambda o, t: float(((o - t) ** 2).mean()),
    "mae": lambda o, t: float(np.abs(o - t).mean()),
    "r2": lambda o, t: float(np.mean(1 - ((o - t) ** 2).sum(0) / ((t - t.mean(0)) ** 2).sum(0))),
}
"""Each metric of all samples at once, as the textbook has it."""


def test_every_metric_has_its_plain_formula_here() -> None:
    assert set(PLAIN) == set(names("metrics"))


@each_metric
def test_equals_the_plain_formula(name: str, example: Any) -> None:
    outputs, targets = data(name, example.shape)
    got = measure(of("metrics", name, example), outputs, targets, [7])
    assert got == pytest.approx(PLAIN[name](outputs, targets), rel=1e-12)


def test_a_tie_counts_for_the_lower_class() -> None:
    accuracy = metrics.get("accuracy")()
    assert accuracy.sums(np.zeros((3, 4)), np.array([0, 1, 0])).tolist() == [2.0, 3.0]


def test_a_proportion_without_samples_is_not_defined() -> None:
    assert math.isnan(metrics.get("accuracy")().value(np.zeros(2)))


def test_r2_of_targets_that_do_not_vary_is_not_defined() -> None:
    r2 = metrics.get("r2")()
    assert math.isnan(r2.value(r2.sums(np.arange(4.0)[:, None], np.full((4, 1), 2.0))))
    parts = [r2.sums(np.arange(n)[:, None] + 0.5, np.full((n, 1), 0.1)) for n in (100, 100, 7)]
    assert math.isnan(r2.value(np.sum(parts, axis=0)))


def test_r2_far_from_zero_keeps_its_digits() -> None:
    """The spread is a difference of large sums; targets around 1e4 with a deviation of 1 must not lose it."""
    rng = np.random.default_rng(0)
    targets = 1e4 + rng.normal(size=(1000, 1))
    outputs = targets + 0.1 * rng.normal(size=(1000, 1))
    r2 = metrics.get("r2")()
    assert r2.value(r2.sums(outputs, targets)) == pytest.approx(PLAIN["r2"](outputs, targets), abs=1e-6)


def test_squares_of_float32_are_added_in_float64() -> None:
    mse = metrics.get("mse")()
    outputs = np.full((1000, 1), 1e25, np.float32)
    assert mse.value(mse.sums(outputs, np.zeros((1000, 1)))) == pytest.approx(1e50, rel=1e-6)


@pytest.mark.parametrize(
    ("successes", "n", "low", "high"),
    [
        (0, 10, 0.0, 0.2775328),
        (5, 10, 0.2365931, 0.7634069),
        (10, 10, 0.7224672, 1.0),
        (9750, 10000, 0.9717528, 0.9778824),
        (1, 2, 0.0945312, 0.9054688),
    ],
)
def test_wilson_interval(successes: int, n: int, low: float, high: float) -> None:
    assert wilson(successes, n) == pytest.approx((low, high), abs=1e-6)


def test_wilson_of_nothing_is_everything() -> None:
    assert wilson(0, 0) == (0.0, 1.0)


def test_wilson_solves_its_quadratic() -> None:
    """The ends are the p with (p_hat - p)**2 = z**2 p (1 - p) / n."""
    for p in wilson(37, 120, z=1.5):
        assert (37 / 120 - p) ** 2 == pytest.approx(1.5**2 * p * (1 - p) / 120, rel=1e-9)


@pytest.mark.parametrize("name", names("metrics"))
def test_documented(name: str) -> None:
    doc = metrics.get(name).__doc__ or ""
    assert f"{name} = " in doc
    assert "Source: " in doc
    assert metrics.get(name).examples
