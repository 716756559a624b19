"""Checkpoints: the whole state of a run in one file that is complete or absent, and the folder that keeps the last few.

Why one file: one rename is then one state, and no two files can disagree. It holds nothing that differs between two
runs of one config (no name, host or time), so their checkpoints are equal to the byte.
"""

from __future__ import annotations

import os
import re
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from dlcli.core import fsio
from dlcli.core.arena import Array
from dlcli.core.errors import CheckpointError, DlcliError, OutputError, quote, reason
from dlcli.training import archive

BEST = "best.npz"
BAD = "bad"
"""The folder inside the checkpoints folder for files that did not validate; nothing in it is read or deleted."""

STEP_FILE = re.compile(r"step-(\d{9,18})\.npz")

IS_BEST = "is_best"
"""Whether a checkpoint was the best so far, so that a save stopped before its `best.npz` can be completed."""

COUNTERS = {"step": 2**63, "epoch": 2**63, "batch_in_epoch": 2**63, "metrics_lines": 2**63, "seed": 2**64}
"""The whole numbers that every checkpoint has, with the bound that each stays below."""

Note = Callable[[str], None]


@dataclass(eq=False)
class Snapshot:
    """The state of a run between two steps.

    `meta` is JSON: the `COUNTERS`, `config` (normalised), `config_sha256`, and whatever else the loop needs to go on.
    `arrays` are named as in PyTorch's `state_dict` (`0.weight`), optimizer slots `optim.<slot>.<parameter>`.
    """

    meta: dict[str, Any]
    arrays: dict[str, Array]

    @property
    def step(self) -> int:
        """How many optimizer steps were made."""
        return int(self.meta["step"])


def encode(snapshot: Snapshot) -> bytes:
    """The bytes of a checkpoint, a function of the snapshot alone. Raises DivergedError unless all is finite."""
    return archive.pack(snapshot.meta, snapshot.arrays)


def decode(data: bytes, where: str) -> Snapshot:
    """The snapshot in the bytes of a checkpoint; the only way in. Raises CheckpointError, one line, for any damage."""
    meta, arrays = archive.unpack(data, where)
    for key, bound in COUNTERS.items():
        if type(meta.get(key)) is not int or not 0 <= meta[key] < bound:
            got = quote(meta.get(key))
            raise CheckpointError(f"{where}: {key} is {got}, expected a whole number from 0 to {bound - 1}")
    for key, kind in (("config_sha256", str), ("config", dict)):
        if type(meta.get(key)) is not kind:
            raise CheckpointError(f"{where}: {key} is {quote(meta.get(key))}, expected a {kind.__name__}")
    return Snapshot(meta, arrays)


def read(path: Path) -> Snapshot:
    """The snapshot in a file, whose name, where it names a step, tells the truth."""
    snapshot = decode(fsio.read_regular(path, archive.MAX_SIZE, CheckpointError), str(path))
    named = STEP_FILE.fullmatch(path.name)
    if named and int(named[1]) != snapshot.step:
        raise CheckpointError(f"{path}: holds step {snapshot.step}, expected step {int(named[1])} as in its name")
    return snapshot


def check_fit(arrays: Mapping[str, Array], expected: Mapping[str, tuple[tuple[int, ...], Any]], where: str) -> None:
    """Raises CheckpointError unless `arrays` has exactly the names, shapes and dtypes that `expected` maps to."""
    for name in sorted(arrays.keys() ^ expected.keys()):
        problem = "is missing" if name in expected else "has no place in this model"
        raise CheckpointError(f"{where}: array {quote(name)} {problem}; use the config that it was trained with")
    for name, (shape, dtype) in expected.items():
        got, want = (arrays[name].shape, arrays[name].dtype), (tuple(shape), np.dtype(dtype))
        if got != want:
            problem = f"got {got[0]} {got[1]}, expected {want[0]} {want[1]}"
            raise CheckpointError(f"{where}: array {quote(name)}: {problem}; use the config that it was trained with")


def path_of(folder: Path, step: int) -> Path:
    """Where the checkpoint of a step stands."""
    return folder / f"step-{step:09d}.npz"


def steps(folder: Path, failure: type[DlcliError] = CheckpointError) -> list[tuple[int, Path]]:
    """The checkpoints of a folder by step, oldest first, by their names alone. Raises `failure`."""
    try:
        names = {path.name for path in folder.iterdir()}
    except FileNotFoundError:
        return []
    except OSError as error:
        raise failure(f"{folder}: cannot read: {reason(error)}") from error
    found = sorted({int(match[1]) for name in names if (match := STEP_FILE.fullmatch(name))})
    return [(step, path_of(folder, step)) for step in found if path_of(folder, step).name in names]


def save(folder: Path, snapshot: Snapshot, keep: int, best: bool, note: Note) -> Path:
    """Writes a checkpoint so that a crash, a kill or a power cut at any moment damages no other, and returns its path.

    With `best` it also becomes `best.npz`, which `IS_BEST` in its meta says too. Only when all that is on disk are
    older checkpoints of this config deleted, so that `keep` are left; one that cannot be deleted is noted, no more.
    Raises DivergedError, before anything is written, or OutputError; the checkpoints before stay as they were.
    """
    fsio.point("save")
    path = path_of(folder, snapshot.step)
    data = encode(Snapshot({**snapshot.meta, IS_BEST: best}, snapshot.arrays))
    decode(data, str(path))  # what will be read is what is written: also catches bad memory
    before = steps(folder, OutputError)
    survives = f"last good checkpoint: step {before[-1][0]}" if before else "no checkpoint before this one"
    fsio.write_atomic(path, data, survives)
    if best:
        _make_best(path)
    _prune([p for step, p in before if step < snapshot.step], snapshot.meta["config_sha256"], keep - 1, note)
    fsio.point("saved")
    return path


def newest(folder: Path, config_sha256: str | None, note: Note, *, owner: bool = False) -> tuple[Path, Snapshot] | None:
    """The newest checkpoint that is intact and of this config (None: of any); None where the folder has none at all.

    Each damaged one on the way gives a note. An `owner`, who holds the run's lock, also moves those to `BAD`, deletes
    unfinished files, and completes a save that was stopped before its `best.npz`; a reader changes nothing.
    Raises CheckpointError, a line per file, if none is good.
    """
    if owner:
        fsio.sweep(folder)
    damaged: dict[Path, str] = {}
    foreign: dict[Path, str] = {}
    for path, snapshot in _intact(folder, damaged):
        if config_sha256 not in (None, snapshot.meta["config_sha256"]):
            foreign[path] = f"{path}: belongs to another config"
            continue
        for bad, problem in damaged.items():
            note(problem + (_set_aside(bad) if owner else "") + f"; using {path.name}")
        if owner and snapshot.meta.get(IS_BEST):
            _make_best(path)
        return path, snapshot
    if damaged or foreign:
        raise CheckpointError(*damaged.values(), *foreign.values())
    return None


def _intact(folder: Path, damaged: dict[Path, str]) -> Iterator[tuple[Path, Snapshot]]:
    """The intact checkpoints of a folder, newest first; the others go to `damaged`."""
    vanished = True
    while vanished:  # a running process deletes old checkpoints, having written newer ones: look again
        vanished = False
        for _, path in reversed(steps(folder)):
            try:
                snapshot = read(path)
            except CheckpointError as error:
                if os.path.lexists(path):
                    damaged[path] = str(error)
                else:
                    vanished = True
            else:
                yield path, snapshot


def _make_best(path: Path) -> None:
    best = path.parent / BEST
    try:
        if not (best.exists() and best.samefile(path)):
            fsio.link_atomic(path, best)
    except OSError:  # a filesystem without hard links: a second copy
        fsio.write_atomic(best, fsio.read_regular(path, archive.MAX_SIZE, OutputError), f"{path} is complete")


def _set_aside(path: Path) -> str:
    folder = path.parent / BAD
    target, n = folder / path.name, 1
    while os.path.lexists(target):
        target, n = folder / f"{path.name}.{n}", n + 1
    try:
        fsio.make_dirs(folder)
        fsio.replace(path, target)
    except (OSError, OutputError):
        return ""
    return f"; moved to {BAD}/{target.name}"


def _prune(older: list[Path], config_sha256: str, keep: int, note: Note) -> None:
    """Deletes all of `older` (ascending) that are of this config but the last `keep`, the oldest first."""
    ours = [path for path in older if _config_of(path) == config_sha256]
    for path in ours[: max(0, len(ours) - keep)]:
        try:
            fsio.unlink(path)
        except OSError as error:
            note(f"{path}: cannot delete this old checkpoint: {reason(error)}")


def _config_of(path: Path) -> str | None:
    """The config's hash in a checkpoint, of which only the description is read; None where that is damaged."""
    try:
        head = fsio.read_regular(path, archive.MAX_SIZE, CheckpointError, first=archive.MAX_META)
        return str(archive.unpack_meta(head, "")["config_sha256"])
    except (CheckpointError, KeyError):
        return None
