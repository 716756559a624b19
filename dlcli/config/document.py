"""A loaded config document: its values, and where each of them stands, for messages."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any, NamedTuple

from dlcli.core.errors import MAX_VALUE, ConfigError, escape

Path = tuple[str | int, ...]
"""Keys and list positions from the top of a document to a value."""

MAX_PROBLEMS = 20
"""The most problems that one error lists."""


def dotted(path: Path) -> str:
    """A path as messages write it: `model.2.Linear.out_features`."""
    return ".".join(escape(str(part))[:MAX_VALUE] or "''" for part in path)


class Mark(NamedTuple):
    """Where something stands, ordered by line; `raw` is a scalar's own text."""

    line: int
    column: int
    text: str
    raw: str | None = None


@dataclass
class Document:
    """A loaded document: plain Python values, and the mark of every value and key by its path."""

    value: Any
    source: str
    marks: dict[Path, Mark] = field(default_factory=dict)
    keys: dict[Path, Mark] = field(default_factory=dict)

    def mark(self, path: Path, key: bool = False) -> Mark:
        """The mark of the value at `path` (or of its key), else that of the nearest value around it."""
        if key and path in self.keys:
            return self.keys[path]
        while path and path not in self.marks:
            path = path[:-1]
        return self.marks.get(path, Mark(0, 0, self.source))

    def where(self, path: Path, key: bool = False) -> str:
        """`FILE:LINE:COL` of `mark(path, key)`."""
        return self.mark(path, key).text


def fail(problems: list[tuple[Mark, str]]) -> None:
    """Raise ConfigError with all `problems` in the order of their lines, the first `MAX_PROBLEMS`; return if none."""
    if problems:
        lines = [f"{mark.text}: {message}" for mark, message in sorted(problems, key=lambda p: p[0][:2])]
        more = len(lines) - MAX_PROBLEMS
        raise ConfigError(*lines[:MAX_PROBLEMS], *([f"and {more} more problems like these"] if more > 0 else []))
