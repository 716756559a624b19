"""Opening a session: in the directory of a new run, or where an earlier one has ended."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from dlcli.config.load import load_config
from dlcli.config.resolved import differences, to_yaml
from dlcli.config.schema import Config
from dlcli.core import fsio
from dlcli.core.errors import BusyError, CheckpointError, ConfigError, quote
from dlcli.data.dataset import Access
from dlcli.experiment import environment
from dlcli.experiment.assemble import Experiment, assemble
from dlcli.experiment.data import load_data
from dlcli.experiment.session import Note, Session
from dlcli.runs import Run, now
from dlcli.training import checkpoint, journal


def begin(
    claimed: Callable[[], Run],
    experiment: Experiment,
    code: Mapping[str, str],
    command: list[str],
    threads: int,
    note: Note,
) -> Session:
    """A session of a new run, whose directory is claimed last of all, when everything else has been checked."""
    run = claimed()
    lock = run.lock(note)
    lock.acquire()
    with lock.released_on_failure():
        if run.exists():
            raise BusyError(f"{run.path}: another process was faster; add --resume to show or continue its run")
        fsio.sweep(run.path)  # of a start that was killed
        fsio.make_dirs(run.checkpoints)
        facts = {
            "status": "running",
            "start": now(),
            "command": command,
            "config_sha256": experiment.config.sha256,
            "seed": experiment.config.seed,
            "code": dict(code),
            "data": experiment.splits.files,
            **environment.facts(threads),
        }
        run.write_facts(facts)
        fsio.write_atomic(run.config_file, to_yaml(experiment.config).encode())
    return Session(run, lock, experiment, note, facts)


def resume(
    run: Run, code: Mapping[str, str], access: Access, threads: int, note: Note, *, exact: bool = True
) -> Session:
    """A session that goes on from the newest intact checkpoint, to the same bits as if it had never stopped.

    BusyError where another process trains the run; CheckpointError where nothing can be continued, or where the
    machine's numerics differ and `exact` is asked for.
    """
    lock = run.lock(note)
    lock.acquire()
    with lock.released_on_failure():
        fsio.sweep(run.path)
        facts = run.facts()
        config = stored_config(run)
        fsio.make_dirs(run.checkpoints)
        found = _newest(run, config, note)
        experiment = assemble(config, load_data(config, access), threads)
        facts |= {"code": dict(code), "config_sha256": config.sha256}
        session = Session(run, lock, experiment, note, facts)
        if found is None:
            _start_over(run, note)
        else:
            _go_to(session, *found, exact)
            note(f"{run.path}: continues from step {found[1].step} of {session.total}")
        facts |= {"status": "running", "resumed": [*facts.get("resumed", []), now()]}
        run.write_facts(facts)
    return session


def _newest(run: Run, config: Config, note: Note) -> tuple[Path, checkpoint.Snapshot] | None:
    """The checkpoint to continue from; ConfigError where all are of another config than the run has now."""
    try:
        return checkpoint.newest(run.checkpoints, config.sha256, note, owner=True)
    except CheckpointError:
        other = checkpoint.newest(run.checkpoints, None, lambda text: None)
        if other is not None:
            unchanged(other[1].meta["config"], config.resolved(), run.config_file)
        raise


def _go_to(session: Session, path: Path, snapshot: checkpoint.Snapshot, exact: bool) -> None:
    """Bring a session to the state of a checkpoint and cut the metrics back to it; CheckpointError unless it fits."""
    experiment, meta = session.experiment, snapshot.meta
    with _understood(path):
        if exact:
            _same_numerics(meta["env"], path)
        files = experiment.splits.files
        changed = [name for name in files if meta["data"].get(name) != files[name]]
        if changed:
            raise CheckpointError(
                f"{path}: the data differs from what the run was trained on: {', '.join(changed[:3])}"
            )
        fit(experiment, snapshot, path)
        experiment.restore(meta, snapshot.arrays)
    journal.repair(session.run.metrics_file, meta["metrics_lines"], snapshot.step, session.note)
    # Stopped between the last step of an epoch and its figures: the checkpoint with them is still due.
    session.saved_step = snapshot.step - (experiment.trainer.state.batch == len(experiment.trainer.batches))
    seconds = (row.get("seconds") or 0.0 for row in session.run.metrics())
    session.seconds = session.epoch_began = max(seconds, default=0.0)


@contextmanager
def _understood(path: Path) -> Iterator[None]:
    """CheckpointError where the description of a checkpoint is intact, yet not what this version writes."""
    try:
        yield
    except (AttributeError, IndexError, KeyError, OverflowError, TypeError, ValueError) as error:
        own = str(error) if isinstance(error, ValueError) else "a value is of another kind"
        what = f"no {error}" if isinstance(error, KeyError) else own
        raise CheckpointError(
            f"{path}: its description is not of this version: {what}; resume with the dlcli that wrote it"
        ) from error


def fit(experiment: Experiment, snapshot: checkpoint.Snapshot, path: Path) -> None:
    """CheckpointError unless the arrays of a checkpoint are those of the experiment."""
    expected = {name: (a.shape, a.dtype) for name, a in experiment.arrays().items()}
    checkpoint.check_fit(snapshot.arrays, expected, str(path))


def stored_config(run: Run) -> Config:
    """The config of a run; CheckpointError where it is missing or no longer valid."""
    try:
        return load_config(run.config_file)
    except ConfigError as error:
        raise CheckpointError(*(f"{problem} (the run's own config)" for problem in error.problems)) from None


def _start_over(run: Run, note: Note) -> None:
    """A run that was killed before its first checkpoint begins again; CheckpointError where it has had some."""
    bad = run.checkpoints / checkpoint.BAD
    if bad.is_dir() or (run.checkpoints / checkpoint.BEST).exists() or (run.path / "summary.json").exists():
        raise CheckpointError(f"{run.checkpoints}: no checkpoint is left to continue from; train anew")
    journal.repair(run.metrics_file, 0, 0, note)
    note(f"{run.path}: was stopped before its first checkpoint; starting at step 0")


def _same_numerics(recorded: Mapping[str, Any], path: Path) -> None:
    here = environment.numerics()
    for key in environment.EXACT:
        if recorded.get(key) != here[key]:
            raise CheckpointError(
                f"{path}: was trained with {key} {recorded.get(key)}, here it is {here[key]}: the bits would differ; "
                "resume where it was trained, or add --allow-inexact"
            )


def unchanged(old: dict[str, Any], new: dict[str, Any], where: Path) -> None:
    """ConfigError naming the keys in which two resolved configs differ, the run's own and the one to resume with."""
    changed = differences(old, new)
    if changed:
        raise ConfigError(
            *(
                f"{where}: {key}: got {_brief(b)} now, expected {_brief(a)} as in the run; resuming accepts no change"
                for key, a, b in changed[:20]
            )
        )


def _brief(value: Any) -> str:
    """A value of a config as a message shows it; lists differ in their length where they are told as a whole."""
    return f"{len(value)} entries" if isinstance(value, list) else quote(value)
