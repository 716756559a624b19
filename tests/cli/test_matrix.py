"""Small arrays as text."""

from __future__ import annotations

from dlcli.cli.matrix import matrices


def test_matrices_keep_their_points_in_line_and_wrap() -> None:
    shown = matrices({"a": [[1.0, -0.5], [10.25, 0.0]], "b": [1e-7, float("nan")], "c": 2.0}, 80)
    assert shown.splitlines() == [
        "a              b             c",
        " 1     -0.5    1e-07  nan    2",
        "10.25   0",
    ]
    assert matrices({"a": [[1.0, 2.0, 3.0], [4.0, 5.0, 6.0]]}, 6).splitlines() == ["a", "1  2", "  3", "4  5", "  6"]
    assert matrices({"a": [[[1.0]], [[2.0]]]}, 80).splitlines() == ["a[0]    a[1]", "1       2"]
    assert matrices({"a": [[[[1.0, 2.0]]], [[[3.0, 4.0]]]]}, 80).splitlines() == [
        "a[0, 0]    a[1, 0]",
        "1  2       3  4",
    ]
    assert matrices({"a": [0.5, -10.0, 100.25, 2.0]}, 18).splitlines() == ["a", "  0.5   -10", "  100.25    2"]
