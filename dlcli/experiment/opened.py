"""The checkpoint that a user means, with its config."""

from __future__ import annotations

import json
import os
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import get_type_hints

from dlcli import runs
from dlcli.config.load import parse_config
from dlcli.config.schema import Config
from dlcli.core import fsio
from dlcli.core.errors import CheckpointError, ConfigError, UsageError, quote
from dlcli.core.values import plain
from dlcli.data.dataset import DataInfo
from dlcli.data.inputs import is_input
from dlcli.experiment.plugins import load_components, require_code
from dlcli.experiment.session import Note
from dlcli.runs import Run
from dlcli.training import archive, checkpoint
from dlcli.training.checkpoint import Snapshot

STEP = re.compile(r"[0-9]{1,18}")
"""How the step of a checkpoint is asked for."""


@dataclass(frozen=True)
class Opened:
    """A checkpoint with everything built that its config names."""

    path: Path
    run: Run | None
    snapshot: Snapshot
    config: Config

    @property
    def name(self) -> Path:
        """What a command line calls it: its run, which stands for its best checkpoint, else the file."""
        return self.run.path if self.run is not None and self.path.name == checkpoint.BEST else self.path

    @property
    def info(self) -> DataInfo:
        """What the data was like that the network was trained on; CheckpointError where it is not told."""
        try:
            found = self.snapshot.meta["info"]
            info = DataInfo(**{name: plain(kind, found[name]) for name, kind in get_type_hints(DataInfo).items()})
            if min(info.input_shape or (), default=0) < 1 or len(info.names) != (info.classes or 0):
                raise ValueError
            return info
        except (KeyError, TypeError, ValueError):
            raise CheckpointError(
                f"{self.path}: does not tell what a sample is; use the dlcli that wrote it, or train anew"
            ) from None


def open_checkpoint(name: str | None, which: str | None, parent: Path, code: Sequence[str], note: Note) -> Opened:
    """The checkpoint that a user means: a file, or that of a run (`best`, `last`, a step, or a path)."""
    return open_checkpoints([] if name is None else [name], which, parent, code, note)[0]


def open_checkpoints(
    names: Sequence[str], which: str | None, parent: Path, code: Sequence[str], note: Note
) -> list[Opened]:
    """The checkpoints that a user means, each once; without a name that of the newest run."""
    hashes = load_components(code, note)
    if len(names) > 1 and which is not None and _is_path(which):
        raise UsageError(f"--checkpoint {quote(which)} together with {len(names)} runs; give best, last or a step")
    chosen: Sequence[str | None] = names or [None]
    found = [_open(name, which, parent, hashes, note) for name in chosen]
    files = [str(fsio.nearby(opened.path.resolve())) for opened in found]
    for name, file in zip(names, files, strict=False):
        if files.count(file) > 1:
            raise UsageError(f"{quote(name)}: its checkpoint {file} is named twice; give each once")
    return found


def is_model(word: str) -> bool:
    """Whether a word of the command line names a run or a checkpoint, rather than a file to read as data."""
    if not os.path.isfile(word):  # noqa: PTH113 - any text may come here
        return os.path.isdir(word) or not is_input(word)  # noqa: PTH112
    try:
        head = fsio.read_regular(Path(word), archive.MAX_SIZE, CheckpointError, first=archive.META_START)
        return bool(archive.meta_end(head, word))
    except CheckpointError:
        return False


def _open(name: str | None, which: str | None, parent: Path, hashes: Mapping[str, str], note: Note) -> Opened:
    file = _file(name, which)
    if file is not None:
        snapshot = checkpoint.read(file)
        home = file.resolve().parent.parent
        folder = Run(fsio.nearby(home))
        run = folder if folder.exists() and file.resolve().parent == folder.checkpoints.resolve() else None
    else:
        run = runs.find(name, parent)
        if name is None:
            note(f"run: {run.path}")
        file, snapshot = _of_run(run, which, note)
    if run is not None:
        require_code(run.facts().get("code", {}), hashes, str(run.path))
    missing = set(snapshot.meta.get("code", ())) - set(hashes.values())
    if missing:
        raise CheckpointError(f"{file}: was trained with components of a code file; add --code FILE.py")
    try:
        config = parse_config(json.dumps(snapshot.meta["config"]), str(file))
    except ConfigError as error:
        raise CheckpointError(*(f"{problem} (the config in the checkpoint)" for problem in error.problems)) from None
    return Opened(file, run, snapshot, config)


def _file(name: str | None, which: str | None) -> Path | None:
    if name is not None and (os.path.isfile(name) or name.endswith(".npz")):  # noqa: PTH113 - any text may come here
        if which is not None:
            raise UsageError(
                f"--checkpoint {quote(which)} together with the checkpoint {quote(name)}; give one of them"
            )
        return Path(name)
    return Path(which) if which is not None and _is_path(which) else None


def _is_path(which: str) -> bool:
    return which.endswith(".npz") or "/" in which


def _of_run(run: Run, which: str | None, note: Note) -> tuple[Path, Snapshot]:
    folder = run.checkpoints
    if which is None or which == "best":
        best = folder / checkpoint.BEST
        try:
            if best.exists() or which == "best":
                return best, checkpoint.read(best)
        except CheckpointError as error:
            if which == "best":
                raise
            note(f"{error}; using the newest step")
    if which is not None and which not in ("best", "last"):
        if not STEP.fullmatch(which):
            raise UsageError(f"--checkpoint: got {quote(which)}, expected best, last, a step or a path")
        known = dict(checkpoint.steps(folder))
        if int(which) not in known:
            steps = ", ".join(map(str, known)) or "none"
            raise CheckpointError(f"{folder}: no checkpoint of step {which}; there are: {steps}")
        return known[int(which)], checkpoint.read(known[int(which)])
    found = checkpoint.newest(folder, None, note)
    if found is None:
        raise CheckpointError(f"{folder}: holds no checkpoint; train the run first: dlcli resume {run.path}")
    return found
