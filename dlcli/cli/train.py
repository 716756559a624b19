"""`dlcli train` and `dlcli resume`."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from contextlib import contextmanager
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from dlcli.cli import common, render, show

if TYPE_CHECKING:
    from dlcli.experiment.session import Session
    from dlcli.experiment.stopwatch import Stopwatch
    from dlcli.experiment.train import Trained, Where

MaxSteps = Annotated[
    int | None,
    typer.Option(
        "--max-steps", min=0, metavar="N", help="Stop, with a checkpoint, when the run has made N steps in all."
    ),
]
MaxTime = Annotated[
    str | None,
    typer.Option("--max-time", metavar="T", help="Stop, with a checkpoint, after '90 s', '15 min' or '1.5 h'."),
]


def train(
    config: common.ConfigArgument,
    set_: common.SetOption = None,
    name: Annotated[str | None, typer.Option("--name", metavar="NAME", help="Name the run.")] = None,
    resume: Annotated[
        bool,
        typer.Option("--resume", help="Continue the newest run of this config; show its result if it is complete."),
    ] = False,
    run_dir: Annotated[
        Path | None, typer.Option("--run-dir", metavar="DIR", help="Use exactly this directory.")
    ] = None,
    runs: common.RunsOption = None,
    code: common.CodeOption = None,
    max_steps: MaxSteps = None,
    max_time: MaxTime = None,
    threads: common.ThreadsOption = None,
    offline: common.OfflineOption = False,
    profile: Annotated[
        bool, typer.Option("--profile", help="End with a table of where the steps spent their time.")
    ] = False,
    json: common.JsonOption = False,
) -> None:
    """Train a config; writes a run directory and prints its path."""
    common.exclusive(run_dir=run_dir, runs=runs)
    overrides = list(set_ or [])
    if common.checked_name(name) is not None:
        overrides.append(f"name='{name}'")
    where = _where(runs, run_dir, threads, max_steps, max_time)
    from dlcli.experiment import train as engine

    stopwatch = None
    if profile:
        from dlcli.experiment.stopwatch import Stopwatch

        stopwatch = Stopwatch()
    with show.downloads() as progress:
        access = _access(offline, progress)
        watch = partial(_profile, stopwatch, where.threads) if stopwatch is not None else _watch
        done = engine.train(config, overrides, code or [], access, where, resume, show.note, watch)
    if stopwatch is not None and not stopwatch.step.steps:
        show.note("no step was made, so there is nothing for --profile to show; `dlcli time CONFIG` measures by itself")
    _report(done, json, code)


def resume(
    run: common.RunArgument = None,
    runs: common.RunsOption = None,
    code: common.CodeOption = None,
    max_steps: MaxSteps = None,
    max_time: MaxTime = None,
    threads: common.ThreadsOption = None,
    offline: common.OfflineOption = False,
    allow_inexact: Annotated[
        bool, typer.Option("--allow-inexact", help="Continue although NumPy, BLAS or CPU differ: other bits.")
    ] = False,
    json: common.JsonOption = False,
) -> None:
    """Continue an interrupted run to the bits of an unbroken one."""
    where = _where(runs, None, threads, max_steps, max_time)
    from dlcli.experiment import train as engine

    with show.downloads() as progress:
        access = _access(offline, progress)
        done = engine.resume(run, code or [], access, where, not allow_inexact, show.note, _watch)
    _report(done, json, code)


def _where(
    runs: Path | None, run_dir: Path | None, threads: int | None, max_steps: int | None, max_time: str | None
) -> Where:
    from dlcli.experiment.stop import parse_time
    from dlcli.experiment.train import Where

    seconds = parse_time(max_time) if max_time is not None else None
    return Where(common.parent_of(runs), run_dir, common.cores(threads), max_steps, seconds, sys.argv)


def _access(offline: bool, progress: Any) -> Any:
    from dlcli.data.dataset import Access

    return Access.from_environment(offline, progress, show.note)


@contextmanager
def _watch(session: Session) -> Iterator[render.TrainingView]:
    trainer = session.experiment.trainer
    view = render.TrainingView(
        session.total, trainer.per_epoch, trainer.plan.epochs, trainer.state.step, running=trainer.running
    )
    with view, show.notes_to(view.note):
        yield view


@contextmanager
def _profile(watch: Stopwatch, threads: int, session: Session) -> Iterator[render.TrainingView]:
    """The same, and at the end a table on stderr of where the steps spent their time."""
    from dlcli.cli.timing import text
    from dlcli.experiment.timing import timing

    trainer = session.experiment.trainer
    with watch.on(trainer), _watch(session) as view:
        yield view
    if watch.step.steps:
        show.note("\n" + text(timing(watch, trainer, threads, trainer.per_epoch, trainer.plan.epochs)) + "\n")


def _report(done: Trained, json: bool, code: list[str] | None) -> None:
    from dlcli.experiment.stop import die_by

    outcome = done.outcome
    if outcome is not None and outcome.status != "complete":
        what = "interrupted" if outcome.status == "interrupted" else "stopped"
        at = f"{what} at step {outcome.step} of {outcome.steps}, saved"
        show.note(f"{at}; continue with: {show.command('resume', done.run.path, code=code)}")
    else:
        show.training_summary(done.run, done.result, outcome is not None and outcome.early, code)
    if outcome is None or outcome.signal is None:
        if json:
            common.emit_json({"run": str(done.run.path), **done.result})
        else:
            render.out(f"{done.run.path}\n")
    else:
        die_by(outcome.signal)
