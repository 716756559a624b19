"""What commands tell: notes, the end of a training, the next useful command."""

from __future__ import annotations

import shlex
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any, TextIO

from dlcli.cli import render
from dlcli.cli.charts import curve, number, percent, seconds_text
from dlcli.core.blame import shown
from dlcli.core.errors import escape, shorten

if TYPE_CHECKING:
    from dlcli.experiment.opened import Opened
    from dlcli.runs import Run

_stay: list[Callable[[str], None]] = []


def note(text: str) -> None:
    """A line on stderr, above whatever moves there."""
    (_stay[-1] if _stay else render.err)(text)


def warning(
    message: Warning | str,
    category: type[Warning],
    filename: str,
    lineno: int,
    file: TextIO | None = None,
    line: str | None = None,
) -> None:
    """One line on stderr for a warning of Python's, in the place of `warnings.showwarning`."""
    note(shorten(escape(f"warning: {shown(filename)}:{lineno}: {category.__name__}: {' '.join(str(message).split())}")))


@contextmanager
def notes_to(line: Callable[[str], None]) -> Iterator[None]:
    """Send notes through `line` inside the context, so that they do not tear a progress bar."""
    _stay.append(line)
    try:
        yield
    finally:
        _stay.pop()


@contextmanager
def downloads() -> Iterator[render.DownloadProgress]:
    """Shows downloads inside the context."""
    progress = render.download_progress()
    try:
        with notes_to(progress.note):
            yield progress
    finally:
        progress.close()


def next_(
    *words: object, why: str = "", code: Sequence[str] | None = None, changes: Sequence[str] | None = None
) -> None:
    """The last line of a command on stderr: the one that is useful now."""
    render.err(f"next   {command(*words, code=code, changes=changes)}{f'   ({why})' if why else ''}")


def command(*words: object, code: Sequence[str] | None = None, changes: Sequence[str] | None = None) -> str:
    """A command line to paste into a shell, with the `--code` files and `--set` changes that it needs."""
    options = [("--set", change) for change in changes or ()] + [("--code", file) for file in code or ()]
    return shlex.join(["dlcli", *map(str, words), *(word for option in options for word in option)])


def checkpoint(opened: Opened) -> str:
    """A checkpoint by its file and step, and whether its weights are averages."""
    averaged = ", averaged weights" if opened.config.train.ema is not None else ""
    return f"{opened.path} (step {opened.snapshot.step}{averaged})"


def figure(name: str, value: float | None) -> str:
    """A figure as tables show it: proportions in percent, everything else in four digits."""
    if value is None:
        return "-"
    return percent(value) if is_share(name) else number(value)


def figures(values: Mapping[str, float | None]) -> str:
    """Several figures by name on one line."""
    return "  ".join(f"{name} {figure(name, value)}" for name, value in values.items())


def is_share(name: str) -> bool:
    """Whether a figure such as `val.accuracy` is a share of samples."""
    from dlcli.training.metrics import metric_of

    metric = metric_of(name)
    return metric is not None and metric.proportion


def training_summary(run: Run, result: dict[str, Any], early: bool, code: Sequence[str] | None) -> None:
    """The end of a training on stderr: the loss curve, best and final figures, what to do next."""
    rows = run.epochs()
    names = [name for name in ("train.loss", "val.loss") if any(name in row for row in rows)]
    if len(rows) > 1:
        render.err("\n" + curve({name: [row.get(name) for row in rows] for name in names}) + "\n")
    if early:
        render.err(f"stopped early after epoch {result['epochs']}: {result['best']['metric']} no longer improves")
    best = result["best"]
    for split in ("train", "val"):
        own = {n.partition(".")[2]: v for n, v in result["metrics"].items() if n.startswith(f"{split}.")}
        if own:
            render.err(f"{split:<6} {figures(own)}")
    if best["value"] is not None:
        render.err(f"best   {best['metric']} {figure(best['metric'], best['value'])} at step {best['step']}")
    render.err(f"took   {seconds_text(result['seconds'])} for {result['steps']} steps")
    next_("eval", run.path, code=code)
