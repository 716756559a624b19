"""Figures of each class, averaged over the classes: balanced accuracy, precision, recall and F1."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar, Literal

import numpy as np

from dlcli.core.arena import Array
from dlcli.core.options import example
from dlcli.training.metric import Metric, metrics, ratio
from dlcli.training.report import PerClass, from_counts


@dataclass(kw_only=True, eq=False)
class ClassMean(Metric):
    """A mean over classes; its sums are hits, predictions and samples of each of the K classes, (3 * K,)."""

    task: ClassVar[str | None] = "classification"

    def sums(self, outputs: Array, targets: Array) -> Array:
        classes, taken = outputs.shape[1], outputs.argmax(axis=1)
        counted = (targets[taken == targets], taken, targets)
        return np.concatenate([np.bincount(c, minlength=classes) for c in counted]).astype(np.float64)


@metrics.register
@dataclass(kw_only=True, eq=False)
class BalancedAccuracy(ClassMean):
    """balanced_accuracy = mean over the classes in the targets of hits of the class / samples of the class

    Scores (N, K), classes (N,); a sample is taken for the class of its largest score, of the lower one in a tie.

    Source: sklearn.metrics.balanced_accuracy_score
    """

    config_name: ClassVar[str] = "balanced_accuracy"
    examples: ClassVar = (example((3,)),)

    def value(self, sums: Array) -> float:
        each = from_counts(*sums.reshape(3, -1))
        return ratio(float(each.recall.sum()), int(np.count_nonzero(each.support)))


@dataclass(kw_only=True, eq=False)
class Averaged(ClassMean):
    """A figure of each class, in the mean over the classes that `average` names."""

    average: Literal["macro", "micro", "weighted"] = "macro"

    examples: ClassVar = (example((3,)), example((3,), average="micro"), example((3,), average="weighted"))

    def value(self, sums: Array) -> float:
        hits, predicted, support = sums.reshape(3, -1)
        if self.average == "micro":
            hits, predicted, support = (counts.sum(keepdims=True) for counts in (hits, predicted, support))
        weight = support if self.average == "weighted" else predicted + support > 0
        return ratio(float(self.figure(from_counts(hits, predicted, support)) @ weight), float(weight.sum()))

    def figure(self, each: PerClass) -> Array:
        """The one of the figures of each class that is averaged."""
        raise NotImplementedError


@metrics.register
@dataclass(kw_only=True, eq=False)
class Precision(Averaged):
    """precision = hits of a class / samples taken for it, averaged over the classes

    Scores (N, K), classes (N,); a sample is taken for the class of its largest score, of the lower one in a tie. A
    class that no sample is taken for counts 0.
    average: `macro`, the mean over the classes in the targets or predictions; `weighted`, each class weighted by its
    samples; `micro`, hits over samples of all classes together, which is the accuracy.

    Source: sklearn.metrics.precision_score with zero_division=0
    """

    config_name: ClassVar[str] = "precision"

    def figure(self, each: PerClass) -> Array:
        return each.precision


@metrics.register
@dataclass(kw_only=True, eq=False)
class Recall(Averaged):
    """recall = hits of a class / samples of it, averaged over the classes

    Scores (N, K), classes (N,); a sample is taken for the class of its largest score, of the lower one in a tie. A
    class that is predicted but has no samples counts 0 (unlike in `balanced_accuracy`).
    average: `macro`, the mean over the classes in the targets or predictions; `weighted`, each class weighted by its
    samples; `micro`, hits over samples of all classes together, which is the accuracy.

    Source: sklearn.metrics.recall_score with zero_division=0
    """

    config_name: ClassVar[str] = "recall"

    def figure(self, each: PerClass) -> Array:
        return each.recall


@metrics.register
@dataclass(kw_only=True, eq=False)
class F1(Averaged):
    """f1 = 2 * hits of a class / (samples taken for it + samples of it), averaged over the classes

    The harmonic mean of precision and recall. Scores (N, K), classes (N,); a sample is taken for the class of its
    largest score, of the lower one in a tie.
    average: `macro`, the mean over the classes in the targets or predictions; `weighted`, each class weighted by its
    samples; `micro`, from the counts of all classes together, which is the accuracy.

    Source: sklearn.metrics.f1_score with zero_division=0
    """

    config_name: ClassVar[str] = "f1"

    def figure(self, each: PerClass) -> Array:
        return each.f1
