"""The engine of `predict`: what checkpoints say of samples in files, or of the data that they know."""

from __future__ import annotations

import csv
import io
import re
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from dlcli.core.arena import Array
from dlcli.core.errors import CheckpointError, UsageError, quote
from dlcli.data.batches import Normalizer
from dlcli.data.dataset import Access, Samples
from dlcli.data.inputs import read_inputs
from dlcli.experiment.ensemble import together
from dlcli.experiment.evaluate import note_broken, restore
from dlcli.experiment.evaluated import named
from dlcli.experiment.opened import Opened
from dlcli.experiment.session import Note
from dlcli.experiment.split import KEPT, load_split
from dlcli.nn.loss import Loss
from dlcli.training import journal
from dlcli.training.evaluate import Evaluator
from dlcli.training.metrics.probabilities import softmax


@dataclass(frozen=True)
class Given:
    """The samples to predict."""

    places: list[tuple[str, int]]
    """Where each one comes from: a file or a split, and its index in there."""
    inputs: Array
    targets: Array | None = None
    split: str | None = None


@dataclass(frozen=True)
class Predicted:
    """What the checkpoints, several of them as one, say of each sample."""

    members: list[Opened]
    given: Given
    outputs: Array
    """Values (N, T), or scores (N, K) whose softmax are the probabilities of the classes."""
    class_names: tuple[str, ...]
    """What the classes are called; none for values."""

    def rows(self) -> list[dict[str, Any]]:
        """`input`, `index`, `target` where it is known; `class`, `probability`, `probabilities`, or `values`."""
        targets, found = self._targets(), self._classes() if self.class_names else self._values()
        rows = [{"input": source, "index": index} for source, index in self.given.places]
        return [{**row, **targets[i], **said} for i, (row, said) in enumerate(zip(rows, found, strict=True))]

    def document(self) -> dict[str, Any]:
        """The JSON of `predict --json`; what is not finite is null."""
        found = {"split": self.given.split, "samples": len(self.outputs), "predictions": self.rows()}
        return named(self.members) | {key: journal.finite(value, key, {}) for key, value in found.items()}

    def csv(self) -> str:
        """The table of `predict --csv`: a line of names, then one for each sample."""
        flat = [dict(_flat(row)) for row in self.rows()]
        text = io.StringIO()
        writer = csv.DictWriter(text, list(flat[0]), lineterminator="\n")
        writer.writeheader()
        writer.writerows(flat)
        return text.getvalue()

    def opening(self) -> list[tuple[Opened, dict[str, Any]]]:
        """What is recorded with each checkpoint where the samples are those of the test split."""
        row = {"samples": len(self.outputs), "metrics": {}, "command": "predict"}
        return [(opened, row) for opened in self.members] if self.given.split == "test" else []

    def _targets(self) -> list[dict[str, Any]]:
        y, names = self.given.targets, self.class_names
        if y is None:
            return [{}] * len(self.outputs)
        return [{"target": names[label] if names else label} for label in y.tolist()]

    def _classes(self) -> list[dict[str, Any]]:
        with np.errstate(all="ignore"):
            rows = softmax(self.outputs).tolist()
        taken, names = self.outputs.argmax(axis=1).tolist(), self.class_names
        return [
            {"class": names[k], "probability": p[k], "probabilities": dict(zip(names, p, strict=True))}
            for p, k in zip(rows, taken, strict=True)
        ]

    def _values(self) -> list[dict[str, Any]]:
        return [{"values": row} for row in self.outputs.tolist()]


def _flat(row: dict[str, Any]) -> list[tuple[str, Any]]:
    """The cells of a row by column: `p_7` for the probability of class 7, `value_0` where there are several values."""
    cells: list[tuple[str, Any]] = []
    for key, value in row.items():
        if isinstance(value, dict):
            cells += [(f"p_{name}", p) for name, p in value.items()]
        elif isinstance(value, list):
            one = key.removesuffix("s")
            cells += [(one if len(value) == 1 else f"{one}_{i}", v) for i, v in enumerate(value)]
        else:
            cells.append((key, value))
    return cells


def from_files(members: Sequence[Opened], files: Sequence[str]) -> Given:
    """The samples in files, which need no data set; DataError where one does not hold what the network takes."""
    info = members[0].info
    read = [(file, read_inputs(Path(file), info.input_shape or (), info.input_names)) for file in files]
    places = [(file, i) for file, inputs in read for i in range(len(inputs))]
    return Given(places, np.concatenate([inputs for _, inputs in read]))


def from_split(members: Sequence[Opened], wanted: Sequence[str], name: str | None, access: Access, note: Note) -> Given:
    """Samples of the checkpoints' data by their indices: each `wanted` is one, such as `7`, or `3-7`."""
    ranges = [_range(text) for text in wanted]
    split = load_split(members, name, access, note)
    inputs, targets = split.samples
    beyond = next((r.stop - 1 for r in ranges if r.stop > len(inputs)), None)
    if beyond is not None:
        size = f"{len(inputs):,} samples of the {split.name} split"
        raise UsageError(f"--index: got {beyond}, expected 0 to {len(inputs) - 1} for the {size}")
    rows = [i for r in ranges for i in r]
    return Given([(split.name, i) for i in rows], inputs[rows], targets[rows], split.name)


def _range(text: str) -> range:
    found = re.fullmatch(r"(\d{1,18})(?:-(\d{1,18}))?", text, re.ASCII)
    first, last = (int(found[1]), int(found[2] or found[1])) if found else (1, 0)
    if last < first:
        raise UsageError(f"--index: got {quote(text)}, expected an index such as 7, or a range such as 3-7")
    return range(first, last + 1)


def predict(members: list[Opened], given: Given, threads: int, note: Note) -> Predicted:
    """What the checkpoints say of the samples, each through its own normalisation.

    CheckpointError where they do not all take the same samples for the same classes or values.
    """
    info, found = members[0].info, []
    for opened in members:
        if any(getattr(opened.info, field) != getattr(info, field) for field in KEPT):
            raise CheckpointError(
                f"{opened.path}: takes other samples, or tells other classes, than {members[0].path}; "
                "name runs on the same data"
            )
        network, normalizer = restore(opened)
        samples = Samples(given.inputs, np.zeros(len(given.inputs), np.uint8))
        loss: Loss = opened.config.loss.build()
        loss.of_classes = bool(info.names)
        found.append(Evaluator(network, loss, {}, samples, normalizer, threads).outputs())
    if info.image:
        _note_scale(given.inputs, normalizer, note)
    outputs = together(found, bool(info.names))
    note_broken(outputs, note)
    return Predicted(members, given, outputs, info.names)


def _note_scale(images: Array, normalizer: Normalizer, note: Note) -> None:
    """A warning where images seem to be scaled to [0, 1] before the normalisation scales them again."""
    spread = float(normalizer.std.max())
    if images.dtype.kind == "f" and spread > 1 and images.min() >= 0 and images.max() <= 1:
        note(
            f"warning: all pixels are from 0 to 1, in the training their deviation was {spread:.3g}; give raw pixels, "
            "the checkpoint's normalisation is applied to them"
        )
