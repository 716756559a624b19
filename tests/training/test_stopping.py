"""The monitor: the best value so far, when patience ends, and its state through a save."""

from __future__ import annotations

import json
import math
from typing import Any

import pytest

from dlcli.training.stopping import Mark, Monitor


def follow(monitor: Monitor, values: list[float]) -> list[bool]:
    """Observe a value every 10 steps; for each, whether it was the best."""
    return [monitor.observe(value, 10 * (i + 1)) for i, value in enumerate(values)]


@pytest.mark.parametrize(
    ("better", "values", "best"),
    [
        ("max", [0.5, 0.7, 0.7, 0.6, 0.8], [True, True, False, False, True]),
        ("min", [0.5, 0.7, 0.4, 0.4, 0.3], [True, False, True, False, True]),
        ("min", [math.nan, 1.0, math.nan, 0.5], [False, True, False, True]),
    ],
)
def test_best_is_any_improvement(better: str, values: list[float], best: list[bool]) -> None:
    monitor = Monitor("val.x", better)
    assert follow(monitor, values) == best
    last = max(i for i, is_best in enumerate(best) if is_best)
    assert monitor.best == Mark(values[last], 10 * (last + 1))


@pytest.mark.parametrize(
    ("values", "patience", "stops_at"),
    [
        ([1.0, 0.9, 0.95, 0.95, 0.95], 30, 50),
        ([1.0, 0.9, 0.95, 0.95, 0.8], 30, None),
        ([1.0, 1.0, 1.0], 20, 30),
        ([math.nan, math.nan, math.nan, math.nan], 10, None),
        ([1.0, 2.0, 3.0], None, None),
    ],
)
def test_patience_is_counted_in_steps(values: list[float], patience: int | None, stops_at: int | None) -> None:
    monitor = Monitor("val.loss", "min", patience)
    stopped = None
    for i, value in enumerate(values):
        monitor.observe(value, 10 * (i + 1))
        if stopped is None and monitor.exhausted(10 * (i + 1)):
            stopped = 10 * (i + 1)
    assert stopped == stops_at


def test_small_steps_add_up_against_the_anchor() -> None:
    """min_delta is measured from the last value that counted, so slow steady progress is progress."""
    monitor = Monitor("val.loss", "min", 40, min_delta=0.1)
    assert follow(monitor, [1.0, 0.96, 0.92, 0.88]) == [True, True, True, True]
    assert monitor.anchor == Mark(0.88, 40)
    assert monitor.best == Mark(0.88, 40)


def test_best_may_improve_while_patience_runs_out() -> None:
    monitor = Monitor("val.accuracy", "max", 20, min_delta=0.1)
    assert follow(monitor, [0.5, 0.55, 0.56]) == [True, True, True]
    assert monitor.exhausted(30)
    assert monitor.best == Mark(0.56, 30)


@pytest.mark.parametrize("values", [[], [0.1, 0.3, 0.2], [1e-300, 1 / 3]])
def test_a_saved_monitor_goes_on_exactly(values: list[float]) -> None:
    first = Monitor("val.accuracy", "max", 20, min_delta=0.05)
    follow(first, values)
    second = Monitor("val.accuracy", "max", 20, min_delta=0.05)
    saved: dict[str, Any] = json.loads(json.dumps(first.to_json(), allow_nan=False))
    second.restore(saved)
    assert second == first
    assert follow(second, [0.4, 0.1]) == follow(first, [0.4, 0.1])
    assert second == first
