"""The gradient checker finds every mistake that is planted into the code of a gradient, and none in the sound code."""

from __future__ import annotations

from contextlib import nullcontext
from functools import cache
from typing import Any, NamedTuple

import pytest
from equivalent import EQUIVALENT, NAMES, TOO_SMALL
from mutants import KINDS, Mutant, mutants, mutated
from pieces import in_pieces
from registered import build, names, rows

from dlcli.core.options import Example
from dlcli.core.registry import Registry
from dlcli.nn.gradcheck import Row, check_layer, check_loss

SEEDS = 20
BATCH = 5
"""Samples: two lanes, one of two blocks and one of three."""

LEAST = 200
"""Mutants that have to be found."""

COMPONENTS = [(kind, name) for kind in KINDS for name in names(kind)]


class Try(NamedTuple):
    """What may find a mutant: a component as an example shows it, a layer whole or in pieces."""

    name: str
    shown: Example
    pieces: bool


@cache
def tries(*components: str) -> list[Try]:
    """All of these components, the latest success first."""
    found = []
    for pieces in (False, True):
        for name in components:
            kind = kind_of(name)
            if not pieces or kind == "layers":
                found += [Try(name, shown, pieces) for shown in Registry.all[kind].get(name).examples]
    return found


def kind_of(name: str) -> str:
    return next(kind for kind in KINDS if name in Registry.all[kind])


def reported(one: Try, mutant: Mutant | None, analytic: bool) -> list[Row]:
    """What the checker says of a component or a mutant of it, by complex step or, if not `analytic`, by differences."""
    kind = kind_of(one.name)
    component = mutated(build(kind, one.name, one.shown.options), mutant)
    vars(component)["complex_step"] = analytic
    check: Any = check_layer if kind == "layers" else check_loss
    with in_pieces(2) if one.pieces else nullcontext():
        return check(component, one.shown.shape, batch=BATCH, only_complex=analytic)


def found(mutant: Mutant, analytic: bool = True) -> bool:
    """Whether the check of any component that the mutant belongs to fails."""
    some = tries(*mutant.components)
    for at, one in enumerate(some):
        if not all(row.passed for row in reported(one, mutant, analytic)):
            some.insert(0, some.pop(at))  # the next mutant is likely to be of a line near by
            return True
    return False


@pytest.mark.parametrize(("kind", "name"), COMPONENTS)
def test_every_mutant_is_found_unless_it_is_equivalent(kind: str, name: str) -> None:
    assert mutants()[name], f"no mutant of {name}: where does its gradient come from?"
    missed = {mutant.name for mutant in mutants()[name] if not found(mutant)}
    assert missed == {mutant.name for mutant in mutants()[name]} & NAMES


@pytest.mark.nightly
@pytest.mark.parametrize(("kind", "name"), COMPONENTS)
def test_differences_alone_find_the_same_mutants(kind: str, name: str) -> None:
    missed = {mutant.name for mutant in mutants()[name] if not found(mutant, analytic=False)}
    assert missed == {mutant.name for mutant in mutants()[name]} & (NAMES | TOO_SMALL)


def test_there_are_enough_mutants_and_no_stale_names(capsys: pytest.CaptureFixture[str]) -> None:
    known = [mutant.name for some in mutants().values() for mutant in some]
    assert len(set(known)) == len(known)
    assert set(known) >= NAMES | TOO_SMALL
    assert len(known) - len(NAMES) >= LEAST
    with capsys.disabled():
        print(f"\n{len(known)} mutants, {len(known) - len(NAMES)} to be found, {len(NAMES)} equivalent", end="")
        print("".join(f"\n  {len(some):2} {reason}" for reason, some in EQUIVALENT.items()))


@pytest.mark.parametrize("analytic", [True, False])
@pytest.mark.parametrize(("kind", "name"), COMPONENTS)
def test_sound_code_passes_where_mutants_are_looked_for(kind: str, name: str, analytic: bool) -> None:
    rows = [row for one in tries(name) for row in reported(one, None, analytic)]
    assert {row.method for row in rows} == {"complex" if analytic else "directional"}
    assert [row for row in rows if not row.passed] == []


def test_a_mutant_is_in_force_only_while_a_gradient_is_computed() -> None:
    mutant = next(mutant for mutant in mutants()["Linear"] if mutant.name not in NAMES)
    sound, listed = mutant.function.__code__, [entry.cls for entry in Registry.all["layers"].entries()]
    assert found(mutant)
    assert mutant.function.__code__ is sound
    assert [entry.cls for entry in Registry.all["layers"].entries()] == listed


@pytest.mark.parametrize("analytic", [True, pytest.param(False, marks=pytest.mark.nightly)])
@pytest.mark.parametrize(("name", "shown"), [*rows("layers"), *rows("losses")])
def test_no_false_alarm_in_20_seeds(name: str, shown: Any, analytic: bool, monkeypatch: pytest.MonkeyPatch) -> None:
    kind = kind_of(name)
    check: Any = check_layer if kind == "layers" else check_loss
    if not analytic:
        monkeypatch.setattr(Registry.all[kind].get(name), "complex_step", False)
    alarms = [
        (seed, row)
        for seed in range(SEEDS)
        for row in check(build(kind, name, shown.options), shown.shape, seed=seed)
        if not row.passed
    ]
    assert alarms == []
