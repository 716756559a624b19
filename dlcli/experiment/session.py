"""Training into a run directory: checkpoints, metrics, status, and going on where a run ended."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Protocol

from dlcli.config.load import load_config
from dlcli.config.resolved import differences, to_yaml
from dlcli.config.schema import Config
from dlcli.core import fsio
from dlcli.core.errors import BusyError, CheckpointError, ConfigError, DivergedError, DlcliError, quote
from dlcli.core.lock import RunLock
from dlcli.data.dataset import Access
from dlcli.experiment import environment
from dlcli.experiment.assemble import Experiment, assemble, load_data
from dlcli.experiment.plugins import require_code
from dlcli.experiment.stop import Stop
from dlcli.runs import Run, now
from dlcli.training import checkpoint, journal
from dlcli.training.loop import EpochDone, StepDone

Note = Callable[[str], None]


class View(Protocol):
    """Whoever watches training."""

    def step(self, done: StepDone) -> None: ...

    def epoch(self, done: EpochDone, seconds: float, best: bool) -> None: ...


@dataclass(frozen=True)
class Outcome:
    """How a training ended."""

    run: Run
    status: str
    """`complete`, `stopped` or `interrupted`."""
    step: int
    steps: int
    """Of the whole run."""
    signal: int | None = None
    early: bool = False
    """Whether early stopping ended it."""


class Session:
    """One process's training of one run; holds the run's lock until `train` returns."""

    def __init__(self, run: Run, lock: RunLock, experiment: Experiment, note: Note, facts: dict[str, Any]) -> None:
        self.run, self.lock, self.experiment, self.note, self.facts = run, lock, experiment, note, facts
        config, trainer = experiment.config, experiment.trainer
        self.every = config.train.checkpoint.every
        self.steps_between = None if self.every.unit == "s" else self._steps(self.every)
        log_every = config.train.log_every
        self.log_every = None if log_every is None else self._steps(log_every)
        self.numerics = environment.numerics()
        self.seconds = self.epoch_began = 0.0
        self.saved_at, self.saved_step = time.monotonic(), -1
        self.total = trainer.span.steps

    def _steps(self, length: Any) -> int:
        trainer = self.experiment.trainer
        return max(1, length.steps(trainer.span.steps, trainer.per_epoch))

    def train(self, view: View, stop: Stop) -> Outcome:
        """Train to the end, or to the first reason to stop; the outcome is on disk when this returns."""
        began, before = time.monotonic(), self.seconds
        trainer, first = self.experiment.trainer, self.experiment.trainer.state.step
        early = False
        try:
            with journal.Journal(self.run.metrics_file) as self.journal:
                reason = stop.reason(first)
                if self._finished() or reason is not None:
                    early = reason is None and trainer.state.epoch < trainer.plan.epochs
                else:
                    for done in trainer.run():
                        self.seconds = before + time.monotonic() - began
                        if isinstance(done, StepDone):
                            view.step(done)
                            reason = stop.reason(done.step)
                            self._after_step(done, reason is not None)
                        else:
                            self._after_epoch(done, view)
                            early = self.experiment.monitor.exhausted(done.step)
                            reason = stop.reason(done.step) if not self._finished() else None
                        if reason is not None or early:
                            break
                self._end(reason or "complete", first, before)
        except DivergedError:
            self._record("diverged", first, before)
            raise
        except DlcliError:
            self._record("failed", first, before)
            raise
        finally:
            self.lock.release()
        return Outcome(self.run, reason or "complete", trainer.state.step, self.total, stop.signal, early)

    def _finished(self) -> bool:
        """Whether no step is left: the plan is done, or early stopping had ended it."""
        state = self.experiment.trainer.state
        done = state.epoch >= self.experiment.trainer.plan.epochs
        return done or (state.batch == 0 and self.experiment.monitor.exhausted(state.step))

    def _after_step(self, done: StepDone, stopping: bool) -> None:
        if self.log_every is not None and done.step % self.log_every == 0:
            row = {"epoch": done.epoch, "step": done.step, "lr": done.lr, "step.loss": done.loss}
            self.journal.append({**row, "grad_norm": done.grad_norm, "seconds": self.seconds})
        # At the end of an epoch its figures belong into the same checkpoint, so the save waits for them.
        if stopping or (not done.ends_epoch and self._due(done.step)):
            self.save()

    def _after_epoch(self, done: EpochDone, view: View) -> None:
        monitor = self.experiment.monitor
        best = monitor.observe(done.figures[monitor.metric], done.step)
        row = {"epoch": done.epoch, "step": done.step, "lr": done.lr, **done.figures, "seconds": self.seconds}
        self.journal.append(row)
        view.epoch(done, self.seconds - self.epoch_began, best)
        self.epoch_began = self.seconds
        if best or self._finished() or self._due(done.step):
            self.save(best)

    def _due(self, step: int) -> bool:
        if self.steps_between is not None:
            return step // self.steps_between > max(self.saved_step, 0) // self.steps_between
        return time.monotonic() - self.saved_at >= self.every.value

    def save(self, best: bool = False) -> None:
        """Write a checkpoint of the state as it stands."""
        keep = self.experiment.config.train.checkpoint.keep
        checkpoint.save(self.run.checkpoints, self.snapshot(self.journal.sync()), keep, best, self.note)
        self.saved_at, self.saved_step = time.monotonic(), self.experiment.trainer.state.step

    def go_to(self, path: Path, snapshot: checkpoint.Snapshot, exact: bool) -> None:
        """Take the state of a checkpoint, and cut the metrics back to it; CheckpointError where it does not fit."""
        experiment, meta = self.experiment, snapshot.meta
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
        journal.repair(self.run.metrics_file, meta["metrics_lines"], snapshot.step, self.note)
        # Stopped between the last step of an epoch and its figures: the checkpoint with them is still due.
        self.saved_step = snapshot.step - (experiment.trainer.state.batch == len(experiment.trainer.batches))
        seconds = (row.get("seconds") or 0.0 for row in journal.read(self.run.metrics_file))
        self.seconds = self.epoch_began = max(seconds, default=0.0)

    def snapshot(self, metrics_lines: int) -> checkpoint.Snapshot:
        """The whole state; nothing in it differs between two runs of one config."""
        e = self.experiment
        state = e.trainer.state
        meta = {
            "step": state.step,
            "epoch": state.epoch,
            "batch_in_epoch": state.batch,
            "seed": e.config.seed,
            "config": e.config.resolved(),
            "config_sha256": e.config.sha256,
            "code": sorted(self.facts["code"].values()),
            "data": e.splits.files,
            "class_names": e.splits.info.class_names,
            "optimizer_t": e.trainer.optimizer.t,
            "monitor": e.monitor.to_json(),
            "metrics_lines": metrics_lines,
            "partial": {name: [float(v).hex() for v in sums] for name, sums in state.partial.items()},
            "env": self.numerics,
        }
        return checkpoint.Snapshot(meta, e.arrays())

    def _end(self, status: str, first: int, before: float) -> None:
        state = self.experiment.trainer.state
        if status != "complete":
            if self.saved_step != state.step:
                self.save()
            self._record(status, first, before)
            return
        self._record("complete", first, before)
        self.run.write_summary(self.result("complete"))

    def result(self, status: str) -> dict[str, Any]:
        """The final and best figures, as `train --json` prints them but for the run's path."""
        rows = [row for row in journal.read(self.run.metrics_file) if "train.loss" in row]
        state, best = self.experiment.trainer.state, self.experiment.monitor.best
        last = rows[-1] if rows else {}
        return {
            "status": status,
            "epochs": state.epoch,
            "steps": state.step,
            "seconds": round(self.seconds, 3),
            "best": {
                "metric": self.experiment.monitor.metric,
                "value": best.value if best else None,
                "step": best.step if best else None,
            },
            "metrics": {name: value for name, value in last.items() if name.startswith(("train.", "val."))},
        }

    def _record(self, status: str, first: int, before: float) -> None:
        """Bring run.json up to date; it is a description, so a failure here does not hide the first one."""
        trainer = self.experiment.trainer
        steps, seconds = trainer.state.step - first, self.seconds - before
        per_step = trainer.batches.batch_size * trainer.plan.accumulate
        self.facts |= {
            "status": status,
            "end": now(),
            "seconds": round(self.seconds, 3),
            "samples_per_second": round(steps * per_step / seconds) if seconds > 0 and steps else None,
            "peak_memory": environment.peak_memory(),
        }
        try:
            self.run.write_facts(self.facts)
        except DlcliError:
            if status in ("complete", "stopped", "interrupted"):
                raise


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
        require_code(facts.get("code", {}), code, str(run.path))
        config = stored_config(run)
        fsio.make_dirs(run.checkpoints)
        found = _newest(run, config, note)
        experiment = assemble(config, load_data(config, access), threads)
        facts |= {"code": dict(code), "config_sha256": config.sha256}
        session = Session(run, lock, experiment, note, facts)
        if found is None:
            _start_over(run, note)
        else:
            session.go_to(*found, exact)
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
