"""The one family of exceptions for everything that a user can cause, each class with its documented exit code."""

from __future__ import annotations

import os
import re
from collections.abc import Iterable
from difflib import get_close_matches
from pathlib import Path

MAX_LINE = 400
"""The longest line that an error may print, in characters."""

MAX_VALUE = 60
"""The longest piece of the user's own text that an error repeats, in characters."""

MAX_PATH = 200
"""The longest path that an error repeats, in characters; of a longer one it shows the end."""


def escape(text: str) -> str:
    """`text` with every character that is not printable written as an escape, so that input cannot drive a terminal."""
    return "".join(c if c.isprintable() else c.encode("unicode_escape", "backslashreplace").decode() for c in text)


def quote(value: object) -> str:
    """A user's value as errors show it: escaped, in quotes where it is text, at most `MAX_VALUE` characters."""
    text = escape(value) if isinstance(value, str) else escape(repr(value))
    if len(text) > MAX_VALUE:
        text = text[: MAX_VALUE - 3] + "..."
    return f"'{text}'" if isinstance(value, str) else text


def short_path(path: Path) -> str:
    """A path as errors show it: its end where it is long."""
    text = str(path)
    return text if len(text) <= MAX_PATH else "..." + text[3 - MAX_PATH :]


def reason(error: Exception) -> str:
    """What the system says of an error, in lower case; of one that is not the system's, its own words."""
    number = getattr(error, "errno", None)
    return os.strerror(number).lower() if number else str(error)


def shorten(line: str) -> str:
    """A line of at most `MAX_LINE` characters: the middle goes, since the place comes first and the way out last."""
    half = (MAX_LINE - 5) // 2
    return line if len(line) <= MAX_LINE else f"{line[:half]} ... {line[-half:]}"


def nearest(wrong: str, names: Iterable[str]) -> str | None:
    """The name that was probably meant: the same but for case and dashes, a close match, or the one longer one."""
    names = list(names)
    same = [n for n in names if n.lower().replace("-", "_") == wrong.lower().replace("-", "_")]
    near = same or get_close_matches(wrong, names, n=1, cutoff=0.75)
    if not near:
        lowered = {n.lower(): n for n in names}
        near = [lowered[n] for n in get_close_matches(wrong.lower(), lowered, n=1, cutoff=0.75)]
    if not near and len(wrong) >= 3:  # MSE for MSELoss
        longer = [n for n in names if n.lower().startswith(wrong.lower())]
        near = longer if len(longer) == 1 else []
    return near[0] if near else None


def suggest(wrong: str, names: Iterable[str]) -> str:
    """The end of a message about an unknown name: the one near name, else at most eight that exist."""
    names = list(names)
    near = nearest(wrong, names)
    if near is not None:
        return f"did you mean '{near}'?"
    if not names:
        return "no name is known here"
    shown = ", ".join(sorted(names, key=_natural)[:8])
    return f"expected one of: {shown}" + (f", ... ({len(names)} in all)" if len(names) > 8 else "")


def _natural(name: str) -> list[str | int]:
    """What sorts 2.body.10 behind 2.body.9."""
    return [int(part) if i % 2 else part for i, part in enumerate(re.split(r"([0-9]+)", name))]


class DlcliError(Exception):
    """One or more problems, a line each; `code` is the process's exit code.

    A line reads *where: what was got, what was expected; how to fix it*, in lower case without a full stop.
    """

    code = 1

    def __init__(self, *problems: str) -> None:
        self.problems = [escape(p) for p in problems]
        super().__init__("; ".join(self.problems))

    def lines(self) -> list[str]:
        """Each problem as the one line that is printed."""
        return [shorten(f"error: {problem}") for problem in self.problems]


class UsageError(DlcliError):
    """The command line is wrong."""

    code = 2


class ConfigError(DlcliError):
    """The config is wrong: its text, a key, a value, or how the parts fit together."""

    code = 3


class ShapeError(ConfigError):
    """A layer or loss cannot take the shape that it is given; the message says what to change.

    `path` leads from the stack to the guilty layer, such as `(3, "body", 0)`.
    """

    path: tuple[int | str, ...] = ()

    def inside(self, *outer: int | str) -> ShapeError:
        """The same error with its path seen from the container."""
        self.path = (*outer, *self.path)
        return self


class DataError(DlcliError):
    """Data is present but wrong."""

    code = 4


class UnavailableError(DlcliError):
    """Data cannot be had: offline, or every mirror failed."""

    code = 5


class CheckpointError(DlcliError):
    """A checkpoint or run is missing, corrupt, newer than this version, or does not fit."""

    code = 6


class BusyError(DlcliError):
    """A run exists already, or another process holds it."""

    code = 7


class OutputError(DlcliError):
    """Output cannot be written."""

    code = 8


class DivergedError(DlcliError):
    """Training left the finite numbers."""

    code = 9


class CheckFailedError(DlcliError):
    """A check that the user asked for did not pass."""

    code = 10


class ResourceError(DlcliError):
    """Out of memory, files or threads, or a Python or NumPy that is too old."""

    code = 11


EXIT_CODES = {
    0: "done, or already complete",
    1: "a bug in dlcli",
    2: "command line wrong",
    3: "config wrong",
    4: "data present but wrong",
    5: "data unavailable (offline, mirrors down)",
    6: "checkpoint missing, corrupt, newer, or does not fit",
    7: "run exists or is locked by another process",
    8: "output cannot be written",
    9: "training diverged (non-finite)",
    10: "a check failed (gradcheck, sanity, --require)",
    11: "out of memory, files, threads; too old a NumPy or Python",
}
"""What each exit code means; `dlcli --help` and the README print this table."""
