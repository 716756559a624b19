"""Code blocks of a Markdown page: found, run statement by statement, and held to the values in their comments."""

from __future__ import annotations

import ast
import io
import re
import tokenize
from contextlib import redirect_stdout
from typing import Any, NamedTuple

import numpy as np

FENCE = re.compile(r"(?:^<!-- (needs|file): (\S+) -->\n)?^```(\w+)\n(.*?)^```$", re.MULTILINE | re.DOTALL)
NUMBER = re.compile(r"-?\d+(?:\.(\d+))?(?:e-?\d+)?")


class Snippet(NamedTuple):
    """One fenced block; `mark` is the comment above it, such as ("needs", "mnist") or ("file", "my_parts.py")."""

    line: int
    mark: tuple[str | None, str | None]
    language: str
    code: str


class Ran(NamedTuple):
    """What running a snippet printed, and how many values in comments it was held to."""

    printed: str
    checked: int


def snippets(text: str) -> list[Snippet]:
    """Every fenced block with a language, and the line on which its code starts."""
    return [Snippet(text.count("\n", 0, m.start(4)) + 1, (m[1], m[2]), m[3], m[4]) for m in FENCE.finditer(text)]


def run(snippet: Snippet, namespace: dict[str, Any], page: str) -> Ran:
    """Execute a snippet in `namespace`; AssertionError, with page and line, where a comment shows another value."""
    comments = {
        token.start[0]: token.string.lstrip("# ")
        for token in tokenize.generate_tokens(io.StringIO(snippet.code).readline)
        if token.type == tokenize.COMMENT
    }
    everything, checked = "", 0
    for statement in ast.parse(snippet.code).body:
        comment = comments.get(statement.end_lineno or 0, "")
        ast.increment_lineno(statement, snippet.line - 1)  # so that tracebacks show the page's own lines
        value, printed = _execute(statement, namespace, page)
        everything += printed
        if isinstance(statement, ast.Expr | ast.Assign) and (shown := _shown(comment)) is not None:
            assert _agree(shown, value, printed), f"{page}:{statement.lineno}: shows {comment}, is {printed or value!r}"
            checked += 1
    return Ran(everything, checked)


def _execute(statement: ast.stmt, namespace: dict[str, Any], page: str) -> tuple[Any, str]:
    """The value of an expression or assignment, and what was printed."""
    with redirect_stdout(io.StringIO()) as out:
        if isinstance(statement, ast.Expr):
            return eval(compile(ast.Expression(statement.value), page, "eval"), namespace), out.getvalue()
        exec(compile(ast.Module([statement], []), page, "exec"), namespace)
    targets = getattr(statement, "targets", [])
    value = namespace[targets[0].id] if targets and isinstance(targets[0], ast.Name) else None
    return value, out.getvalue()


def _shown(comment: str) -> tuple[str, str] | None:
    """("shape" or "value", literal) where a comment shows one; None where it is prose."""
    kind, literal = "value", comment
    if found := re.fullmatch(r"shape:? (\(.*\))", comment, re.IGNORECASE):
        kind, literal = "shape", found[1]
    try:
        ast.literal_eval(literal)
    except (ValueError, SyntaxError):
        return None
    return kind, literal


def _agree(shown: tuple[str, str], value: Any, printed: str) -> bool:
    """Whether the value is what is shown, to the decimals that are shown; whole numbers are exact."""
    kind, literal = shown
    expected = ast.literal_eval(literal)
    if kind == "shape":
        return bool(np.shape(value) == expected)
    if value is None or isinstance(expected, bool | str):
        return literal in printed if value is None else bool(value == expected)
    if np.shape(expected) != np.shape(value):
        return False
    room = [10.0 ** -len(m[1]) / 2 if m[1] else 0.0 for m in NUMBER.finditer(literal)]
    return bool(np.all(np.abs(np.ravel(expected) - np.ravel(value)) <= np.asarray(room) + 1e-9))
