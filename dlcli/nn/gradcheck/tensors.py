"""One tensor's row: random directions first; where they fail, entry by entry, to say where and how."""

from __future__ import annotations

import numpy as np

from dlcli.core.arena import Array
from dlcli.nn.gradcheck.report import Row, guess
from dlcli.nn.gradcheck.slopes import Method, direction

SKIPPED = 0.2
"""The largest share of directions that may be left out for their kinks."""

TRIES = 5
"""How many directions may be drawn for each that is wanted."""

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
    row.hint = guess(analytic, numeric, len(method.probe.x))
    return where[at : at + 1]
