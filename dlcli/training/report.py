"""Precision, recall and F1 of each class, read off a confusion matrix."""

from __future__ import annotations

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
    """Figures of each class from counts (K, K), class i (row) taken for class j (column); 0 where one is 0 / 0.

    precision = hits / predicted,  recall = hits / support,  f1 = 2 * hits / (predicted + support)

    Source: sklearn.metrics.precision_recall_fscore_support with zero_division=0
    """
    hits, predicted, support = np.diag(matrix), matrix.sum(axis=0), matrix.sum(axis=1).astype(np.float64)
    return PerClass(share(hits, predicted), share(hits, support), share(2 * hits, predicted + support), support)


def share(part: Array, whole: Array) -> Array:
    """part / whole by element in float64, 0 where the whole is 0."""
    return np.divide(part, whole, out=np.zeros(np.shape(whole)), where=np.asarray(whole) > 0)
