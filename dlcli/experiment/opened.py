"""The checkpoint that a user means, with its config."""

from __future__ import annotations

import json
import os
import re
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from dlcli import runs
from dlcli.config.load import parse_config
from dlcli.config.schema import Config
from dlcli.core import fsio
from dlcli.core.errors import CheckpointError, ConfigError, UsageError, quote
from dlcli.experiment.plugins import load_components, require_code
from dlcli.experiment.session import Note
from dlcli.runs import Run
from dlcli.training import checkpoint
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


def open_checkpoint(name: str | None, which: str | None, parent: Path, code: Sequence[str], note: Note) -> Opened:
    """The checkpoint that a user means: a file, or that of a run (`best`, `last`, a step, or a path)."""
    hashes = load_components(code, note)
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
    return Path(which) if which is not None and (which.endswith(".npz") or "/" in which) else None


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
