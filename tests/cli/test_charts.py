"""Charts and tables as text: exact pictures of small inputs, and the edges."""

from __future__ import annotations

import math

import numpy as np
import pytest

from dlcli.cli import charts, images

NAN = math.nan


@pytest.mark.parametrize(
    ("value", "text"),
    [
        (0.35194, "0.3519"),
        (0.201, "0.2010"),
        (1.0, "1.000"),
        (1234.5, "1234"),
        (1e-5, "1.000e-05"),
        (0.0, "0.000"),
        (-0.5, "-0.5000"),
        (7, "7"),
        (np.int64(7), "7"),
        (np.float32(0.25), "0.2500"),
        (None, "-"),
        (NAN, "nan"),
        (-math.inf, "-inf"),
    ],
)
def test_number_has_four_figures(value: float | None, text: str) -> None:
    assert charts.number(value) == text


@pytest.mark.parametrize(
    ("seconds", "text"),
    [
        (0.0004, "0 ms"),
        (0.0994, "99 ms"),
        (0.0996, "0.1 s"),
        (9.94, "9.9 s"),
        (9.96, "10 s"),
        (59.6, "1 min 0 s"),
        (3599.7, "1 h 0 min"),
        (7830, "2 h 10 min"),
    ],
)
def test_seconds_round_into_the_next_unit(seconds: float, text: str) -> None:
    assert charts.seconds_text(seconds) == text


@pytest.mark.parametrize(
    ("count", "text"),
    [
        (0, "0 B"),
        (999, "999 B"),
        (1000, "1.0 kB"),
        (999_949, "999.9 kB"),
        (999_950, "1.0 MB"),
        (9_912_422, "9.9 MB"),
        (10**12, "1.0 TB"),
        (10**16, "10000.0 TB"),
    ],
)
def test_bytes_round_into_the_next_unit(count: int, text: str) -> None:
    assert charts.bytes_text(count) == text


def test_percent() -> None:
    assert charts.percent(0.97604) == "97.60 %"
    assert charts.percent(1, 0) == "100 %"


def test_a_table_aligns_numbers_right_text_left_and_counts_wide_characters() -> None:
    rows = [["a-1", 0.5, "lr=0.1"], ["日本", None, "x"], ["b\nx\x1b", 12, ""], ["e\u0301", np.float32(2), "y"]]
    assert charts.table(["run", "loss", "set"], rows).split("\n") == [
        "run         loss  set",
        "a-1       0.5000  lr=0.1",
        "日本           -  x",
        "b\\nx\\x1b      12",
        "e\u0301          2.000  y",
    ]


def test_a_table_without_rows_is_its_header_and_align_is_obeyed() -> None:
    assert charts.table(["a", "b"], []) == "a  b"
    assert charts.table(["name", "n"], [["x", 1], ["y", 22]], align="rl") == "name  n\n   x  1\n   y  22"


def test_confusion_with_short_and_with_long_names() -> None:
    assert charts.confusion(np.array([[3, 0], [1, 44]]), ["0", "1"]).split("\n") == [
        "true \\ predicted  0   1",
        "0                 3   ·",
        "1                 1  44",
    ]
    assert charts.confusion([[3, 0], [1, 44]], ["Ankle boot", "Bag"]).split("\n") == [
        "true \\ predicted  0   1",
        "0 Ankle boot      3   ·",
        "1 Bag             1  44",
    ]


@pytest.mark.parametrize(
    ("values", "text"),
    [
        ([1, 2, 3, 4, 5, 6, 7, 8], "▁▂▃▄▅▆▇█"),
        ([8.0, NAN, None, math.inf, 1.0], "█   ▁"),
        ([3, 3], "▄▄"),
        ([], ""),
        ([NAN], " "),
        ([-1e308, 0, 1e308], "▁▅█"),
    ],
)
def test_sparkline(values: list[float | None], text: str) -> None:
    assert charts.sparkline(values) == text


def test_a_curve_has_axes_a_legend_and_falls_from_left_to_right() -> None:
    assert charts.curve({"loss": [3.0, 1.0]}, width=8, height=2).split("\n") == [
        "       ─── loss",
        "3.000 ┤⠉⠒⠤⣀",
        "1.000 ┤    ⠉⠒⠤⣀",
        "      └────────",
        "       1epoch 2",
    ]


def test_two_series_are_drawn_with_different_strokes() -> None:
    flat = charts.curve({"a": [1, 1, 1], "b": [0, 0, 0]}, width=12, height=4).split("\n")
    assert flat[0].strip() == "─── a   ╌╌╌ b"
    solid, dashed = (flat[i].split("┤")[1] for i in (1, 4))
    assert set(solid) == {"⠉"}
    assert len(set(dashed)) > 1


def dots(text: str) -> int:
    return sum((ord(c) - 0x2800).bit_count() for c in text if 0x2800 < ord(c) < 0x2900)


@pytest.mark.parametrize(
    ("series", "count"),
    [
        ({"a": [1.0]}, 1),
        ({"a": [NAN, 1.0, None, 3.0, math.inf]}, 2),
        ({"a": [2, 2, 2]}, 40),
        ({"a": [0, 0]}, 40),
        ({"a": [1, 2], "b": [None, None]}, 40),
    ],
)
def test_points_without_neighbours_are_dots_and_constants_are_lines(
    series: dict[str, list[float | None]], count: int
) -> None:
    text = charts.curve(series, width=20, height=5)
    assert dots(text) == count
    assert len(text.split("\n")) == 8


@pytest.mark.parametrize("series", [{}, {"a": []}, {"a": [NAN, None]}])
def test_a_curve_of_nothing_says_so(series: dict[str, list[float | None]]) -> None:
    assert charts.curve(series) == "no finite value to draw"


@pytest.mark.parametrize("values", [[1e308, -1e308], [5e-324, 0.0], [1e300] * 3, list(range(5000))])
def test_extreme_values_do_not_break_a_curve(values: list[float]) -> None:
    lines = charts.curve({"a": values}, width=30, height=6).split("\n")
    assert len(lines) == 9
    assert max(map(len, lines)) <= 30 + len(" -1.000e+308 ┤")


def test_half_blocks_show_edges_and_shades_of_any_range() -> None:
    image = np.array([[0, 16, 0, 16, 4, 8, 12], [0, 16, 16, 0, 4, 8, 12], [16, 0, 0, 0, 0, 0, 0]])
    expected = " █▄▀░▒▓\n▀      "
    assert images.half_blocks(image) == expected
    assert images.half_blocks(image / 4 - 2) == expected
    assert images.half_blocks(np.zeros((4, 3))) == "   \n   "
    assert images.half_blocks([[NAN, 1.0], [0.0, 1.0]]) == " █"


def test_half_blocks_in_colour_set_both_pixels_and_end_every_line_plain() -> None:
    assert images.half_blocks([[0, 1], [1, 0]], color=True) == "\x1b[38;5;232;48;5;255m▀\x1b[38;5;255;48;5;232m▀\x1b[0m"


def test_side_by_side_wraps_to_the_width_and_pads_by_what_is_seen() -> None:
    blocks = ["ab\ncd", "\x1b[31mX\x1b[0m", "long line"]
    assert images.side_by_side(blocks, ["1", "two", "3"], 9).split("\n") == [
        "ab  \x1b[31mX\x1b[0m",
        "cd",
        "1   two",
        "",
        "long line",
        "3",
    ]
    assert images.side_by_side([], [], 80) == ""
