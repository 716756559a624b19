"""One tensor's gradient: random directions or every entry; where they fail, where and how; and planted errors."""

from __future__ import annotations

import numpy as np

from dlcli.core.arena import Array
from dlcli.nn.gradcheck.report import Row, guess
from dlcli.nn.gradcheck.slopes import Method, direction

SKIPPED = 0.2
"""The largest share of directions that may be left out for their kinks."""

TRIES = 5
"""How many directions may be drawn for each that is wanted."""

PLANTED = 1.001
"""The factor of a planted error."""

ZERO = 1e-12
"""What is as small beside the largest gradient is round-off."""

ENTRIES = 256
"""How many entries of a failing tensor are looked at one by one; a larger tensor is halved first."""


def survey(method: Method, name: str, rng: np.random.Generator, directions: int) -> tuple[float, int]:
    """(largest relative error, directions left out for their kinks); infinite where too many are."""
    clean, kinks, worst = 0, 0, 0.0
    size = method.probe.tensors[name].size
    while clean < directions or kinks > SKIPPED * (clean + kinks):
        if clean + kinks == TRIES * directions:
            return float("inf"), kinks
        slope = method.slope(name, slice(None), direction(rng, size))
        if slope.kink:
            kinks += 1
        else:
            clean += 1
            worst = max(worst, slope.error)
    return worst, kinks


def every(method: Method, name: str) -> tuple[float, int]:
    """The same over all entries, each by itself."""
    size = method.probe.tensors[name].size
    slopes = [method.slope(name, slice(i, i + 1), np.ones(1)) for i in range(size)]
    kinks = sum(slope.kink for slope in slopes)
    if kinks > SKIPPED * size:
        return float("inf"), kinks
    return max((slope.error for slope in slopes if not slope.kink), default=0.0), kinks


def proof(method: Method, name: str, rng: np.random.Generator, directions: int, held: float) -> str:
    """Whether the method finds an error of 0.1 % in all of a gradient, and one in its largest entry alone.

    `found` or `missed`; `zero` where there is nothing to scale but round-off; `small` where the gradient is so small
    beside the loss that the method's own round-off hides the error.
    """
    gradient = method.gradients[name]
    largest = max(float(np.abs(g).max(initial=0)) for g in method.gradients.values())
    if np.abs(gradient).max(initial=0) <= ZERO * largest:
        return "zero"
    if (PLANTED - 1) * np.sqrt(np.mean(gradient**2)) <= 10 * held * method.floor:
        return "small"
    everywhere, _ = survey(method.planted(name, PLANTED * gradient), name, rng, directions)
    return "found" if everywhere > held and _one(method, name, held) else "missed"


def _one(method: Method, name: str, held: float) -> bool:
    """Whether an error in the largest entry alone is found; in the next one, where a kink keeps it from being seen."""
    gradient = method.gradients[name]
    for at in np.argsort(-np.abs(gradient), axis=None)[:TRIES]:
        planted = gradient.copy()
        planted.flat[at] *= PLANTED
        slope = method.planted(name, planted).slope(name, slice(at, at + 1), np.ones(1))
        if not slope.kink:
            return slope.error > held
    return False


def localise(row: Row, method: Method, name: str, rng: np.random.Generator) -> Array:
    """Fill in the failing row's worst entry and what the whole failure looks like; gives the entry's place."""
    tensor = method.probe.tensors[name]
    where: Array = np.arange(tensor.size)
    while where.size > ENTRIES:  # the half that disagrees more along a random direction
        halves = np.array_split(where, 2)
        slopes = [method.slope(name, half, direction(rng, half.size)) for half in halves]
        where = halves[int(np.argmax([abs(s.analytic - s.numeric) for s in slopes]))]
    found = [method.slope(name, where[i : i + 1], np.ones(1)) for i in range(where.size)]
    errors = [0.0 if s.kink else s.error for s in found]
    at = int(np.argmax(errors))
    worst = found[at]
    row.worst = tuple(int(i) for i in np.unravel_index(int(where[at]), tensor.shape))
    row.analytic, row.numeric = worst.analytic, worst.numeric
    row.ratio = worst.analytic / worst.numeric if worst.numeric else None
    analytic = np.array([s.analytic for s in found])
    numeric = np.array([s.analytic if s.kink else s.numeric for s in found])
    if where.size == tensor.size:
        analytic, numeric = analytic.reshape(tensor.shape), numeric.reshape(tensor.shape)
    outputs = tensor.size // len(method.probe.x) if name == "input" else 1
    row.hint = guess(analytic, numeric, len(method.probe.x), outputs)
    return where[at : at + 1]
