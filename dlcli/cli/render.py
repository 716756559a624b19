"""What the user sees: results on stdout, progress and notes on stderr. The only file that knows rich."""

from __future__ import annotations

import errno
import os
import sys
import time
from collections.abc import Callable, Mapping
from types import TracebackType
from typing import TYPE_CHECKING, Any, Self, TextIO, cast

from dlcli.cli.charts import bytes_text, number, percent, seconds_text

if TYPE_CHECKING:
    from rich.live import Live

    from dlcli.training.loop import EpochDone, StepDone

PERIOD = 0.1
"""Seconds between two drawings, at least."""
SHARE = 0.01
"""The share of the time that drawing may take; a slow terminal is drawn less often."""
WIDEST = 80
"""The moving lines grow with the terminal up to this many columns."""


def out(text: str) -> None:
    """Write the result to stdout, with a newline at its end, in a single write. OSError where that fails."""
    stream = sys.stdout
    if stream is None or stream.closed:
        raise OSError(errno.EBADF, "standard output is closed")
    encoding = stream.encoding or "utf-8"
    stream.write(text.encode(encoding, "replace").decode(encoding).removesuffix("\n") + "\n")
    stream.flush()


def err(text: str) -> None:
    """Write a line to stderr; where that fails there is nobody to tell."""
    Guarded(sys.stderr).write(text + "\n")


class Guarded:
    """A text stream that never fails: from its first failure on it swallows what it is given."""

    def __init__(self, stream: TextIO | None) -> None:
        self.stream = stream
        self.encoding = getattr(stream, "encoding", None) or "utf-8"

    def write(self, text: str) -> int:
        try:
            if self.stream is not None:
                self.stream.write(text)
                self.stream.flush()
        except (OSError, ValueError):
            self.stream = None
        return len(text)

    def flush(self) -> None:
        """Nothing is held back."""

    def isatty(self) -> bool:
        try:
            return self.stream is not None and self.stream.isatty()
        except (OSError, ValueError):
            return False


class Screen:
    """Lasting lines, and below them, on a terminal that can move its cursor, lines that are drawn again and again."""

    def __init__(self, stream: TextIO | None) -> None:
        self.file = Guarded(stream)
        self.moving = self.file.isatty() and os.environ.get("TERM") not in ("dumb", "unknown")
        self._live: Live | None = None
        self._cost = 0.0
        self._next = 0.0

    def due(self) -> bool:
        """Whether the moving lines may be drawn again."""
        return self.moving and time.monotonic() >= self._next

    def draw(self, label: str, share: float, right: str, below: str = "") -> None:
        """Show a bar, filled by `share`, between two texts, and a line below it."""
        started = time.monotonic()
        live = self._live = self._live or self._opened()
        live.update(_bar(live.console.width, label, share, right, below), refresh=True)
        now = time.monotonic()
        self._next = now + max(PERIOD, (now - started) / SHARE)
        self.moving = self.file.stream is not None

    def _opened(self) -> Live:
        from rich.console import Console
        from rich.live import Live

        plain = bool(os.environ.get("NO_COLOR"))
        console = Console(
            file=cast(TextIO, self.file),
            force_terminal=True,
            force_interactive=True,
            color_system=None if plain else "auto",
            highlight=False,
        )
        live = Live(console=console, auto_refresh=False, transient=True, redirect_stdout=False, redirect_stderr=False)
        live.start()
        # The cursor stays in sight: a process that is killed or stopped has no chance to bring it back.
        console.show_cursor(True)
        return live

    def line(self, *parts: str | tuple[str, str]) -> None:
        """Show a line that stays; a part may be (text, style), and styles are for terminals only."""
        if self._live is None:
            self.file.write("".join(p if isinstance(p, str) else p[0] for p in parts) + "\n")
        else:
            from rich.text import Text

            self._live.console.print(Text.assemble(*parts), soft_wrap=True)

    def close(self) -> None:
        """Take the moving lines away; more lines may follow."""
        live, self._live, self.moving = self._live, None, False
        if live is not None:
            live.stop()

    def clear(self) -> None:
        """Take the moving lines away until they are drawn again."""
        live, self._live = self._live, None
        if live is not None:
            live.stop()


def _bar(width: int, label: str, share: float, right: str, below: str) -> Any:
    """The moving lines as rich draws them."""
    from rich.console import Group
    from rich.progress_bar import ProgressBar
    from rich.table import Table
    from rich.text import Text

    room = min(width - 1, WIDEST) - len(label) - len(right) - 4
    grid = Table.grid(padding=(0, 2, 0, 0))
    grid.add_row(
        Text(label, no_wrap=True),
        ProgressBar(total=1.0, completed=share, width=max(4, room)),
        Text(right, style="dim", no_wrap=True),
    )
    return Group(grid, Text(below, no_wrap=True, overflow="ellipsis")) if below else grid


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
        self._metric = ""
        self._samples, self._loss = 0, 0.0
        if self._screen.moving:
            self._screen.draw(f"epoch {done_steps // max(1, per_epoch) + 1}/{epochs}", self._share(done_steps), "")
        self._started = self._since = time.monotonic()

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
        self._samples, self._loss, self._since = 0, 0.0, time.monotonic()

    def note(self, text: str) -> None:
        """Show a line that stays."""
        self._screen.line(text)

    def close(self) -> None:
        """Take the bar away and leave the table."""
        self._screen.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, at: TracebackType | None) -> None:
        self.close()

    def _share(self, step: int) -> float:
        return step / max(1, self._total)

    def _draw(self, done: StepDone) -> None:
        now = time.monotonic()
        left = (now - self._started) / (done.step - self._first) * (self._total - done.step)
        for name, value in (self._running() if self._running else {}).items():
            self._metric = f"{name} {number(value)}   "
            break
        rate = self._samples / max(now - self._since, 1e-9)
        self._screen.draw(
            f"epoch {done.epoch}/{self._epochs}",
            self._share(done.step),
            f"{percent(self._share(done.step), 0)}  {seconds_text(left)} left",
            f"loss {number(self._loss / self._samples)}   {self._metric}lr {done.lr:.4g}   {rate:,.0f} samples/s",
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
            self._screen.clear()
            self._screen.line(f"fetched {name} {bytes_text(total)}")
        elif self._screen.due():
            self._screen.draw(name, received / total, f"{bytes_text(received)} of {bytes_text(total)}")

    def close(self) -> None:
        """Take the bar away."""
        self._screen.close()


def download_progress() -> DownloadProgress:
    """What shows the downloads of this process."""
    return DownloadProgress()
