"""Training, stopping and resuming inside the test's own process, for tests that do so hundreds of times."""

from __future__ import annotations

import re
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from dlcli.data.dataset import Access
from dlcli.experiment.session import Session
from dlcli.experiment.train import Trained, Where
from dlcli.experiment.train import resume as engine_resume
from dlcli.experiment.train import train as engine_train


class Blind:
    """A view that shows nothing."""

    def step(self, done: Any) -> None: ...

    def epoch(self, done: Any, seconds: float, best: bool) -> None: ...


@contextmanager
def watch(session: Session) -> Iterator[Blind]:
    yield Blind()


def quiet(text: str) -> None:
    """A note that a smooth course must not give."""
    assert text.startswith("warning: "), text


def continued(text: str) -> None:
    """The one note that a smooth resume gives beside these."""
    if not re.fullmatch(r".+: continues from step \d+ of \d+", text):
        quiet(text)


def train(config: Path, run: Path, *overrides: str, max_steps: int | None = None, **where: Any) -> Trained:
    """Train a config in the directory `run`."""
    place = Where(run.parent, run, max_steps=max_steps, **where)
    return engine_train(str(config), overrides, [], Access(), place, False, quiet, watch)


def resume(run: Path, max_steps: int | None = None, **where: Any) -> Trained:
    """Continue the run in that directory."""
    place = Where(run.parent, max_steps=max_steps, **where)
    return engine_resume(str(run), [], Access(), place, True, continued, watch)
