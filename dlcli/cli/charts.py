"""Charts, tables and numbers as plain text: pure functions from values to strings."""

from __future__ import annotations

import math
import re
import unicodedata
from collections.abc import Iterable, Iterator, Sequence
from numbers import Integral, Real
from typing import Any, SupportsFloat

from dlcli.core.errors import escape

LEVELS = "▁▂▃▄▅▆▇█"
STROKES = (("─", 1, 1), ("╌", 2, 4))
"""How the series of a curve are drawn: the mark in the legend, and how many dots of how many are set."""
BRAILLE = ((0x01, 0x02, 0x04, 0x40), (0x08, 0x10, 0x20, 0x80))
"""The bit of each of the 2 x 4 dots of a braille character, by column and row."""
COLOUR_CODE = re.compile(r"\x1b\[[0-9;]*m")

Number = SupportsFloat | None


def number(value: Number) -> str:
    """A float with 4 significant figures, an integer as it is, and a dash for None."""
    if value is None:
        return "-"
    return str(value) if isinstance(value, Integral) else f"{float(value):#.4g}".rstrip(".")


def percent(fraction: float, digits: int = 2) -> str:
    """0.97604 as `97.60 %`."""
    return f"{100 * fraction:.{digits}f} %"


def bytes_text(count: int) -> str:
    """A count of bytes in decimal units: `4.5 kB`, `9.9 MB`."""
    if count < 1000:
        return f"{count} B"
    power = next(k for k in (1, 2, 3, 4) if k == 4 or count / 1000**k < 999.95)
    return f"{count / 1000**power:.1f} {'kMGT'[power - 1]}B"


def seconds_text(seconds: float) -> str:
    """A duration in its two largest units: `35 ms`, `0.9 s`, `42 s`, `3 min 5 s`, `2 h 10 min`."""
    if seconds < 0.0995:
        return f"{1000 * seconds:.0f} ms"
    if seconds < 9.95:
        return f"{seconds:.1f} s"
    whole = round(seconds)
    if whole < 60:
        return f"{whole} s"
    if whole < 3600:
        return f"{whole // 60} min {whole % 60} s"
    return f"{whole // 3600} h {whole % 3600 // 60} min"


def cells(text: str) -> int:
    """How many columns of a terminal the text takes: wide characters two, combining marks and colour codes none."""
    plain = COLOUR_CODE.sub("", text)
    if plain.isascii():
        return len(plain)
    return sum(
        0 if unicodedata.category(c) in ("Mn", "Me", "Cf") else 2 if unicodedata.east_asian_width(c) in "WF" else 1
        for c in plain
    )


def pad(text: str, width: int, align: str = "l") -> str:
    """The text filled up with spaces to `width` columns; `align` is l, r or c."""
    missing = max(0, width - cells(text))
    left = {"l": 0, "r": missing, "c": missing // 2}[align]
    return " " * left + text + " " * (missing - left)


def table(headers: Sequence[str], rows: Iterable[Sequence[object]], *, align: str | None = None) -> str:
    """Aligned columns two spaces apart, never wrapped; floats are shown by `number`, None as a dash.

    `align` has one letter (l or r) for each column; without it, columns of numbers go to the right.
    """
    rows = [list(row) for row in rows]
    if align is None:
        align = "".join("r" if _numeric(row[i] for row in rows) else "l" for i in range(len(headers)))
    lines = [[escape(h) for h in headers], *([_cell(value) for value in row] for row in rows)]
    widths = [max(map(cells, column)) for column in zip(*lines, strict=True)]
    return "\n".join(
        "  ".join(pad(text, w, a) for text, w, a in zip(line, widths, align, strict=True)).rstrip() for line in lines
    )


def _numeric(column: Iterator[object]) -> bool:
    values = [value for value in column if value is not None]
    return bool(values) and all(isinstance(value, Real) for value in values)


def _cell(value: object) -> str:
    return number(value) if value is None or isinstance(value, Real) else escape(str(value))


def confusion(matrix: Any, names: Sequence[str]) -> str:
    """Counts (K, K) with a row for each true class and a column for each predicted one; a dot stands for zero.

    Where the names are too long for the columns, both sides carry the classes' indices too.
    """
    body = [[int(count) for count in row] for row in matrix]
    long = max((cells(escape(name)) for name in names), default=0) > 5
    columns = [str(i) for i in range(len(names))] if long else list(names)
    labels = [f"{i} {name}" for i, name in enumerate(names)] if long else names
    rows = [[label, *(str(count) if count else "·" for count in row)] for label, row in zip(labels, body, strict=True)]
    return table(["true \\ predicted", *columns], rows, align="l" + "r" * len(names))


def sparkline(values: Iterable[Number]) -> str:
    """One character of eight levels for each value, from the least to the greatest; a space where it is not finite."""
    top = len(LEVELS) - 1
    return "".join(LEVELS[round(top * v)] if math.isfinite(v) else " " for v in shares(values, flat=3 / top))


def shares(values: Iterable[Number], flat: float) -> list[float]:
    """Where each value lies between the least (0) and the greatest (1); NaN where not finite, `flat` if all are one."""
    halves = [_float(value) / 2 for value in values]  # the difference of two halves is finite
    finite = [v for v in halves if math.isfinite(v)]
    low, high = min(finite, default=0.0), max(finite, default=0.0)
    return [math.nan if not math.isfinite(v) else (v - low) / (high - low) if low < high else flat for v in halves]


def _float(value: Number) -> float:
    return math.nan if value is None else float(value)


def curve(
    series: dict[str, Sequence[Number]],
    *,
    width: int = 60,
    height: int = 10,
    xlabel: str = "epoch",
    ends: tuple[str, str] | None = None,
    mark: float | None = None,
) -> str:
    """The series as lines of braille dots over 1, 2, ... with axes and a legend; gaps where a value is not finite.

    `width` and `height` are the plot's, in characters; the axes and labels come on top. `ends` names the first and last
    value where they are not 1, 2, ..., and `mark` points at a place on the x axis, from 0 to 1.
    """
    lines = {name: [_float(value) for value in values] for name, values in series.items()}
    finite = [v for values in lines.values() for v in values if math.isfinite(v)]
    if not finite:
        return "no finite value to draw"
    low, high = min(finite), max(finite)
    if low / 2 == high / 2:
        low, high = low - (abs(low) or 1) / 2, high + (abs(high) or 1) / 2
    count = max(map(len, lines.values()))
    across, down = 2 * width - 1, 4 * height - 1
    masks = [[0] * width for _ in range(height)]
    for i, values in enumerate(lines.values()):
        places = [
            (k * across / (count - 1) if count > 1 else across / 2, (high / 2 - v / 2) / (high / 2 - low / 2) * down)
            for k, v in enumerate(values)
        ]
        for x, y in _stroke(places, *STROKES[i % len(STROKES)][1:]):
            masks[y // 4][x // 2] |= BRAILLE[x % 2][y % 4]
    plot = _framed(masks, low, high)
    margin = plot[0].index("┤")
    first, last = ends or ("1", str(count))
    room = max(0, width - len(first) - len(last))
    below = f"{first}{xlabel:^{room}}{last}" if count > 1 else f"{f'{xlabel} {first}':^{width}}"
    axis = ["─"] * width
    if mark is not None:
        axis[round(mark * (width - 1))] = "▲"
    indent = " " * (margin + 1)
    return "\n".join([indent + _legend(lines), *plot, f"{'└':>{margin + 1}}{''.join(axis)}", (indent + below).rstrip()])


def _stroke(places: Sequence[tuple[float, float]], on: int, of: int) -> Iterator[tuple[int, int]]:
    """The dots of the line through the places, `on` of each `of`; a place without finite neighbours is one dot."""
    drawn = 0
    before: tuple[float, float] | None = None
    for place in places:
        if not math.isfinite(place[1]):
            before = None
            continue
        x0, y0 = before or place
        dx, dy = place[0] - x0, place[1] - y0
        dots = max(1, math.ceil(max(abs(dx), abs(dy))))
        for k in range(1 if before else dots, dots + 1):
            drawn += 1
            if drawn % of < on or before is None:
                yield round(x0 + dx * k / dots), round(y0 + dy * k / dots)
        before = place


def _legend(lines: dict[str, list[float]]) -> str:
    """The name of each series behind its stroke."""
    return "   ".join(f"{STROKES[i % len(STROKES)][0] * 3} {escape(name)}" for i, name in enumerate(lines))


def _framed(masks: Sequence[Sequence[int]], low: float, high: float) -> list[str]:
    """The rows of dots behind a y axis that names the highest, the middle and the lowest value."""
    last = len(masks) - 1
    named = {last: low, 0: high} | (
        {last // 2: low * (last // 2 / last) + high * (1 - last // 2 / last)} if last > 3 else {}
    )
    labels = {row: number(value) for row, value in named.items()}
    margin = max(map(len, labels.values()))
    return [
        f"{labels.get(row, ''):>{margin}} {'┤' if row in labels else '│'}"
        + "".join(chr(0x2800 + mask) if mask else " " for mask in masks[row]).rstrip()
        for row in range(last + 1)
    ]
