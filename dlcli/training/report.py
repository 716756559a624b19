"""What counts of samples tell: precision, recall and F1 of each class, and the interval of a proportion."""

from __future__ import annotations

import math
from typing import NamedTuple

import numpy as np

from dlcli.core.arena import Array


class PerClass(NamedTuple):
    """Figures of the K classes, each (K,) in float64."""

    precision: Array
    recall: Array
    f1: Array
    support: Array
    """Samples of the class."""


def per_class(matrix: Array) -> PerClass:
    """Figures of each class from counts (K, K) of class i (row) taken for class j (column)."""
    return from_counts(np.diag(matrix), matrix.sum(axis=0), matrix.sum(axis=1))


def from_counts(hits: Array, predicted: Array, support: Array) -> PerClass:
    """Figures of each class from its hits, the samples taken for it and the samples of it, (K,) each; 0 for 0 / 0.

    precision = hits / predicted,  recall = hits / support,  f1 = 2 * hits / (predicted + support)

    Source: sklearn.metrics.precision_recall_fscore_support with zero_division=0
    """

    def share(part: Array, whole: Array) -> Array:
        return np.divide(part, whole, out=np.zeros(len(whole)), where=whole > 0)

    return PerClass(
        share(hits, predicted),
        share(hits, support),
        share(2 * hits, predicted + support),
        support.astype(np.float64, copy=False),
    )


def wilson(successes: float, n: float, z: float = 1.959963984540054) -> tuple[float, float]:
    """The Wilson score interval of a proportion, by default at 95 %.

    (p + z**2 / 2n +- z sqrt(p (1 - p) / n + z**2 / 4n**2)) / (1 + z**2 / n),  p = successes / n; (0, 1) where n = 0

    Source: Wilson 1927, "Probable inference, the law of succession, and statistical inference",
    https://doi.org/10.1080/01621459.1927.10502953
    """
    if n == 0:
        return (0.0, 1.0)
    p = successes / n
    middle = p + z * z / (2 * n)
    half = z * math.sqrt(p * (1 - p) / n + z * z / (4 * n * n))
    low, high = ((middle + side) / (1 + z * z / n) for side in (-half, half))
    return (max(0.0, min(low, p)), min(1.0, max(high, p)))  # of 0 and 1 rounding would leave out p itself
