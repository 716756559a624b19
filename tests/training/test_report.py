"""Figures of each class against scikit-learn."""

from __future__ import annotations

import numpy as np
import pytest
import sklearn.metrics

from dlcli.training.report import per_class


def test_of_a_small_matrix() -> None:
    found = per_class(np.array([[3, 1, 0], [2, 4, 0], [0, 0, 0]]))
    assert found.precision.tolist() == [3 / 5, 4 / 5, 0]
    assert found.recall.tolist() == [3 / 4, 4 / 6, 0]
    assert found.f1.tolist() == [6 / 9, 8 / 11, 0]
    assert found.support.tolist() == [4, 6, 0]


@pytest.mark.parametrize("seed", range(5))
def test_equals_scikit_learn(seed: int) -> None:
    rng = np.random.default_rng(seed)
    targets, taken = rng.integers(0, 4, (2, 30)) + rng.integers(0, 3, (2, 1))
    matrix = np.bincount(targets * 7 + taken, minlength=49).reshape(7, 7)
    wanted = sklearn.metrics.precision_recall_fscore_support(targets, taken, labels=np.arange(7), zero_division=0)
    np.testing.assert_allclose(per_class(matrix), wanted, rtol=1e-14)
