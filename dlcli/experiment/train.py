"""The engine of `train` and `resume`: everything between the command line and the run directory."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from contextlib import AbstractContextManager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np

from dlcli import runs
from dlcli.config.doctor import diagnose
from dlcli.config.schema import Config
from dlcli.data.dataset import Access
from dlcli.experiment import opening
from dlcli.experiment.assemble import assemble, build_network
from dlcli.experiment.data import Splits, load_data
from dlcli.experiment.plugins import load_components, require_code
from dlcli.experiment.prepare import prepare
from dlcli.experiment.session import Note, Outcome, Session, View
from dlcli.experiment.stop import Stop
from dlcli.experiment.trial import rehearse
from dlcli.runs import Run

LARGE = 1000.0
"""Targets beyond this are warned about; outputs begin near 0 and move by about the learning rate a step."""


@dataclass(frozen=True)
class Where:
    """Where a run goes, and how this process may work; nothing here changes what the run computes."""

    parent: Path
    run_dir: Path | None = None
    threads: int = 1
    max_steps: int | None = None
    max_time: float | None = None
    command: list[str] = field(default_factory=list)


@dataclass(frozen=True)
class Trained:
    """What `train` and `resume` report."""

    run: Run
    result: dict[str, Any]
    """`status`, `epochs`, `steps`, `seconds`, `best`, `metrics`."""
    outcome: Outcome | None
    """None where the run was complete already."""


Watch = Callable[[Session], AbstractContextManager[View]]
"""Makes a view of a session that is about to train."""


def train(
    source: str,
    overrides: Sequence[str],
    code: Sequence[str],
    access: Access,
    where: Where,
    resume: bool,
    note: Note,
    watch: Watch,
) -> Trained:
    """Train a config in a new run directory; with `resume`, continue or show the newest run of the same config."""
    hashes = load_components(code, note)
    config, _ = prepare(source, overrides, note)
    earlier = _earlier(config, where)
    if resume and earlier is not None:
        if where.run_dir is not None:
            stored = opening.stored_config(earlier)
            opening.unchanged(stored.resolved(), config.resolved(), earlier.config_file)
        return _continue(earlier, hashes, access, where, note, watch)
    if where.run_dir is not None:
        runs.require_free(where.run_dir)
    splits = load_data(config, access)
    diagnose(config, splits.info).check()
    _advise(splits, note)
    rehearse(config, lambda: build_network(config, splits.info), *splits.train)
    experiment = assemble(config, splits, where.threads)
    if earlier is not None and where.run_dir is None:
        unchanged = set(earlier.facts().get("code", {}).values()) == set(hashes.values())
        gives = "will give the same bits; --resume shows its result" if unchanged else "the --code files differ"
        note(f"same config as {earlier.path}: {gives}")

    def claimed() -> Run:
        if where.run_dir is not None:
            return runs.claim_exactly(where.run_dir)
        return runs.claim(where.parent, str(config.name), config.sha256)

    session = opening.begin(claimed, experiment, hashes, where.command, where.threads, note)
    return _train(session, where, watch)


def _advise(splits: Splits, note: Note) -> None:
    """A warning where regression targets are so large that training would spend its steps on reaching them."""
    targets = splits.train.targets
    if targets.dtype.kind == "f" and targets.size:
        with np.errstate(over="ignore"):
            mean, spread = float(targets.mean(dtype="f8")), float(targets.std(dtype="f8"))
        if max(abs(mean), spread) > LARGE:
            note(
                f"warning: the targets have mean {mean:.4g} and deviation {spread:.4g}; numbers of this size are "
                "learned slowly or not at all: scale the target column to about 1"
            )


def resume(
    name: str | None, code: Sequence[str], access: Access, where: Where, exact: bool, note: Note, watch: Watch
) -> Trained:
    """Continue a run to its end."""
    run = runs.find(name, where.parent)
    if name is None:
        note(f"run: {run.path}")
    return _continue(run, load_components(code, note), access, where, note, watch, exact=exact)


def _earlier(config: Config, where: Where) -> Run | None:
    if where.run_dir is not None:
        run = Run(where.run_dir)
        return run if run.exists() else None
    return runs.same_config(where.parent, config.sha256)


def _continue(
    run: Run, hashes: dict[str, str], access: Access, where: Where, note: Note, watch: Watch, *, exact: bool = True
) -> Trained:
    require_code(run.facts().get("code", {}), hashes, str(run.path))
    summary = run.summary()
    if summary is not None:
        note(f"already complete: {run.path}")
        return Trained(run, summary, None)
    return _train(opening.resume(run, hashes, access, where.threads, note, exact=exact), where, watch)


def _train(session: Session, where: Where, watch: Watch) -> Trained:
    with Stop(where.max_steps, where.max_time) as stop, watch(session) as view:
        outcome = session.train(view, stop)
    return Trained(session.run, session.result(outcome.status), outcome)
