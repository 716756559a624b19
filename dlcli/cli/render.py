"""What the user sees: results on stdout, progress and notes on stderr."""

from __future__ import annotations

import os
import shutil
import sys
import time
from collections.abc import Callable, Mapping
from textwrap import shorten
from typing import TYPE_CHECKING, Self, TextIO

from dlcli.cli.charts import bytes_text, number, percent, seconds_text
from dlcli.cli.screen import Guarded, Screen
from dlcli.core.errors import OutputError, reason

if TYPE_CHECKING:
    from dlcli.training.loop import EpochDone, StepDone


def keep_stdout() -> None:
    """From here on only results go to stdout; what a user's component prints goes to stderr."""
    sys.stdout = sys.stderr


def results() -> TextIO | None:
    """The stream of results: stdout, also where what is printed goes to stderr; None where it is closed."""
    return sys.__stdout__ if sys.stdout is sys.stderr else sys.stdout


def out(text: str) -> None:
    """Write the result to stdout, with one newline at its end, in a single write.

    OutputError where that fails, BrokenPipeError where nobody reads it any more.
    """
    stream = results()
    if stream is None or stream.closed:
        raise OutputError("standard output: closed, so the result cannot be written")
    text = text.removesuffix("\n") + "\n"
    try:
        try:
            stream.write(text)
        except UnicodeEncodeError:
            # Outside a UTF-8 locale charts still need their characters, and a path must keep the bytes that it has.
            stream.buffer.write(text.encode("utf-8", "surrogateescape"))
        stream.flush()
    except BrokenPipeError:
        raise
    except OSError as error:
        raise OutputError(f"standard output: cannot write: {reason(error)}") from error


def colored() -> bool:
    """Whether the result goes to a terminal that shows colours, and the user wants them."""
    plain = os.environ.get("NO_COLOR") or os.environ.get("TERM") in ("dumb", "unknown")
    stream = results()
    return not plain and stream is not None and stream.isatty()


def width() -> int:
    """The columns of the terminal that the result goes to; 100 where it goes to a file or a pipe."""
    return shutil.get_terminal_size((100, 24)).columns


def brief(text: str, used: int) -> str:
    """The beginning of a text that fits a line of which `used` columns are taken."""
    return shorten(text, max(20, width() - used), placeholder=" ...")


def err(text: str) -> None:
    """Write a line to stderr; where that fails there is nobody to tell."""
    Guarded(sys.stderr).write(text + "\n")


class TrainingView:
    """Shows training on stderr: on a terminal a table that grows by a row an epoch above a bar, else a line an epoch.

    `running` tells the figures of the epoch so far, such as {"accuracy": 0.95}; it is asked only when the bar is drawn.
    """

    def __init__(
        self,
        total_steps: int,
        per_epoch: int,
        epochs: int,
        done_steps: int = 0,
        stream: TextIO | None = None,
        running: Callable[[], Mapping[str, float]] | None = None,
    ) -> None:
        self._screen = Screen(sys.stderr if stream is None else stream)
        self._total, self._first, self._epochs, self._running = total_steps, done_steps, epochs, running
        self._columns: list[str] = []
        self._samples, self._loss = 0, 0.0
        self._before = 0
        """Samples of the epochs that are done; the rate is over the whole run, validation and saves included."""
        if self._screen.moving:
            self._screen.draw(f"epoch {done_steps // per_epoch + 1}/{epochs}", done_steps / total_steps, " " * 23)
        self._started = time.monotonic()

    def step(self, done: StepDone) -> None:
        """Count a step, and draw the bar again where it is time to."""
        screen = self._screen
        if screen.moving:
            self._samples += done.samples
            self._loss += done.loss * done.samples
            if screen.due():
                self._draw(done)

    def epoch(self, done: EpochDone, seconds: float, best: bool) -> None:
        """Add the row or the line of an epoch, which took `seconds`; `best` where it is the best so far."""
        figures = {name: value for name, value in done.figures.items() if "." in name}
        if self._screen.moving:
            if not self._columns:
                self._columns = list(figures)
                for line in _header(self._columns):
                    self._screen.line((line, "dim"))
            counter = f"{done.epoch}/{self._epochs}"
            values = "".join(f"{number(figures[name]):>{_room(name)}}" for name in self._columns)
            row = f"{counter:>7}{values}{done.lr:>11.4g}{seconds_text(seconds):>12}"
            self._screen.line(row, ("  best" if best else "", "green"))
        else:
            values = "  ".join(f"{name} {number(value)}" for name, value in figures.items())
            took = f"lr {done.lr:.4g}  {seconds_text(seconds)}"
            counter = f"epoch {done.epoch}/{self._epochs}  step {done.step}"
            self._screen.line("  ".join([counter, values, took, *(["best"] if best else [])]))
        self._before += self._samples
        self._samples, self._loss = 0, 0.0

    def note(self, text: str) -> None:
        """Show a line that stays."""
        self._screen.line(text)

    def close(self) -> None:
        """Take the bar away and leave the table."""
        self._screen.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *error: object) -> None:
        self.close()

    def _draw(self, done: StepDone) -> None:
        now = time.monotonic()
        left = (now - self._started) / max(1, done.step - self._first) * (self._total - done.step)
        share = done.step / self._total
        metric = next(iter(self._running().items() if self._running else ()), None)
        figures = [("loss", self._loss / self._samples), *([metric] if metric else [])]
        rate = (self._before + self._samples) / max(now - self._started, 1e-9)
        self._screen.draw(
            f"epoch {done.epoch}/{self._epochs}",
            share,
            f"{percent(share, 0):>5}  {seconds_text(left) + ' left':<16}",
            "   ".join(f"{name} {number(value)}" for name, value in figures)
            + f"   lr {done.lr:.4g}   {rate:,.0f} samples/s",
        )


def _room(name: str) -> int:
    """The width of a figure's column in the table of epochs, the gap before it included."""
    return max(len(name.partition(".")[2]), 7) + 3


def _header(names: list[str]) -> list[str]:
    """The two lines above the table of epochs: splits, and below them what is measured on each."""
    splits: dict[str, int] = {}
    for name in names:
        split = name.partition(".")[0]
        splits[split] = splits.get(split, 0) + _room(name)
    above = "".join("   " + f" {split} ".center(room - 3, "─") for split, room in splits.items())
    metrics = "".join(f"{name.partition('.')[2]:>{_room(name)}}" for name in names)
    return [f"{'':7}{above}", f"{'epoch':>7}{metrics}{'lr':>11}{'time':>12}"]


class DownloadProgress:
    """Shows downloads on stderr: a bar on a terminal, and one line for each file that is finished."""

    def __init__(self, stream: TextIO | None = None) -> None:
        self._screen = Screen(sys.stderr if stream is None else stream)

    def __call__(self, name: str, received: int, total: int) -> None:
        """`received` of the `total` bytes of file `name` are here; a file is finished once, when all are verified."""
        if received >= total:
            self._screen.close()
            self._screen.line(f"fetched {name} {bytes_text(total)}")
        elif self._screen.due():
            self._screen.draw(name, received / total, f"{bytes_text(received):>8} of {bytes_text(total)}")

    def note(self, text: str) -> None:
        """Show a line that stays."""
        self._screen.line(text)

    def close(self) -> None:
        """Take the bar away."""
        self._screen.close()


def download_progress() -> DownloadProgress:
    """What shows the downloads of this process."""
    return DownloadProgress()
