"""Optimizers against their textbook forms: a wrong step is nothing that a gradient check could see."""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence

import numpy as np

from dlcli.config.single import component
from dlcli.core.arena import Arena, Array, Parameter, Views
from dlcli.core.errors import ConfigError
from dlcli.core.options import example
from dlcli.core.rng import stream
from dlcli.nn.gradcheck import Report, Row
from dlcli.nn.gradcheck.probe import BrokenError, call, calm
from dlcli.nn.gradcheck.subject import broken
from dlcli.optim.optimizer import Optimizer, State, optimizers

STEPS = 25
"""Enough for what starts late: RAdam's variance term needs six steps at beta2 = 0.999."""

THRESHOLD = 1e-12
"""The largest relative error that passes: two orders of the same operations stay below 1e-14 over all steps, and the
smallest mistake worth the name, a thousandth of Lion's step of 1e-4, is 1e-7."""

PARAMETERS = (
    Parameter("weight", (3, 4)),
    Parameter("bias", (3,), decay=0.0),
    Parameter("doubled lr", (2, 3), lr_mult=2.0, decay=0.5),
    Parameter("untrained", (2, 2), trainable=False),
    Parameter("decayed bias", (5,), lr_mult=0.5),
    Parameter("kernel", (6, 2, 2, 3)),
    Parameter("zero at first", (7, 2)),
    Parameter("tiny gradients", (4, 4)),
)
"""What an optimizer tells apart, in several segments."""

SMALLEST = 1e-10
"""Gradients are of sizes between this and 1, each element keeping its own, so that every eps matters somewhere."""

MISSING = "not checkable: beside update, write textbook(self, w, g, s, lr, decay, t), which returns the new w"
"""What keeps an optimizer from being compared."""


def of_optimizers(seed: int, threshold: float | None = None, origins: Sequence[str] = ()) -> Report:
    """Every registered optimizer on each of its examples; with `origins`, only those of these files.

    A row names the parameter with the largest error. An optimizer without a textbook form is skipped, which is not
    passed: a report of nothing else fails.
    """
    chosen = [entry for entry in optimizers.entries() if not origins or entry.origin in origins]
    if not chosen:
        raise ConfigError(
            f"{', '.join(origins)}: registers no optimizer; put @dlcli.optimizers.register above the class"
        )
    threshold = THRESHOLD if threshold is None else threshold
    rows = []
    for entry in chosen:
        for shown in entry.cls.examples or (example(lr=0.1),):
            made = component("optimizers", {entry.name: shown.options}, entry.source)
            rows.append(check_optimizer(made.build(), seed=seed, threshold=threshold))
    return Report(rows, threshold)


def check_optimizer(optimizer: Optimizer, *, seed: int, threshold: float = THRESHOLD) -> Row:
    """`step` in float64, on random gradients with changing learning rates, compared with `textbook` after every step.

    The row is that of the largest error; the first step that fails is the last, since it spoils those that follow.
    """
    label = repr(optimizer).removesuffix("()")
    if not _has_textbook(type(optimizer)):
        return Row(label, "all", math.nan, "skipped", threshold, hint=MISSING)
    worst = Row(label, "all", 0.0, "textbook", threshold)
    with calm():
        try:
            for t, got, expected in _steps(optimizer, seed):
                rows = [_row(label, name, got[name], expected[name], threshold) for name in expected]
                worst = max(worst, *rows, key=lambda row: row.error)
                if not worst.passed:
                    worst.hint = f"at step {t}"
                    break
        except BrokenError as error:
            return broken(label, error)
    return worst


def _row(label: str, name: str, got: Array, expected: Array, threshold: float) -> Row:
    """The largest difference within a parameter, relative to that parameter's largest value."""
    apart = np.abs(got - expected)
    error = float(apart.max() / np.abs(expected).max()) if apart.any() else 0.0
    row = Row(label, name, error if math.isfinite(error) else math.inf, "textbook", threshold)
    if not row.passed:
        worst = np.unravel_index(int(apart.argmax()), apart.shape)
        row.worst, row.analytic, row.numeric = tuple(map(int, worst)), float(got[worst]), float(expected[worst])
    return row


def _has_textbook(cls: type[Optimizer]) -> bool:
    """Whether the textbook form was written for the step that is made: beside it, or in a subclass."""

    def writer(method: str) -> type:
        return next(c for c in cls.__mro__ if method in vars(c))

    return all(issubclass(writer("textbook"), writer(method)) for method in ("step", "update"))


def _steps(optimizer: Optimizer, seed: int) -> Iterator[tuple[int, Views, dict[str, Array]]]:
    """(t, the parameters, the parameters that the textbook says) after every step t."""
    rng, arena = stream(seed, "gradcheck"), Arena(PARAMETERS, np.float64)
    arena.values[:] = rng.normal(size=arena.values.size)
    arena.params["zero at first"] = np.zeros(arena.params["zero at first"].shape)
    sizes = {p.name: SMALLEST ** rng.random(p.shape) for p in PARAMETERS}
    sizes["tiny gradients"][:] = SMALLEST
    expected: dict[str, Array] = {name: w.copy() for name, w in arena.params.items()}
    states: dict[str, State] = {p.name: {slot: np.zeros(p.shape) for slot in optimizer.slots} for p in PARAMETERS}
    call("bind", optimizer.bind, arena)
    for t in range(1, STEPS + 1):
        lr = optimizer.lr * (0.5 + 0.1 * t)
        gradients = {p.name: sizes[p.name] * rng.normal(size=p.shape) for p in PARAMETERS}
        arena.gradients.update(gradients)
        call("step", optimizer.step, lr)
        for name, shape, trainable, lr_mult, decay in PARAMETERS:
            if trainable:
                options = (gradients[name], states[name], lr * lr_mult, decay, t)
                expected[name] = np.asarray(call("textbook", optimizer.textbook, expected[name], *options))
            if expected[name].shape != shape:
                raise BrokenError("textbook", f"textbook gave shape {expected[name].shape}, expected {shape}")
        yield t, arena.params, expected
