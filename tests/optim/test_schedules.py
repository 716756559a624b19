"""Learning-rate curves: pure functions of the step, lengths in every unit, and the shape of each."""

from __future__ import annotations

import math
from typing import Any

import pytest
from registered import build, names, of, rows

from dlcli.core.options import Length
from dlcli.optim.schedule import Schedule, Span, schedules

SPAN = Span(lr=0.1, steps=100, per_epoch=20)

each_schedule = pytest.mark.parametrize(("name", "example"), rows("schedules"))


def curve(schedule: Any, span: Span = SPAN) -> list[float]:
    return [schedule.lr(step, span) for step in range(span.steps)]


@each_schedule
def test_rates_are_finite_and_not_above_the_base(name: str, example: Any) -> None:
    rates = curve(of("schedules", name, example))
    assert all(math.isfinite(lr) and 0 <= lr <= SPAN.lr * (1 + 1e-12) for lr in rates)
    assert max(rates) > 0


@each_schedule
def test_a_rate_depends_on_nothing_but_the_step(name: str, example: Any) -> None:
    schedule = of("schedules", name, example)
    forwards = curve(schedule)
    backwards = [schedule.lr(step, SPAN) for step in reversed(range(SPAN.steps))]
    assert forwards == backwards[::-1]
    assert forwards == curve(of("schedules", name, example))


@each_schedule
def test_scales_with_the_base(name: str, example: Any) -> None:
    # Learning rates, not factors.
    no_floor = {option: 0.0 for option in ("eta_min", "base_lr") if option in example.options}
    schedule = of("schedules", name, example, **no_floor)
    doubled = [2 * lr for lr in curve(schedule)]
    assert curve(schedule, SPAN._replace(lr=0.2)) == pytest.approx(doubled, rel=1e-13)


@pytest.mark.parametrize("warmup", ["10 steps", "0.5 epochs", "10%"])
@each_schedule
def test_warmup_is_a_linear_rise_in_any_unit(name: str, example: Any, warmup: str) -> None:
    plain = curve(of("schedules", name, example, warmup=None))
    warmed = curve(of("schedules", name, example, warmup=warmup))
    assert warmed == pytest.approx([lr * min(1, (step + 1) / 10) for step, lr in enumerate(plain)], rel=1e-14)


@each_schedule
def test_runs_of_any_length_have_a_curve(name: str, example: Any) -> None:
    for steps in (1, 2, 3, 10, 1000):
        rates = curve(of("schedules", name, example), Span(0.1, steps, max(1, steps // 3)))
        assert all(math.isfinite(lr) and lr >= 0 for lr in rates)


def rates(name: str, *steps: int, **options: Any) -> list[float]:
    schedule = build("schedules", name, options)
    return [schedule.lr(step, SPAN) for step in steps]


def test_constant() -> None:
    assert rates("ConstantLR", 0, 50, 99) == [0.1, 0.1, 0.1]
    assert rates("ConstantLR", 0, 4, 5, 99, factor=0.5, total_iters="5 steps") == [0.05, 0.05, 0.1, 0.1]


@pytest.mark.parametrize("size", ["20 steps", "1 epoch", "20%"])
def test_step(size: str) -> None:
    assert rates("StepLR", 0, 19, 20, 39, 40, 99, step_size=size, gamma=0.5) == [0.1, 0.1, 0.05, 0.05, 0.025, 0.00625]


def test_cosine() -> None:
    assert rates("CosineAnnealingLR", 0, 25, 50, 75) == pytest.approx(
        [0.1, 0.05 * (1 + math.sqrt(0.5)), 0.05, 0.05 * (1 - math.sqrt(0.5))], rel=1e-13
    )
    assert rates("CosineAnnealingLR", 0, 20, eta_min=0.02, T_max="20 steps") == pytest.approx([0.1, 0.02], rel=1e-13)


def test_one_cycle() -> None:
    low = 0.1 / 25
    found = rates("OneCycleLR", 0, 29, 99)
    assert found == pytest.approx([low, 0.1, low / 1e4], rel=1e-12)
    cycle = curve(build("schedules", "OneCycleLR", {}))
    assert cycle[:30] == sorted(cycle[:30])
    assert cycle[29:] == sorted(cycle[29:], reverse=True)
    assert rates("OneCycleLR", 0, 29, 58, 99, three_phase=True) == pytest.approx([low, 0.1, low, low / 1e4], rel=1e-12)
    assert rates("OneCycleLR", 14, anneal_strategy="linear", pct_start=0.29, div_factor=2.0) == pytest.approx([0.075])


def test_exponential() -> None:
    assert rates("ExponentialLR", 0, 20, 40, gamma=0.5) == pytest.approx([0.1, 0.05, 0.025], rel=1e-13)
    assert rates("ExponentialLR", 10, gamma=0.5) == pytest.approx([0.1 * math.sqrt(0.5)], rel=1e-13)


def test_cyclic() -> None:
    shape = {"base_lr": 0.02, "step_size_up": "10 steps", "step_size_down": "20 steps"}
    assert rates("CyclicLR", 0, 5, 10, 20, 30, 40, **shape) == pytest.approx([0.02, 0.06, 0.1, 0.06, 0.02, 0.1])
    assert rates("CyclicLR", 10, 40, 70, mode="triangular2", **shape) == pytest.approx([0.1, 0.06, 0.04])
    assert rates("CyclicLR", 10, 40, mode="exp_range", gamma=0.9, **shape) == pytest.approx(
        [0.02 + 0.08 * 0.9**10, 0.02 + 0.08 * 0.9**40]
    )


@pytest.mark.parametrize(
    ("name", "options"),
    [
        ("StepLR", {"step_size": "1 step", "gamma": 10.0}),
        ("ExponentialLR", {"gamma": 10.0, "decay_steps": "1 step"}),
        ("CyclicLR", {"base_lr": 0.0, "step_size_up": "1 step", "mode": "exp_range", "gamma": 10.0}),
    ],
)
def test_a_rate_beyond_all_numbers_is_infinite(name: str, options: dict[str, Any]) -> None:
    assert build("schedules", name, options).lr(1001, Span(0.1, 2000, 10)) == math.inf


def plateau(*figures: float, better: str = "min", **options: Any) -> Any:
    schedule = build("schedules", "ReduceLROnPlateau", options)
    for figure in figures:
        schedule.observe(figure, better)
    return schedule


@pytest.mark.parametrize(
    ("figures", "options", "rate"),
    [
        ((), {}, 0.1),
        ((1.0, 1.0, 1.0), {"patience": 2}, 0.1),
        ((1.0, 1.0, 1.0, 1.0), {"patience": 2}, 0.01),
        ((1.0, 1.0, 0.5, 1.0, 1.0), {"patience": 2}, 0.1),
        ((1.0, 1.0, 1.0), {"patience": 0, "factor": 0.5}, 0.025),
        ((1.0, 1.0, 1.0), {"patience": 0, "factor": 0.5, "cooldown": 1}, 0.05),
        ((1.0, 0.999), {"patience": 0, "threshold": 0.01}, 0.01),
        ((1.0, 0.999), {"patience": 0, "threshold": 0.0}, 0.1),
        ((1.0, 1.0, 1.0), {"patience": 0, "min_lr": 0.004}, 0.004),
        ((1.0, 2.0), {"patience": 0, "better": "max"}, 0.1),
        ((1.0, 0.5), {"patience": 0, "better": "max"}, 0.01),
    ],
)
def test_plateau(figures: tuple[float, ...], options: dict[str, Any], rate: float) -> None:
    assert plateau(*figures, **options).lr(50, SPAN) == pytest.approx(rate, rel=1e-13)


SAVED = {"best": (0.1).hex(), "bad_epochs": 1, "resting": 0, "reductions": 2}


def test_plateau_is_saved_and_restored_to_the_bit() -> None:
    first, second = plateau(0.3, 0.1, 0.2), plateau()
    second.restore(first.to_json())
    assert second.to_json() == first.to_json() == SAVED | {"reductions": 0}
    assert plateau().to_json() == {"best": None, "bad_epochs": 0, "resting": 0, "reductions": 0}


@pytest.mark.parametrize(
    "saved",
    [
        {},
        SAVED | {"more": 1},
        SAVED | {"best": 0.1},
        SAVED | {"best": "x"},
        SAVED | {"best": "nan"},
        SAVED | {"best": "0x1p99999"},
        SAVED | {"bad_epochs": 4},
        SAVED | {"bad_epochs": -1},
        SAVED | {"bad_epochs": 1.0},
        SAVED | {"bad_epochs": True},
        SAVED | {"resting": 1},
        SAVED | {"bad_epochs": 0, "resting": 3},
        SAVED | {"bad_epochs": 0, "resting": 1, "reductions": 0},
        SAVED | {"reductions": None},
    ],
    ids=str,
)
def test_a_state_that_no_run_has_is_refused(saved: dict[str, Any]) -> None:
    schedule = plateau(patience=3, cooldown=2)
    with pytest.raises(ValueError, match=r"^got .*ReduceLROnPlateau"):
        schedule.restore(saved)
    assert schedule.to_json() == plateau().to_json()
    schedule.restore(SAVED)


@pytest.mark.parametrize("name", [n for n in names("schedules") if schedules.get(n).observe is Schedule.observe])
def test_other_schedules_keep_nothing(name: str) -> None:
    schedule = of("schedules", name, schedules.get(name).examples[0])
    before = curve(schedule)
    schedule.observe(1.0, "min")
    schedule.restore(schedule.to_json())
    assert schedule.to_json() == {}
    assert curve(schedule) == before
    with pytest.raises(ValueError, match=f"for {name}, which keeps nothing"):
        schedule.restore(SAVED)


@pytest.mark.parametrize(
    ("length", "steps"),
    [("7 steps", 7), ("1 step", 1), ("3 epochs", 60), ("0.5 epochs", 10), ("10%", 10), ("100%", 100)],
)
def test_lengths(length: str, steps: int) -> None:
    assert SPAN.length(Length.parse(length)) == steps


def test_no_length_is_the_whole_run() -> None:
    assert SPAN.length(None) == 100
