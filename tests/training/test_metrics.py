"""What every metric promises, whatever the split into batches, and what it is where it is not defined."""

from __future__ import annotations

import math
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


def measure(name: str, outputs: Any, targets: Any, **options: Any) -> Any:
    metric = metrics.get(name)(**options)
    return metric.value(metric.sums(np.asarray(outputs), np.asarray(targets)))


@pytest.mark.parametrize("cuts", [[1], [20], [3, 7, 30], list(range(1, 40))], ids=len)
@each_metric
def test_any_split_into_batches_gives_the_same_value(name: str, example: Any, cuts: list[int]) -> None:
    metric, (outputs, targets) = of("metrics", name, example), data(name, example.shape)
    pieces = zip(np.split(outputs, cuts), np.split(targets, cuts), strict=True)
    sums = np.sum([metric.sums(o, t) for o, t in pieces], axis=0)
    np.testing.assert_allclose(metric.value(sums), metric.value(metric.sums(outputs, targets)), rtol=1e-12)


@each_metric
def test_sums_are_float64_vectors_and_leave_the_arguments_alone(name: str, example: Any) -> None:
    metric, (outputs, targets) = of("metrics", name, example), data(name, example.shape, dtype=np.float32)
    outputs.flags.writeable = targets.flags.writeable = False
    sums = metric.sums(outputs, targets)
    assert sums.dtype == np.float64
    assert sums.ndim == 1
    assert isinstance(metric.value(sums), float if metric.scalar else np.ndarray)


@pytest.mark.parametrize(("name", "example"), [row for row in rows("metrics") if metrics.get(row.values[0]).scalar])
def test_perfect_outputs_are_the_better_end(name: str, example: Any) -> None:
    metric, (outputs, targets) = of("metrics", name, example), data(name, example.shape)
    best = 1000 * np.eye(example.shape[0])[targets] if metric.task == "classification" else targets
    perfect, random = (metric.value(metric.sums(o, targets)) for o in (best, outputs))
    assert metric.better in ("max", "min")
    assert perfect == (1.0 if metric.better == "max" else 0.0)
    assert perfect > random if metric.better == "max" else perfect < random


@each_metric
def test_a_proportion_is_its_first_sum_over_its_second(name: str, example: Any) -> None:
    metric, (outputs, targets) = of("metrics", name, example), data(name, example.shape)
    if metric.proportion:
        successes, n = metric.sums(outputs, targets)
        assert n == len(targets)
        assert metric.value(np.array([successes, n])) == successes / n


@each_metric
def test_scores_that_are_not_finite_are_never_good(name: str, example: Any) -> None:
    """A diverged network is evaluated like any other: no exception, and no figure that flatters it."""
    metric, (outputs, targets) = of("metrics", name, example), data(name, example.shape)
    targets = targets % example.shape[0] if metric.task == "classification" else targets
    for bad in (np.nan, np.inf, -np.inf):
        with np.errstate(all="ignore"):
            value = metric.value(metric.sums(np.full_like(outputs, bad), targets))
        if metric.scalar and not math.isnan(value):
            assert value < 0.7 if metric.better == "max" else value > 0.3


@pytest.mark.parametrize("name", [n for n in names("metrics") if metrics.get(n).task == "classification"])
def test_classes_may_be_small_integers(name: str) -> None:
    """Bytes, as image files hold them, whose products would not fit a byte."""
    outputs, targets = data(name, (30,))
    np.testing.assert_array_equal(measure(name, outputs, targets.astype(np.uint8)), measure(name, outputs, targets))


def test_a_tie_counts_for_the_lower_class() -> None:
    scores, classes = np.zeros((3, 4)), np.array([0, 1, 0])
    assert measure("accuracy", scores, classes) == 2 / 3
    assert measure("confusion_matrix", scores, classes).tolist() == [[2, 0, 0, 0], [1, 0, 0, 0], [0] * 4, [0] * 4]
    assert [measure("top_k_accuracy", scores, classes, k=k) for k in (1, 2)] == [2 / 3, 1.0]
    assert measure("top_k_accuracy", scores, 3 - classes, k=2) == 0.0


def test_more_places_than_classes_hold_every_class() -> None:
    assert measure("top_k_accuracy", [[1.0, 2.0]], [0], k=9) == 1.0


@pytest.mark.parametrize("name", [n for n in names("metrics") if metrics.get(n).task == "classification"])
def test_without_samples_nothing_is_defined(name: str) -> None:
    value = measure(name, np.empty((0, 3)), np.empty(0, np.int64))
    assert np.isnan(value) if metrics.get(name).scalar else not value.any()


def test_scores_too_large_for_exp() -> None:
    assert measure("log_loss", [[1e4, -1e4], [0.0, 0.0]], [1, 0]) == (2e4 + math.log(2)) / 2
    assert measure("brier", [[1e4, -1e4]], [1]) == 2.0
    assert measure("calibration_error", [[1e4, -1e4]], [1]) == 1.0


def test_confidence_on_the_edge_of_a_bin_lies_in_the_lower_one() -> None:
    """Untrained scores are all alike: 1/3 lies in the bin up to 5/15, with it what is a little less sure."""
    scores = np.log([[1 / 3, 1 / 3, 1 / 3], [0.30, 0.30, 0.40]])
    metric = metrics.get("calibration_error")()
    gaps = metric.sums(scores, np.array([0, 0]))
    assert np.flatnonzero(gaps).tolist() == [4, 5, 15]
    assert gaps[[4, 5, 15]] == pytest.approx([2 / 3, -0.4, 2])


def test_calibrated_by_half_and_overconfident_by_half() -> None:
    """Of samples that are 75 % sure, three of four are right in one group, one of four in the other."""
    scores = np.log(np.tile([0.75, 0.25], (4, 1)))
    assert measure("calibration_error", scores, [0, 0, 0, 1]) == pytest.approx(0.0, abs=1e-15)
    assert measure("calibration_error", scores, [1, 1, 1, 0]) == pytest.approx(0.5)


def test_r2_of_targets_that_do_not_vary_is_not_defined() -> None:
    r2 = metrics.get("r2")()
    assert math.isnan(r2.value(r2.sums(np.arange(4.0)[:, None], np.full((4, 1), 2.0))))
    parts = [r2.sums(np.arange(n)[:, None] + 0.5, np.full((n, 1), 0.1)) for n in (100, 100, 7)]
    assert math.isnan(r2.value(np.sum(parts, axis=0)))


def test_r2_far_from_zero_keeps_its_digits() -> None:
    """The spread is a difference of large sums; targets around 1e4 with a deviation of 1 must not lose it."""
    rng = np.random.default_rng(0)
    noise, error = rng.normal(size=(2, 1000, 1))
    wanted = 1 - (0.01 * error**2).sum() / ((noise - noise.mean()) ** 2).sum()
    assert measure("r2", 1e4 + noise + 0.1 * error, 1e4 + noise) == pytest.approx(wanted, abs=1e-6)


def test_squares_of_float32_are_added_in_float64() -> None:
    outputs = np.full((1000, 1), 1e25, np.float32)
    assert measure("mse", outputs, np.zeros((1000, 1))) == pytest.approx(1e50, rel=1e-6)


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


def test_wilson_holds_the_proportion_itself() -> None:
    for n in range(1, 2000, 7):
        assert wilson(n, n)[1] == 1
        assert wilson(0, n)[0] == 0


def test_wilson_of_nothing_is_everything() -> None:
    assert wilson(0, 0) == (0.0, 1.0)


def test_wilson_solves_its_quadratic() -> None:
    """The ends are the p with (p_hat - p)**2 = z**2 p (1 - p) / n."""
    for p in wilson(37, 120, z=1.5):
        assert (37 / 120 - p) ** 2 == pytest.approx(1.5**2 * p * (1 - p) / 120, rel=1e-9)
