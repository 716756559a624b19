"""Optimizers against their textbook forms: the built-in ones agree, planted mistakes and what has no twin are found."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Any

import numpy as np
import pytest
from registered import of, rows

from dlcli.core.errors import ConfigError
from dlcli.core.registry import Entry
from dlcli.experiment.optimizer_check import THRESHOLD, check_optimizer, of_optimizers
from dlcli.nn.gradcheck import Report, Row
from dlcli.optim.adagrad import Adagrad
from dlcli.optim.adam import Adam, AdamW
from dlcli.optim.adam_family import RAdam
from dlcli.optim.lamb import LAMB
from dlcli.optim.lion import Lion
from dlcli.optim.optimizer import Optimizer, decayed, optimizers
from dlcli.optim.sgd import SGD
from dlcli.optim.sgd_momentum import SGDMomentum


@pytest.mark.parametrize(("name", "example"), rows("optimizers"))
def test_every_step_is_the_textbook_one(name: str, example: Any) -> None:
    for seed in range(5):
        row = check_optimizer(of("optimizers", name, example), seed=seed)
        assert row.passed
        assert row.error < THRESHOLD / 10
        assert (row.method, row.hint) == ("textbook", None)


def test_the_report_has_a_row_for_every_example() -> None:
    report = of_optimizers(seed=1)
    assert report.passed
    assert report.threshold == THRESHOLD
    assert len(report.rows) == len(rows("optimizers"))
    assert {row.layer for row in report.rows} >= {"Adam", "Adam(betas=(0.8, 0.99), weight_decay=0.1, lr=0.01)"}
    assert report.to_dict() == of_optimizers(seed=1).to_dict()
    assert not of_optimizers(seed=1, threshold=1e-17).passed


def uncorrected(o: Any, part: Any, lr: float) -> None:
    beta1, beta2 = o.betas
    m, v, g = part.slots["exp_avg"], part.slots["exp_avg_sq"], decayed(part, o.weight_decay)
    part.slots["exp_avg"] = beta1 * m + (1 - beta1) * g
    part.slots["exp_avg_sq"] = beta2 * v + (1 - beta2) * g**2
    part.w -= lr * m / (np.sqrt(v) + o.eps)


def inside(o: Any, part: Any, lr: float) -> None:
    """eps under the root."""
    s = part.slots["sum"]
    s += part.g**2
    part.w -= lr * part.g / np.sqrt(s + o.eps)


def coupled(o: Any, part: Any, lr: float) -> None:
    decayed(part, o.weight_decay)
    part.w -= o.change(part, lr)


def uphill(o: Any, part: Any, lr: float) -> None:
    part.g *= -1
    SGD.update(o, part, lr)


def everywhere(o: Any, part: Any, lr: float) -> None:
    """Biases decayed like weights."""
    part.decay = 1.0
    Lion.update(o, part, lr)


def longer(o: Any, part: Any, lr: float) -> None:
    """A thousandth too far, for biases alone."""
    Lion.update(o, part, lr * (1.001 if part.decay == 0 else 1))


def untrusting(o: Any, part: Any, lr: float) -> None:
    """A trust ratio for biases too."""
    u = o.change(part, 1.0) + o.weight_decay * part.decay * part.w
    part.w -= lr * np.linalg.norm(part.w) / np.linalg.norm(u) * u


def forgetful(o: Any, part: Any, lr: float) -> None:
    """The velocity of the step before is lost at the third."""
    if o.t == 3:
        part.slots["velocity"] *= 0
    SGDMomentum.update(o, part, lr)


def early(o: Any, part: Any, lr: float) -> None:
    """The variance term one step too early."""
    o.t += 1
    RAdam.update(o, part, lr)
    o.t -= 1


def reaching(o: Any, part: Any, lr: float) -> None:
    """Weight decay for all values, those that are not trained among them."""
    o.arena.params["untrained"] *= 1 - 1e-6
    SGD.update(o, part, lr)


def exploding(o: Any, part: Any, lr: float) -> None:
    part.w *= math.nan


PLANTED: dict[str, tuple[Optimizer, Any, str | None, int]] = {
    "bias correction forgotten": (Adam(), uncorrected, None, 1),
    "eps inside the root": (Adagrad(), inside, None, 1),
    "decay coupled with the gradient": (AdamW(), coupled, None, 1),
    "sign": (SGD(lr=0.1, momentum=0.9), uphill, None, 1),
    "biases decayed": (Lion(weight_decay=0.1), everywhere, "bias", 1),
    "a thousandth too far": (Lion(), longer, "bias", 1),
    "trust ratio for biases": (LAMB(), untrusting, None, 1),
    "a state lost on the way": (SGDMomentum(), forgetful, None, 3),
    "a step ahead": (RAdam(), early, None, 1),
    "what is not trained": (SGD(lr=0.1), reaching, "untrained", 1),
    "not a number": (SGD(lr=0.1), exploding, None, 1),
}
"""Mistake: (optimizer, its wrong update, the parameter where it shows, the first step where it shows)."""


def with_update(optimizer: Optimizer, update: Any) -> Any:
    """The same optimizer with another update beside its textbook form."""
    base = type(optimizer)
    made = type(base.__name__, (base,), {"update": update, "textbook": base.textbook, "__module__": __name__})
    copied: Any = made(lr=optimizer.lr)
    vars(copied).update(vars(optimizer))
    return copied


@pytest.mark.parametrize("mistake", PLANTED)
def test_a_planted_mistake_is_found(mistake: str) -> None:
    optimizer, update, tensor, first = PLANTED[mistake]
    assert check_optimizer(with_update(optimizer, type(optimizer).update), seed=0).passed
    row = check_optimizer(with_update(optimizer, update), seed=0)
    assert not row.passed
    assert row.layer == repr(optimizer).removesuffix("()")
    assert row.tensor == (tensor or row.tensor)
    assert row.hint == f"at step {first}"
    assert row.worst is not None
    assert row.analytic != row.numeric


def test_a_failure_names_the_entry_and_both_values() -> None:
    row = check_optimizer(with_update(SGD(lr=1.0), uphill), seed=0)
    assert row.tensor == "zero at first"  # whose values are the steps alone, so that their sign is all there is
    assert row.error == pytest.approx(2.0)
    assert row.numeric
    assert row.analytic == pytest.approx(-row.numeric)
    shown = row.to_dict()
    assert (shown["method"], shown["analytic"], shown["hint"]) == ("textbook", row.analytic, "at step 1")


@dataclass(kw_only=True, eq=False)
class Signed(Optimizer):
    """w = w - lr * sign(g)"""

    def update(self, part: Any, lr: float) -> None:
        part.w -= lr * np.sign(part.g)


class Checkable(Signed):
    def textbook(self, w: Any, g: Any, s: Any, lr: float, decay: float, t: int) -> Any:
        return w - lr * np.sign(g)


class Wrong(Signed):
    def textbook(self, w: Any, g: Any, s: Any, lr: float, decay: float, t: int) -> Any:
        return w - 2 * lr * np.sign(g)


class Faster(Checkable):
    """An update of its own: the twin that it inherits was not written for it."""

    update = Signed.update


class Shapeless(Signed):
    def textbook(self, w: Any, g: Any, s: Any, lr: float, decay: float, t: int) -> Any:
        return lr


class Raising(Checkable):
    def bind(self, arena: Any) -> None:
        raise ValueError("no way")


@pytest.mark.parametrize("cls", [Signed, Faster])
def test_what_has_no_textbook_form_is_skipped(cls: type[Signed]) -> None:
    row: Row = check_optimizer(cls(lr=0.1), seed=0)
    assert row.skipped
    assert row.hint is not None
    assert row.hint.startswith("not checkable: beside update, write textbook(self, w, g, s, lr, decay, t), which")
    assert not Report([row]).passed


@pytest.mark.parametrize(
    ("cls", "hint"),
    [(Shapeless, "textbook gave shape (), expected (3, 4)"), (Raising, "bind raised ValueError: no way")],
)
def test_what_breaks_the_contract_has_not_passed(cls: type[Signed], hint: str) -> None:
    row: Row = check_optimizer(cls(lr=0.1), seed=0)
    assert not row.passed
    assert (row.method, row.hint) == ("contract", hint)


def test_only_what_a_file_registers_is_checked(monkeypatch: pytest.MonkeyPatch) -> None:
    for cls in (Checkable, Wrong):
        monkeypatch.setitem(optimizers._entries, cls.__name__, Entry(cls.__name__, cls, f"{cls.__name__}.py"))
    report = of_optimizers(seed=0, origins=["Checkable.py", "Wrong.py"])
    assert [(row.layer, row.passed) for row in report.rows] == [("Checkable(lr=0.1)", True), ("Wrong(lr=0.1)", False)]
    with pytest.raises(ConfigError, match=r"^other\.py: registers no optimizer; put @dlcli\.optimizers\.register"):
        of_optimizers(seed=0, origins=["other.py"])
