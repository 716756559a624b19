"""The confusion matrix."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import ClassVar

import numpy as np

from dlcli.core.arena import Array
from dlcli.core.options import example
from dlcli.training.metric import Metric, metrics


@metrics.register
@dataclass(kw_only=True, eq=False)
class ConfusionMatrix(Metric):
    """confusion_matrix = (K, K) counts of the samples of class i (row) that are taken for class j (column)

    Scores (N, K), classes (N,); a sample is taken for the class of its largest score, of the lower one in a tie.

    Source: sklearn.metrics.confusion_matrix
    """

    config_name: ClassVar[str] = "confusion_matrix"
    task: ClassVar[str | None] = "classification"
    scalar: ClassVar[bool] = False
    examples: ClassVar = (example((3,)),)

    def sums(self, outputs: Array, targets: Array) -> Array:
        k = outputs.shape[1]
        return np.bincount(targets.astype(np.intp) * k + outputs.argmax(axis=1), minlength=k * k).astype(np.float64)

    def value(self, sums: Array) -> Array:
        return sums.reshape(-1, math.isqrt(len(sums))).astype(np.int64)
