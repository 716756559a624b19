"""Small arrays as text that can be followed with a pencil: numbers in columns, with their points below each other."""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from dlcli.cli.charts import side_by_side

DIGITS = 4
"""Decimals, or where all numbers are below 1 the figures of the largest one."""


def matrices(arrays: Mapping[str, Any], width: int) -> str:
    """Nested lists below their names, side by side in `width` columns; of three axes or more, matrix by matrix."""
    named = [pair for title, values in arrays.items() for pair in _matrices(title, values)]
    blocks = [[name, *rows(matrix, width)] for name, matrix in named]
    wide = [f"{block[0]:<{max(map(len, block))}}" for block in blocks]  # so that more than columns stand apart
    texts = ["\n".join([f"{first}  ", *block[1:]]) for first, block in zip(wide, blocks, strict=True)]
    text = side_by_side(texts, [""] * len(texts), width + 2)
    return "\n".join(line for line in text.splitlines() if line)


def rows(matrix: Sequence[Sequence[float]], width: int) -> list[str]:
    """The rows of a matrix as lines; where they are longer than `width` each goes on in the next line, further in."""
    top = max((abs(value) for row in matrix for value in row if math.isfinite(value)), default=0.0)
    columns = [aligned(column, top) for column in zip(*matrix, strict=True)]
    lines: list[list[str]] = [[""] for _ in matrix]
    for column in columns:
        if lines[0][-1] and len(lines[0][-1]) + 2 + len(column[0]) > width:
            for line in lines:
                line.append("  ")
        for line, cell in zip(lines, column, strict=True):
            line[-1] += ("  " if line[-1].strip() else "") + cell
    return [part.rstrip() for line in lines for part in line]


def aligned(values: Sequence[float], top: float) -> list[str]:
    """Numbers below each other, points in line, in as few decimals as they need; `top` is the largest around them."""
    places = DIGITS - 1 - min(-1, math.floor(math.log10(top))) if top else 0
    plain = top == 0 or 1e-4 <= top < 1e6
    texts = [_short(f"{value:.{places}f}") if plain else f"{value:.{DIGITS}g}" for value in values]
    halves = [text.partition(".") if plain else (text, "", "") for text in texts]
    left, right = max(len(whole) for whole, _, _ in halves), max(len(point + rest) for _, point, rest in halves)
    return [f"{whole:>{left}}{point + rest:<{right}}" for whole, point, rest in halves]


def _short(text: str) -> str:
    """Without the zeros that say nothing, nor the sign of a zero."""
    text = text.rstrip("0").rstrip(".") if "." in text else text
    return "0" if text == "-0" else text


def _matrices(name: str, values: Any) -> Iterator[tuple[str, list[list[float]]]]:
    if not isinstance(values, list):
        yield name, [[values]]
    elif not isinstance(values[0], list):
        yield name, [values]
    elif not isinstance(values[0][0], list):
        yield name, values
    else:
        for i, inside in enumerate(values):
            for part, matrix in _matrices(f"[{i}", inside):
                yield f"{name}{part if part.endswith(']') else part + ']'}", matrix
