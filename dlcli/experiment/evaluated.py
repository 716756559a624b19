"""What `eval` reports: figures with intervals, figures of each class, confusion matrix and worst samples."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np

from dlcli.core.arena import Array
from dlcli.experiment.opened import Opened
from dlcli.experiment.split import Split
from dlcli.training import journal
from dlcli.training.metrics import Metric, metrics, wilson
from dlcli.training.metrics.probabilities import softmax
from dlcli.training.report import per_class

MOST_CLASSES = 1000
"""Classes up to which they are told apart: a confusion matrix has their square in numbers."""


@dataclass(frozen=True)
class Figures:
    """The figures of one checkpoint, or of several together."""

    metrics: dict[str, float]
    intervals: dict[str, tuple[float, float]]
    """The Wilson interval at 95 % of each figure that is a share of samples."""

    @classmethod
    def of(cls, values: dict[str, float], sums: Mapping[str, Array], measured: Mapping[str, Metric]) -> Figures:
        """Figures with the intervals that their sums give."""
        shares = [name for name, metric in measured.items() if metric.proportion]
        return cls(values, {name: wilson(float(sums[name][0]), float(sums[name][1])) for name in shares})

    def document(self) -> dict[str, Any]:
        """As JSON has them."""
        return {"metrics": self.metrics, "intervals": {name: list(ends) for name, ends in self.intervals.items()}}


@dataclass(frozen=True)
class Evaluated:
    """One checkpoint, or several as one, evaluated on a split."""

    members: list[Opened]
    own: list[Figures]
    """Of each member alone."""
    figures: Figures
    """Of all together."""
    split: Split
    outputs: Array
    """What all together say of each sample: values (N, T), or scores (N, K) whose softmax are the probabilities."""
    comparison: dict[str, tuple[Array, Array]]
    """Generating and learned parameters by name, where the data knows them and the model is one Linear."""

    def document(self, worst: int = 0) -> dict[str, Any]:
        """The JSON of `eval --json`; what is not finite is null."""
        matrix = self.confusion()
        place = {"split": self.split.name, "samples": len(self.outputs)}
        found = {**named(self.members), **place, **self.figures.document()}
        if matrix is not None:
            found |= {"per_class": self.per_class(), "confusion": matrix.tolist()}
        if len(self.members) > 1:
            found["members"] = [figures.document() for figures in self.own]
        if worst:
            found["worst"] = self.worst(worst)
        return {key: journal.finite(value, key, {}) for key, value in found.items()}

    def rows(self) -> list[tuple[Opened, dict[str, Any]]]:
        """What is recorded with each member: its own figures, and of which ensemble it was a member, if of one."""
        files = {"ensemble": named(self.members)["checkpoint"]} if len(self.members) > 1 else {}
        size = {"samples": len(self.outputs)}
        return [(o, {**size, **f.document(), **files}) for o, f in zip(self.members, self.own, strict=True)]

    def confusion(self) -> Array | None:
        """How often class i (row) was taken for class j (column); None for values, and for too many classes."""
        if not self.split.info.classes or self.outputs.shape[1] > MOST_CLASSES:
            return None
        counts = metrics.get("confusion_matrix")()
        found: Array = counts.value(counts.sums(self.outputs, self.split.samples.targets))
        return found

    def per_class(self) -> list[dict[str, Any]]:
        """`class`, `precision`, `recall`, `f1` and `support`, the number of its samples, of each class."""
        matrix = self.confusion()
        if matrix is None:
            return []
        each = per_class(matrix)
        return [
            {"class": name, "precision": float(p), "recall": float(r), "f1": float(f1), "support": int(n)}
            for name, p, r, f1, n in zip(self.split.info.names, *each, strict=True)
        ]

    @np.errstate(all="ignore")
    def worst(self, n: int) -> list[dict[str, Any]]:
        """The n samples that the network is most wrong about: `index`, `target`, `predicted`.

        Of classes, those that it gives the least probability, among the ones taken for another, whose `probability`
        is told; of values, those farthest off.
        """
        outputs, targets = self.outputs, self.split.samples.targets
        if not self.split.info.classes:
            far = np.square(outputs.astype(np.float64) - targets).reshape(len(outputs), -1).sum(axis=1)
            order = np.argsort(-far, kind="stable")[:n]
            return [{"index": int(i), "target": targets[i].tolist(), "predicted": outputs[i].tolist()} for i in order]
        p, taken, names = softmax(outputs), outputs.argmax(axis=1), self.split.info.names
        wrong = np.flatnonzero(taken != targets)
        order = wrong[np.argsort(p[wrong, targets[wrong]], kind="stable")][:n]
        return [
            {
                "index": int(i),
                "target": names[targets[i]],
                "predicted": names[taken[i]],
                "probability": float(p[i, taken[i]]),
            }
            for i in order
        ]


def named(members: list[Opened]) -> dict[str, Any]:
    """`run` and `checkpoint` as JSON names them: paths, and lists of paths for an ensemble."""
    found: dict[str, list[Any]] = {
        "run": [str(opened.run.path) if opened.run else None for opened in members],
        "checkpoint": [str(opened.path) for opened in members],
    }
    return found if len(members) > 1 else {key: paths[0] for key, paths in found.items()}
