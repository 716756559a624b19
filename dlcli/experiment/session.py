"""Training into a run directory: checkpoints, metrics, status."""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping
from dataclasses import asdict, dataclass
from typing import Any, Protocol

from dlcli.core.errors import DivergedError, DlcliError
from dlcli.core.lock import RunLock
from dlcli.experiment import environment
from dlcli.experiment.assemble import Experiment
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
        except BaseException:  # whatever ends training, such as an exit in a user's component
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
        row = dict(done.layers or {})
        if self.log_every is not None and done.step % self.log_every == 0:
            row = {"lr": done.lr, "step.loss": done.loss, "grad_norm": done.grad_norm, **row}
        if row:
            self.journal.append({"epoch": done.epoch, "step": done.step, **row, "seconds": self.seconds})
        # At the end of an epoch its figures belong into the same checkpoint, so the save waits for them.
        if stopping or (not done.ends_epoch and self._due(done.step)):
            self.save()

    def _after_epoch(self, done: EpochDone, view: View) -> None:
        best = self.experiment.observe(done)
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

    def snapshot(self, metrics_lines: int) -> checkpoint.Snapshot:
        """The whole state; nothing in it differs between two runs of one config."""
        return snapshot(self.experiment, sorted(self.facts["code"].values()), self.numerics, metrics_lines)

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


def snapshot(e: Experiment, code: list[str], numerics: Mapping[str, Any], metrics_lines: int) -> checkpoint.Snapshot:
    """What a checkpoint of an experiment holds; `code` are the sha256 of the user's files."""
    state = e.trainer.state
    meta = {
        "step": state.step,
        "epoch": state.epoch,
        "batch_in_epoch": state.batch,
        "seed": e.config.seed,
        "config": e.config.resolved(),
        "config_sha256": e.config.sha256,
        "code": code,
        "data": e.splits.files,
        "info": asdict(e.splits.info),
        "optimizer_t": e.trainer.optimizer.t,
        "monitor": e.monitor.to_json(),
        "schedule": e.trainer.schedule.to_json() if e.trainer.schedule is not None else None,
        "metrics_lines": metrics_lines,
        "partial": {name: [float(v).hex() for v in sums] for name, sums in state.partial.items()},
        "env": numerics,
    }
    return checkpoint.Snapshot(meta, e.arrays())
