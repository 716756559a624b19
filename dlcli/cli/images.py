"""Images in text, and blocks of text side by side."""

from __future__ import annotations

import math
from collections.abc import Sequence
from itertools import islice
from typing import Any

from dlcli.cli.charts import cells, pad, shares
from dlcli.core.errors import escape

SHADES = " ░▒▓█"
EDGE = 0.4
"""The difference between two pixels, of the range of the image, from which a half-block shows them apart."""


def half_blocks(image: Any, *, color: bool = False) -> str:
    """A grey image (H, W) in text, two rows of pixels for a row of characters; bright pixels are inked.

    The range of the image is stretched to the range of the marks. With `color` each pixel has one of the 24 greys of a
    256-colour terminal, else a half-block where the pixels above each other differ, and a shade where they do not.
    """
    rows = [list(row) for row in image]
    inked = iter(shares((pixel for row in rows for pixel in row), flat=0.0))
    inks = [[0.0 if math.isnan(share) else share for share in islice(inked, len(row))] for row in rows]
    if len(inks) % 2:
        inks.append([0.0] * len(inks[-1]))
    draw = _grey_row if color else _ink_row
    return "\n".join(draw(inks[i], inks[i + 1]) for i in range(0, len(inks), 2))


def _grey_row(upper: Sequence[float], lower: Sequence[float]) -> str:
    pairs = zip(upper, lower, strict=True)
    return "".join(f"\x1b[38;5;{232 + round(23 * a)};48;5;{232 + round(23 * b)}m▀" for a, b in pairs) + "\x1b[0m"


def _ink_row(upper: Sequence[float], lower: Sequence[float]) -> str:
    return "".join(
        ("▀" if a > b else "▄") if abs(a - b) >= EDGE else SHADES[math.ceil((a + b) / 2 * (len(SHADES) - 1) - 0.5)]
        for a, b in zip(upper, lower, strict=True)
    )


def side_by_side(blocks: Sequence[str], captions: Sequence[str], width: int) -> str:
    """Blocks of text in a row with a caption below each, in as many rows as `width` columns ask for."""
    boxes = []
    for block, caption in zip(blocks, captions, strict=True):
        lines, below = block.split("\n"), escape(caption)
        boxes.append((lines, below, max(map(cells, [*lines, below]))))
    rows: list[list[tuple[list[str], str, int]]] = []
    room = -1
    for box in boxes:
        if box[2] + 2 > room:
            rows.append([])
            room = width + 2
        rows[-1].append(box)
        room -= box[2] + 2
    return "\n\n".join(_box_row(row) for row in rows)


def _box_row(boxes: Sequence[tuple[list[str], str, int]]) -> str:
    height = max(len(lines) for lines, _, _ in boxes)
    columns = [[pad(line, w) for line in [*lines, *[""] * (height - len(lines)), below]] for lines, below, w in boxes]
    return "\n".join("  ".join(parts).rstrip() for parts in zip(*columns, strict=True))
