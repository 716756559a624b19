"""Errors: exit codes, one bounded line a problem, user text that cannot drive a terminal, near names."""

from __future__ import annotations

import pytest

from dlcli.core import errors
from dlcli.core.errors import EXIT_CODES, MAX_LINE, MAX_VALUE, DlcliError, ShapeError, escape, quote, suggest


def family(cls: type[DlcliError] = DlcliError) -> list[type[DlcliError]]:
    return [cls, *(inner for sub in cls.__subclasses__() if sub.__module__ == errors.__name__ for inner in family(sub))]


def test_every_class_has_a_documented_exit_code() -> None:
    assert {cls.code for cls in family()} == set(EXIT_CODES) - {0}
    assert list(EXIT_CODES) == list(range(12))


def test_a_line_for_each_problem() -> None:
    error = DlcliError("a: got 1", "b: got 2")
    assert error.lines() == ["error: a: got 1", "error: b: got 2"]
    assert str(error) == "a: got 1; b: got 2"


def test_lines_are_bounded_and_hold_no_control_characters() -> None:
    (line,) = DlcliError("where: " + "x" * 1000 + "; the way out\n").lines()
    assert MAX_LINE - 5 < len(line) <= MAX_LINE
    assert line.startswith("error: where: xx")
    assert "..." in line
    assert line.endswith(r"; the way out\n")
    (line,) = DlcliError("a\nb\x1b[2J\u202e\ud800").lines()
    assert line == r"error: a\nb\x1b[2J\u202e\ud800"


@pytest.mark.parametrize(
    ("value", "shown"),
    [
        ("relu", "'relu'"),
        ("a\tb", r"'a\tb'"),
        ("größe", "'größe'"),
        (3, "3"),
        (None, "None"),
        ([1, "x"], "[1, 'x']"),
        ("y" * 100, "'" + "y" * (MAX_VALUE - 3) + "...'"),
        (list(range(100)), str(list(range(100)))[: MAX_VALUE - 3] + "..."),
    ],
)
def test_values_of_users_are_quoted(value: object, shown: str) -> None:
    assert quote(value) == shown


def test_escape_leaves_printable_text_alone() -> None:
    assert escape("déjà vu 日本 'x' \\") == "déjà vu 日本 'x' \\"


NAMES = ["Linear", "LeakyReLU", "ReLU", "weight_decay", "fashion-mnist"]


@pytest.mark.parametrize(
    ("wrong", "hint"),
    [
        ("linear", "did you mean 'Linear'?"),
        ("Liner", "did you mean 'Linear'?"),
        ("RELU", "did you mean 'ReLU'?"),
        ("weight-decay", "did you mean 'weight_decay'?"),
        ("fashion_mnist", "did you mean 'fashion-mnist'?"),
        ("leakyrelu", "did you mean 'LeakyReLU'?"),
        ("zzz", "expected one of: LeakyReLU, Linear, ReLU, fashion-mnist, weight_decay"),
        ("", "expected one of: LeakyReLU, Linear, ReLU, fashion-mnist, weight_decay"),
    ],
)
def test_near_names(wrong: str, hint: str) -> None:
    assert suggest(wrong, NAMES) == hint


def test_long_lists_of_names_are_cut() -> None:
    assert (
        suggest("zzz", [f"N{i}" for i in range(10)])
        == "expected one of: N0, N1, N2, N3, N4, N5, N6, N7, ... (10 in all)"
    )
    assert suggest("zzz", []) == "no name is known here"


def test_shape_errors_carry_the_path_to_the_layer() -> None:
    error = ShapeError("got 3").inside(0).inside(3, "body")
    assert error.path == (3, "body", 0)
    assert error.code == 3
