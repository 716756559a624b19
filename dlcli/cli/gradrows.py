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
    lines: dict[tuple[object, ...], list[Row]] = {}
    for row in report.rows:
        lines.setdefault((row.layer, row.tensor, row.mode, row.after), []).append(row)
    columns = _columns(report.rows)
    body = [[show(rows) for _, _, show in columns] for rows in lines.values()]
    shown = table([title for title, _, _ in columns], body, align="".join(side for _, side, _ in columns))
    return f"{shown}\n\n{_sum(report)}"


def failures(report: Report) -> list[str]:
    """What is wrong, a line for each tensor by the more exact method; consequences of other failures last."""
    if report.rows and all(row.skipped for row in report.rows):
        return [f"gradcheck: nothing was compared: {report.rows[0].layer}: {report.rows[0].hint}"]
    failed: dict[tuple[object, ...], Row] = {}
    for row in report.rows:
        if not row.passed:
            failed.setdefault((row.layer, row.tensor, row.mode, row.after), row)
    return [_failure(row) for row in sorted(failed.values(), key=lambda row: row.blame is not None)]


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
    rows = [row for row in report.rows if not row.skipped]
    failed = sum(not row.passed for row in rows)
    verdict = f"{failed} of {len(rows)} FAILED" if failed else f"all {len(rows)} passed"
    parts = [_method(method, words, rows) for method, words in METHODS.items()]
    lines = [f"{verdict}: {'; '.join(filter(None, parts))}" if any(parts) else verdict]
    lines += [f"skipped {row.layer}: {row.hint}" for row in report.rows if row.skipped]
    proofs = [row.proof for row in rows if row.proof]
    if proofs:
        planted = [proof for proof in proofs if proof in ("found", "missed")]
        lines.append(f"errors of 0.1 % planted in {len(planted)} gradients: {planted.count('found')} found")
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
    if row.method == "contract":
        return f"{start}: {row.layer}: {row.hint or row.tensor}"
    if row.proof == "missed":
        return f"{start}: {row.layer}: {row.tensor}: {row.hint}"
    parts = [f"{start}: {row.layer}: {row.tensor}: relative error {row.error:.1e}, expected <= {row.threshold:g}"]
    if row.worst is not None and row.analytic is not None and row.numeric is not None:
        index = ", ".join(map(str, row.worst))
        ratio = f", ratio {row.ratio:.6g}" if row.ratio is not None else ""
        mine, other = ("step", "textbook") if row.method == "textbook" else ("analytic", "numeric")
        parts.append(f"worst at [{index}]: {mine} {row.analytic:.6g}, {other} {row.numeric:.6g}{ratio}")
    if row.hint:
        parts.append(row.hint)
    return "; ".join(parts)
