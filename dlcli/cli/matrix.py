"""Small arrays as text that can be followed with a pencil: numbers in columns, with their points below each other."""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from dlcli.cli.images import side_by_side

DIGITS = 4
"""Decimals, or where all numbers are below 1 the figures of the largest one."""


FURTHER = "  "
"""What stands before the lines in which a row goes on."""


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
    lines = ["  ".join(cells) for cells in zip(*columns, strict=True)]
    if len(lines[0]) > width:
        each, flat = len(columns), aligned([value for row in matrix for value in row], top)
        room = max(1, (width - len(FURTHER) + 2) // (len(flat[0]) + 2))
        lines = [
            (FURTHER if i else "") + "  ".join(flat[start + i : start + min(i + room, each)])
            for start in range(0, len(flat), each)
            for i in range(0, each, room)
        ]
    return [line.rstrip() for line in lines]


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


def _matrices(name: str, values: Any, place: tuple[int, ...] = ()) -> Iterator[tuple[str, list[list[float]]]]:
    """The matrices in nested lists by name, such as `x[0, 2]` where there are four axes."""
    title = name + (f"[{', '.join(map(str, place))}]" if place else "")
    if not isinstance(values, list):
        yield title, [[values]]
    elif not isinstance(values[0], list):
        yield title, [values]
    elif not isinstance(values[0][0], list):
        yield title, values
    else:
        for i, inside in enumerate(values):
            yield from _matrices(name, inside, (*place, i))
