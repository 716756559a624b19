"""The samples of one split of a checkpoint's data, or of several checkpoints', which have to be the same."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from dlcli.core.arena import Array
from dlcli.core.errors import CheckpointError, DataError, quote
from dlcli.data.dataset import Access, DataInfo, Samples
from dlcli.experiment.data import Splits, load_data
from dlcli.experiment.opened import Opened
from dlcli.experiment.session import Note

KEPT = {
    "input_shape": "samples of shape",
    "input_names": "the columns",
    "class_names": "the classes",
    "classes": "the number of classes",
    "target_shape": "targets of shape",
}
"""What of the data a network is made for, in words."""


@dataclass(frozen=True)
class Split:
    """One split as it was read."""

    name: str
    samples: Samples
    info: DataInfo
    has_test: bool
    """Whether the data has a test split."""
    truth: dict[str, Array] | None
    """The generating parameters, where the data knows them."""


def load_split(members: Sequence[Opened], name: str | None, access: Access, note: Note) -> Split:
    """The split of that name, by default `val`, or `train` where nothing is held out.

    CheckpointError where the members of an ensemble have other samples in it: what one has held out, another may have
    been trained on.
    """
    splits = _loaded(members[0], access, note)
    name = name or ("val" if splits.val is not None else "train")
    found = Split(name, splits.named(name), splits.info, splits.test is not None, splits.truth)
    for opened in members[1:]:
        other = _loaded(opened, access, note)
        if not _same(name, splits, other):
            held_out = "what is held out follows from the seed; choose --split test"
            raise CheckpointError(
                f"{opened.path}: has other samples in its {name} split than {members[0].path}; "
                + (held_out if _same("test", splits, other) else "name runs on the same data")
            )
    return found


def _loaded(opened: Opened, access: Access, note: Note) -> Splits:
    """The data of a checkpoint; a warning where it has changed, DataError where it no longer fits the network."""
    splits, learned = load_data(opened.config, access), opened.info
    changed = [n for n, sha256 in splits.files.items() if opened.snapshot.meta.get("data", {}).get(n) != sha256]
    if changed:
        note(f"warning: the data has changed since the training: {', '.join(changed[:3])}")
    for field, words in KEPT.items():
        got, expected = getattr(splits.info, field), getattr(learned, field)
        if got != expected:
            raise DataError(
                f"data.dataset: got {words} {_said(got)}, expected {_said(expected)} as in the training of "
                f"{opened.path}; restore the data, or train anew"
            )
    return splits


def _said(fact: object) -> str:
    named = isinstance(fact, tuple) and any(isinstance(part, str) for part in fact)
    return ", ".join(map(quote, fact[:6])) if isinstance(fact, tuple) and named else str(fact).lower()


def _same(name: str, first: Splits, second: Splits) -> bool:
    """Whether a split has the same samples in both; of values as float32, since each config has its own dtype."""
    a, b = (getattr(splits, name) for splits in (first, second))
    if a is None or b is None or first.info.class_names != second.info.class_names:
        return False
    targets = [t if t.dtype.kind in "iu" else t.astype(np.float32) for t in (a.targets, b.targets)]
    return np.array_equal(a.inputs, b.inputs) and np.array_equal(*targets)
