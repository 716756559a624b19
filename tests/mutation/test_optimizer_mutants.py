"""The comparison with the textbook forms finds every mistake that is planted into the code of an optimizer's step."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from functools import cache
from types import FunctionType

import pytest
from gradient_code import Code, tree
from mutants import Mutant, changes_of
from registered import build, names

from dlcli.experiment.optimizer_check import check_optimizer
from dlcli.optim.optimizer import Optimizer, optimizers

EQUIVALENT: dict[str, tuple[str, ...]] = {
    "the average changes its scale or sign alone, of which the step takes only the sign or the square": (
        "Lion.update: 1 - beta2 -> 1 + beta2",
        "Lion.update: 1 - beta2 -> 2 - beta2",
        "Lion.update: 1 - beta2 -> 1",
        "Lion.update: g *= 1 - beta2 -> g /= 1 - beta2",
        "Lion.update: g *= 1 - beta2 -> pass",
        "RMSprop.update: a += np.multiply(g, 1 - self.alpha, out=room)"
        " -> a -= np.multiply(g, 1 - self.alpha, out=room)",
    ),
    "the product is made anew from the first step, to the same bits": (
        "NAdam.product: if last > self.t -> if not last > self.t",
        "NAdam.product: last > self.t -> last <= self.t",
        "NAdam.product: last > self.t -> last >= self.t",
    ),
    "matters only where an optimizer goes back to an earlier step": (
        "NAdam.product: (0, 1.0) -> (1, 1.0) (2)",
        "NAdam.product: (0, 1.0) -> (0, 2.0) (2)",
    ),
    "both operands are the same": (
        "Muon.orthogonalized: np.matmul(gram, gram, out=square) -> np.matmul(gram, gram, out=square)",
    ),
    "differs on the edge alone": ("RAdam.update: rho > 5 -> rho >= 5",),
    "guards against steps before `bind`": ("Optimizer.step: self._bound() -> pass",),
}
"""The mutants whose steps are right all the same, each with its reason."""

STEP = ("step", "update")
"""What of the base class's methods is part of a step."""

NAMES = {mutant for some in EQUIVALENT.values() for mutant in some}
LEAST = 500
"""Mutants that have to be found."""


def fast(name: str) -> Iterator[FunctionType]:
    """The functions that a step of the optimizer is made of: its methods, and the helpers of their modules."""
    for owner in optimizers.get(name).__mro__:
        if owner.__module__.startswith("dlcli.optim."):
            methods = {key: f for key, f in vars(owner).items() if key in STEP or key not in vars(Optimizer)}
            for key, found in (vars(sys.modules[owner.__module__]) | methods).items():
                ours = isinstance(found, FunctionType) and found.__module__.startswith("dlcli.optim.")
                if ours and not key.startswith("__"):
                    yield found


@cache
def mutants() -> dict[str, list[Mutant]]:
    """The mutants of every optimizer, by its name; a shared one goes to the first that has it."""
    users: dict[FunctionType, list[str]] = {}
    for name in names("optimizers"):
        for function in dict.fromkeys(fast(name)):
            users.setdefault(function, []).append(name)
    made: dict[str, list[Mutant]] = {name: [] for name in names("optimizers")}
    for function, some in users.items():
        for mutant in changes_of(Code(function, list(tree(function).body), kept=False)):
            if mutant.code.co_freevars == function.__code__.co_freevars:  # else it has lost its only `super`
                mutant.components = some
                made[some[0]].append(mutant)
    return made


def found(mutant: Mutant) -> bool:
    """Whether the check of any optimizer whose step runs the mutant's function fails."""
    for name in mutant.components:
        for shown in optimizers.get(name).examples:
            made = build("optimizers", name, shown.options)
            with mutant.in_force():
                if not check_optimizer(made, seed=0).passed:
                    return True
    return False


@pytest.mark.parametrize("name", names("optimizers"))
def test_every_mutant_is_found_unless_it_is_equivalent(name: str) -> None:
    missed = {mutant.name for mutant in mutants()[name] if not found(mutant)}
    assert missed == {mutant.name for mutant in mutants()[name]} & NAMES


def test_there_are_enough_mutants_and_no_stale_names() -> None:
    known = [mutant.name for some in mutants().values() for mutant in some]
    assert len(set(known)) == len(known)
    assert set(known) >= NAMES
    assert len(known) - len(NAMES) >= LEAST
