"""The part of stderr that moves: lines that are drawn again and again below lines that stay.

The only file that knows rich, which it imports when something is first drawn.
"""

from __future__ import annotations

import os
import time
from collections.abc import Mapping
from typing import TYPE_CHECKING, TextIO, cast

if TYPE_CHECKING:
    from rich.console import RenderableType
    from rich.live import Live

PERIOD = 0.1
"""Seconds between two drawings, at least."""
SHARE = 0.01
"""The share of the time that drawing may take; a slow terminal is drawn less often."""
WIDEST = 80
"""The moving lines grow with the terminal up to this many columns."""


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
        self.moving = self.file.isatty() and _can_move(os.environ)
        self._live: Live | None = None
        self._next = 0.0

    def due(self) -> bool:
        """Whether the moving lines may be drawn again."""
        return self.moving and time.monotonic() >= self._next

    def draw(self, label: str, share: float, right: str, below: str = "") -> None:
        """Show a bar, filled by `share`, between two texts, and a line below it."""
        live = self._live = self._live or self._opened()
        started = time.monotonic()
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
        """Take the moving lines away; drawing brings them back."""
        live, self._live = self._live, None
        if live is not None:
            live.stop()


def _can_move(environ: Mapping[str, str]) -> bool:
    """Whether the terminal obeys cursor movements and has room for a line."""
    return environ.get("TERM") not in ("dumb", "unknown") and "0" not in (environ.get("COLUMNS"), environ.get("LINES"))


def _bar(width: int, label: str, share: float, right: str, below: str) -> RenderableType:
    """The moving lines as rich draws them."""
    from rich.console import Group
    from rich.progress_bar import ProgressBar
    from rich.table import Table
    from rich.text import Text

    room = min(width - 1, WIDEST) - len(label) - len(right) - 4
    grid = Table.grid(padding=(0, 2, 0, 0))
    grid.add_row(
        Text(label, no_wrap=True),
        ProgressBar(total=1.0, completed=share, width=max(4, room), complete_style="cyan", finished_style="green"),
        Text(right, style="dim", no_wrap=True),
    )
    return Group(grid, Text(below, no_wrap=True, overflow="ellipsis")) if below else grid
