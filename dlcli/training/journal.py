"""A journal such as metrics.jsonl: one JSON object per line, appended with one write each, repaired at resume."""

from __future__ import annotations

import json
import math
import os
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any, NoReturn

from dlcli.core import fsio
from dlcli.core.appendfile import AppendFile
from dlcli.core.errors import CheckpointError, quote

MAX_SIZE = 2**30
"""The largest journal that is read, in bytes."""

NONFINITE = "nonfinite"
"""The key under which a row says which of its nulls were nan, inf or -inf: JSON has no such numbers."""

Row = dict[str, Any]


class Journal:
    """Appends rows to a file; `lines` counts those in it. Raises OutputError when it cannot write.

    A last line that a crash cut short is cut off when the file is opened.
    """

    def __init__(self, path: Path) -> None:
        self.path = path
        data = _content(path)
        self._file = AppendFile(path)
        self.lines = data.count(b"\n")
        whole = data.rfind(b"\n") + 1
        if whole < len(data):
            self._file.truncate(whole)

    def append(self, row: Mapping[str, Any]) -> None:
        """Appends one row as strict JSON: nan and inf become null, and are named under `NONFINITE`."""
        nonfinite: dict[str, str] = {}
        clean = {key: finite(value, key, nonfinite) for key, value in row.items()}
        if nonfinite:
            clean[NONFINITE] = nonfinite
        self._file.append_line(json.dumps(clean, allow_nan=False).encode())
        self.lines += 1

    def sync(self) -> int:
        """Forces the rows to disk and returns how many lines the file has."""
        self._file.sync()
        return self.lines

    def close(self) -> None:
        """Closes the file."""
        self._file.close()

    def __enter__(self) -> Journal:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()


def read(path: Path) -> list[Row]:
    """The rows of a journal; none where it does not exist. A last line without its line feed is ignored.

    Raises CheckpointError, which names the line, for anything else that is not one JSON object per line.
    """
    lines = _content(path).split(b"\n")[:-1]
    return [_parse(line, f"{path}:{number}") for number, line in enumerate(lines, 1)]


def repair(path: Path, lines: int, step: int, note: Callable[[str], None]) -> None:
    """Cuts a journal down to the `lines` that a checkpoint at `step` counts, so that resuming continues it exactly.

    What is cut off is kept as `<stem>.dropped-<n>.jsonl`, with a note. Raises CheckpointError if there are fewer lines,
    if one that stays is not a row, or if their steps decrease or pass `step`; the file is then as before.
    """
    data = _content(path)
    kept = data.split(b"\n")[:-1][:lines]
    if len(kept) < lines:
        raise CheckpointError(f"{path}: {len(kept)} whole lines, expected {lines} as in the checkpoint at step {step}")
    last = 0
    for number, line in enumerate(kept, 1):
        where = f"{path}:{number}"
        now = _parse(line, where).get("step")
        if type(now) is not int or not last <= now <= step:
            raise CheckpointError(f"{where}: step is {quote(now)}, expected a whole number from {last} to {step}")
        last = now
    size = sum(len(line) + 1 for line in kept)
    if size < len(data):
        dropped = _unused(path)
        fsio.write_atomic(dropped, data[size:])
        fsio.write_atomic(path, data[:size])
        note(f"{path}: what was written after step {step} is moved to {dropped.name}")


def _content(path: Path) -> bytes:
    return fsio.read_regular(path, MAX_SIZE, CheckpointError) if os.path.lexists(path) else b""


def _unused(path: Path) -> Path:
    n = 1
    while (dropped := path.with_name(f"{path.stem}.dropped-{n}{path.suffix}")).exists():
        n += 1
    return dropped


def finite(value: Any, key: str, nonfinite: dict[str, str]) -> Any:
    """`value` with null for each number that is not finite, whose dotted keys and kinds go to `nonfinite`."""
    if isinstance(value, float) and not math.isfinite(value):
        nonfinite[key] = str(float(value))
        return None
    if isinstance(value, Mapping):
        return {k: finite(v, f"{key}.{k}", nonfinite) for k, v in value.items()}
    if isinstance(value, (list, tuple)):
        return [finite(v, f"{key}.{i}", nonfinite) for i, v in enumerate(value)]
    return value


def parse(text: bytes) -> Any:
    """The value of a JSON text; ValueError for anything else, numbers that are not finite included."""
    try:
        return json.loads(text, parse_constant=_refuse, parse_float=_number)
    except RecursionError:
        raise ValueError("nested too deeply") from None


def _parse(line: bytes, where: str) -> Row:
    try:
        row = parse(line)
    except ValueError:
        row = None
    if not isinstance(row, dict):
        raise CheckpointError(f"{where}: {quote(line.decode('utf-8', 'replace'))}, expected a JSON object")
    return row


def _number(text: str) -> float:
    value = float(text)
    return value if math.isfinite(value) else _refuse(text)


def _refuse(constant: str) -> NoReturn:
    raise ValueError(f"{constant} is no number of JSON")
