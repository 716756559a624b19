"""The gradient checker finds every mistake that is planted into the code of a gradient, and none in the sound code."""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any, ClassVar

import numpy as np
import pytest
from equivalent import EQUIVALENT, NAMES
from mutants import KINDS, Mutant, mutants, mutated
from registered import build, names, rows

from dlcli.core import workers
from dlcli.core.arena import Array
from dlcli.core.registry import Registry
from dlcli.nn.gradcheck import Row, check_layer, check_loss
from dlcli.nn.layer import Layer
from dlcli.nn.layers.sequential import Sequential

SEEDS = 20
BATCH = 5
"""Samples: two lanes, one of two blocks and one of three."""

SIZES = ("GRAIN", "BLOCK", "BAND", "TERMS")
"""What modules call the least numbers or columns that are worked on at a time."""

LEAST = 200
"""Mutants that have to be found."""

COMPONENTS = [(kind, name) for kind in KINDS for name in names(kind)]


class Wide(Layer):
    """y = 4 * x: what comes behind it sees large numbers, and images with the channels innermost in memory."""

    complex_step: ClassVar[bool] = True

    def forward(self, x: Array, training: bool) -> Array:
        return np.multiply(x, 4, out=self.buffer("y", x.shape))

    def backward(self, dy: Array) -> Array:
        return np.multiply(dy, 4, out=dy)


@contextmanager
def cut_small() -> Iterator[None]:
    """Inside the block batches of `BATCH` are cut into lanes and blocks, as long ones are."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(workers, "MOST", 2)
        for name, module in list(sys.modules.items()):
            for size in SIZES if module is workers or name.startswith("dlcli.nn.") else ():
                if hasattr(module, size):
                    patch.setattr(module, size, 1)
        yield


def checks(name: str, mutant: Mutant | None, analytic: bool = True) -> Iterator[Callable[[], list[Row]]]:
    """The checks of a component on each of its examples, which may find the mutant.

    Alone, then a layer behind another one and in small blocks; by complex step or, if not `analytic`, by differences.
    """
    kind = next(kind for kind in KINDS if name in Registry.all[kind])
    for behind in (False, True) if kind == "layers" else (False,):
        for shown in Registry.all[kind].get(name).examples:

            def check(shown: Any = shown, behind: bool = behind) -> list[Row]:
                component = mutated(build(kind, name, shown.options), mutant)
                vars(component)["complex_step"] = analytic
                if kind == "losses":
                    return check_loss(component, shown.shape, batch=BATCH, only_complex=analytic)
                if not behind:
                    return check_layer(component, shown.shape, batch=BATCH, only_complex=analytic)
                with cut_small():
                    return check_layer(Sequential([Wide(), component]), shown.shape, batch=BATCH, only_complex=analytic)

            yield check


def found(mutant: Mutant, analytic: bool = True) -> bool:
    """Whether a check of any component that the mutant belongs to fails by a row of its report."""
    every = (check for name in mutant.components for check in checks(name, mutant, analytic))
    return any(not row.passed for check in every for row in check())


@pytest.mark.parametrize(("kind", "name"), COMPONENTS)
def test_every_mutant_is_found_unless_it_is_equivalent(kind: str, name: str) -> None:
    assert mutants()[name], f"no mutant of {name}: where does its gradient come from?"
    missed = {mutant.name for mutant in mutants()[name] if not found(mutant)}
    assert missed == {mutant.name for mutant in mutants()[name]} & NAMES


@pytest.mark.nightly
@pytest.mark.parametrize(("kind", "name"), COMPONENTS)
def test_differences_alone_find_the_same_mutants(kind: str, name: str) -> None:
    missed = {mutant.name for mutant in mutants()[name] if not found(mutant, analytic=False)}
    assert missed == {mutant.name for mutant in mutants()[name]} & NAMES


def test_there_are_enough_mutants_and_no_stale_names(capsys: pytest.CaptureFixture[str]) -> None:
    known = [mutant.name for some in mutants().values() for mutant in some]
    assert len(set(known)) == len(known)
    assert set(known) >= NAMES
    assert len(known) - len(NAMES) >= LEAST
    with capsys.disabled():
        print(f"\n{len(known)} mutants, {len(known) - len(NAMES)} to be found, {len(NAMES)} equivalent", end="")
        print("".join(f"\n  {len(some):2} {reason}" for reason, some in EQUIVALENT.items()))


@pytest.mark.parametrize("analytic", [True, False])
@pytest.mark.parametrize(("kind", "name"), COMPONENTS)
def test_sound_code_passes_where_mutants_are_looked_for(kind: str, name: str, analytic: bool) -> None:
    found = [row for check in checks(name, None, analytic) for row in check()]
    assert {row.method for row in found} == {"complex" if analytic else "directional"}
    assert [row for row in found if not row.passed] == []


def test_a_mutant_is_in_force_only_while_a_gradient_is_computed() -> None:
    mutant = next(m for m in mutants()["Linear"] if m.name == "Linear.backward: dy.T -> dy")
    sound, listed = mutant.function.__code__, [entry.cls for entry in Registry.all["layers"].entries()]
    assert found(mutant)
    assert mutant.function.__code__ is sound
    assert [entry.cls for entry in Registry.all["layers"].entries()] == listed


@pytest.mark.parametrize("analytic", [True, pytest.param(False, marks=pytest.mark.nightly)])
@pytest.mark.parametrize(("name", "shown"), [*rows("layers"), *rows("losses")])
def test_no_false_alarm_in_20_seeds(name: str, shown: Any, analytic: bool, monkeypatch: pytest.MonkeyPatch) -> None:
    kind = next(kind for kind in KINDS if name in Registry.all[kind])
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
