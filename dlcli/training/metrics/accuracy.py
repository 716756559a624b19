"""Shares of samples: accuracy, error rate, and accuracy among the k largest scores."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

import numpy as np

from dlcli.core.arena import Array
from dlcli.core.options import Count, example
from dlcli.training.metric import Metric, metrics


@metrics.register
@dataclass(kw_only=True, eq=False)
class Accuracy(Metric):
    """accuracy = samples whose largest score is their class's / samples

    Scores (N, K), classes (N,); a tie counts for the lower class.

    Source: sklearn.metrics.accuracy_score
    """

    config_name: ClassVar[str] = "accuracy"
    task: ClassVar[str | None] = "classification"
    proportion: ClassVar[bool] = True
    examples: ClassVar = (example((3,)),)

    def sums(self, outputs: Array, targets: Array) -> Array:
        return np.array([np.count_nonzero(outputs.argmax(axis=1) == targets), len(targets)], np.float64)


@metrics.register
@dataclass(kw_only=True, eq=False)
class ErrorRate(Accuracy):
    """error_rate = samples whose largest score is another class's / samples = 1 - accuracy

    Scores (N, K), classes (N,); a tie counts for the lower class.

    Source: sklearn.metrics.zero_one_loss
    """

    config_name: ClassVar[str] = "error_rate"
    better: ClassVar[str] = "min"

    def sums(self, outputs: Array, targets: Array) -> Array:
        hits, samples = super().sums(outputs, targets)
        return np.array([samples - hits, samples])


@metrics.register
@dataclass(kw_only=True, eq=False)
class TopKAccuracy(Metric):
    """top_k_accuracy = samples whose class is among those with the k largest scores / samples

    Scores (N, K), classes (N,); a tie counts for the lower class, so k = 1 is `accuracy`, and k >= K gives 1.

    Source: sklearn.metrics.top_k_accuracy_score (where a tie counts for the higher class)
    """

    k: Count = 2

    config_name: ClassVar[str] = "top_k_accuracy"
    task: ClassVar[str | None] = "classification"
    proportion: ClassVar[bool] = True
    examples: ClassVar = (example((4,)), example((4,), k=1), example((4,), k=3))

    def sums(self, outputs: Array, targets: Array) -> Array:
        classes = outputs.shape[1]
        own = outputs[np.arange(len(targets)), targets, np.newaxis]
        later = np.arange(classes) > targets[:, np.newaxis]
        beaten = np.count_nonzero((outputs < own) | ((outputs == own) & later), axis=1)  # none where own is NaN
        return np.array([np.count_nonzero(beaten >= classes - self.k), len(targets)], np.float64)
