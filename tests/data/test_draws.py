"""Random numbers by counting: SplitMix64, uniform, and independent of what stands beside them."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from dlcli.data.augment.draws import Draws

MASK = (1 << 64) - 1


def textbook(state: int) -> int:
    """The output of SplitMix64 for one state, as in the paper's listing."""
    z = state
    z = ((z ^ (z >> 30)) * 0xBF58476D1CE4E5B9) & MASK
    z = ((z ^ (z >> 27)) * 0x94D049BB133111EB) & MASK
    return z ^ (z >> 31)


def test_the_words_are_those_of_splitmix64() -> None:
    gamma, key, rows = 0x9E3779B97F4A7C15, MASK - 5, [0, 3, 59_999]
    starts = [textbook((key + (r + 1) * gamma) & MASK) for r in rows]
    wanted = [[textbook((s + (k + 1) * gamma) & MASK) for k in range(5)] for s in starts]
    draws = Draws(key, np.array(rows))
    first, second = draws.words(2), draws.words(3)
    assert np.concatenate([first, second], axis=1).tolist() == wanted
    # the reference implementation's first output for the seed 0
    assert textbook(gamma) == 0xE220A8397B1DCDAF


ROWS = np.arange(20_000)
KINDS: dict[str, Any] = {
    "uniform": (lambda d: d.uniform(*[(0, 1)] * 4).T, lambda v: v),
    "rough": (lambda d: d.rough(4), lambda v: (v + 1) / 2),
}


@pytest.mark.parametrize("kind", KINDS)
def test_numbers_are_uniform_and_independent(kind: str) -> None:
    draw, unit = KINDS[kind]
    a, b = (unit(draw(Draws(key, ROWS))) for key in (1, 2))
    counts = np.stack([np.histogram(column, 100, (0, 1))[0] for column in (*a.T, *b.T)])
    chi_squared = np.square(counts - 200.0).sum(axis=1) / 200
    assert ((chi_squared > 50) & (chi_squared < 160)).all()  # 99 degrees of freedom: 99 +- 14
    columns = np.concatenate([a, b, np.roll(a, 1, axis=0)], axis=1)
    correlations = np.corrcoef(columns.T)[~np.eye(12, dtype=bool)]
    assert np.abs(correlations).max() < 5 / np.sqrt(len(ROWS))


def test_normal_numbers_are_normal() -> None:
    values = Draws(3, ROWS).normal(7)
    assert (values.shape, values.dtype) == ((20_000, 7), np.float32)
    np.testing.assert_allclose(np.cov(values.T), np.eye(7), atol=0.04)
    inside = [np.mean(np.abs(values) < bound) for bound in (0.5, 1, 2, 3)]
    np.testing.assert_allclose(inside, [0.3829, 0.6827, 0.9545, 0.9973], atol=0.005)
    assert abs(float(values.mean())) < 0.01


def test_whole_numbers_keep_to_their_ends() -> None:
    two, one = Draws(4, ROWS).integers((-2, 2), (7, 7))
    values, counts = np.unique(two, return_counts=True)
    assert values.tolist() == [-2, -1, 0, 1, 2]
    assert (np.abs(counts - 4000) < 300).all()
    assert (one == 7).all()


def test_numbers_stay_within_their_ranges() -> None:
    a, b = Draws(5, ROWS).uniform((-3.0, -1.0), (2.5, 2.5))
    assert (a >= -3).all()
    assert (a < -1).all()
    assert (b == 2.5).all()
