"""What a gradient check found, as text: a line for each tensor, its sum, and what is wrong."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from functools import partial
from statistics import median
from typing import TYPE_CHECKING

from dlcli.cli.charts import table

if TYPE_CHECKING:
    from dlcli.nn.gradcheck import Report, Row

Column = tuple[str, str, Callable[[Sequence["Row"]], str]]
"""A title, its side (l or r), and what it says of the rows of one line."""

METHODS = {"complex": "complex step", "directional": "differences", "textbook": "textbook form"}
"""The columns of errors, by method."""


def text(report: Report) -> str:
    """The table, with the methods side by side, and what it comes to."""
    shown = [row for row in report.rows if row.method != "trained"]
    columns = _columns(shown)
    body = [[show(rows) for _, _, show in columns] for rows in _lines(shown)]
    drawn = table([title for title, _, _ in columns], body, align="".join(side for _, side, _ in columns))
    return f"{drawn}\n\n{_sum(report)}"


def failures(report: Report) -> list[str]:
    """What is wrong, a line for each tensor by the more exact method; consequences of other failures last."""
    if report.rows and all(row.skipped for row in report.rows):
        return [f"gradcheck: nothing was compared: {report.rows[0].layer}: {report.rows[0].hint}"]
    failed = [line[0] for line in _lines(row for row in report.rows if not row.passed)]
    return [_failure(row) for row in sorted(failed, key=lambda row: row.blame is not None)]


def _lines(rows: Iterable[Row]) -> list[list[Row]]:
    """The rows of each tensor, one for each method, which make one line."""
    lines: list[list[Row]] = []
    latest: dict[tuple[object, ...], list[Row]] = {}
    for row in rows:
        key = (row.layer, row.tensor, row.mode, row.after)
        if key not in latest or any(row.method == other.method for other in latest[key]):
            latest[key] = []
            lines.append(latest[key])
        latest[key].append(row)
    return lines


def _columns(rows: Sequence[Row]) -> list[Column]:
    """The columns that say something about these rows."""
    steps = all(row.method == "textbook" for row in rows)
    found: list[Column] = [
        ("optimizer" if steps else "layer", "l", lambda line: line[0].layer),
        ("parameter" if steps else "tensor", "l", lambda line: line[0].tensor),
    ]
    if not steps:
        found.append(("mode", "l", _mode))
    for method, title in METHODS.items():
        if any(row.method == method for row in rows):
            found.append((title, "r", partial(_error, method)))
    found.append(("verdict", "l", lambda line: max(line, key=lambda row: (not row.passed, row.error)).verdict))
    if any(row.kinks for row in rows):
        found.append(("kinks", "r", lambda line: str(sum(row.kinks for row in line) or "")))
    if any(row.proof for row in rows):
        found.append(("0.1 %", "l", lambda line: ", ".join(dict.fromkeys(row.proof for row in line if row.proof))))
    return found


def _mode(line: Sequence[Row]) -> str:
    return f"{line[0].mode} +{line[0].after}" if line[0].after else line[0].mode


def _error(method: str, line: Sequence[Row]) -> str:
    return next((f"{row.error:.1e}" for row in line if row.method == method), "-")


def _sum(report: Report) -> str:
    rows = [row for row in report.rows if not row.skipped and row.method != "trained"]
    grouped = _lines(rows)
    failed = sum(not all(row.passed for row in line) for line in grouped)
    verdict = f"{failed} of {len(grouped)} FAILED" if failed else f"all {len(grouped)} passed"
    parts = [_method(method, words, rows) for method, words in METHODS.items()]
    lines = [f"{verdict}: {'; '.join(filter(None, parts))}" if any(parts) else verdict]
    for row in (row for row in report.rows if row.method == "trained"):
        after = f", after {row.after} steps" if row.after else ""
        lines.append(f"{row.layer}{after}: off by {row.error:.1e}, held to {row.threshold:g}")
    lines += [f"skipped {row.layer}: {row.hint}" for row in report.rows if row.skipped]
    planted = [row.proof for row in rows if row.proof in ("found", "missed")]
    if planted:
        lines.append(f"errors of 0.1 % planted {len(planted)} times: {planted.count('found')} found")
    if any(row.proof for row in rows):
        for proof, why in (("zero", "they are zero"), ("small", "round-off hides it")):
            names = _names(row for row in rows if row.proof == proof)
            if names:
                lines.append(f"not provable, because {why}: {names}")
    return "\n".join(lines)


def _method(method: str, words: str, rows: Sequence[Row]) -> str:
    """`14 by complex step (largest 5.1e-16, median 1.0e-16, held to 1e-10)`."""
    own = [row for row in rows if row.method == method]
    if not own:
        return ""
    errors = [row.error for row in own]
    return (
        f"{len(own)} by {words} (largest {max(errors):.1e}, median {median(errors):.1e}, held to {own[0].threshold:g})"
    )


def _names(rows: Iterable[Row], most: int = 6) -> str:
    names = list(dict.fromkeys(f"{row.layer} {row.tensor}" for row in rows))
    more = f" and {len(names) - most} more" if len(names) > most else ""
    return ", ".join(names[:most]) + more


def _failure(row: Row) -> str:
    """What is wrong with one gradient, or with the layer itself, in one line."""
    start = f"{row.where}: gradcheck" if row.where else "gradcheck"
    tensor = row.tensor if row.mode == "training" else f"{row.tensor} in evaluation"
    if row.method == "contract":
        return f"{start}: {row.layer}: {row.hint or row.tensor}"
    if row.proof == "missed":
        return f"{start}: {row.layer}: {tensor}: {row.hint}"
    parts = [f"{start}: {row.layer}: {tensor}: relative error {row.error:.1e}, expected <= {row.threshold:g}"]
    if row.worst is not None and row.analytic is not None and row.numeric is not None:
        index = ", ".join(map(str, row.worst))
        ratio = f", ratio {row.ratio:.6g}" if row.ratio else ""
        mine, other = ("step", "textbook") if row.method == "textbook" else ("analytic", "numeric")
        parts.append(f"worst at [{index}]: {mine} {row.analytic:.6g}, {other} {row.numeric:.6g}{ratio}")
    if row.hint:
        parts.append(row.hint)
    return "; ".join(parts)
