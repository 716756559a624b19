"""The kinds of what is read from a run's JSON files: damage that is still JSON is told like any other damage."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Annotated, Any

from annotated_types import Ge

from dlcli.core.errors import CheckpointError, quote
from dlcli.core.values import plain

Figure = float | None
Seconds = Annotated[float, Ge(0)]

FACTS = {"status": str, "start": str, "config_sha256": str, "code": dict[str, str], "resumed": list[str]}
"""Of run.json; what is absent is not known."""

SUMMARY = {
    "status": str,
    "epochs": int,
    "steps": int,
    "seconds": Seconds,
    "best": {"metric": str, "value": Figure, "step": int | None},
    "metrics": dict[str, Figure],
}
"""Of summary.json."""

METRICS = {"step": int, "seconds": Seconds | None}
"""Of a line of metrics.jsonl, whose figures are numbers or null as well."""

EVALUATION = {"time": str, "split": str, "step": int | None, "metrics": dict[str, Figure]}
"""Of a line of evals.jsonl."""


def check(found: Any, kind: Any, where: str) -> None:
    """CheckpointError unless `found` is of that kind: an annotation, or the kinds of a mapping's values by key.

    A key that is missing counts as null.
    """
    try:
        plain(dict[str, Any] if isinstance(kind, Mapping) else kind, found)
    except ValueError as expected:
        raise CheckpointError(f"{where}: got {quote(found)}, expected {expected}") from None
    if isinstance(kind, Mapping):
        for key, inner in kind.items():
            check(found.get(key), inner, f"{where}: {key}")


def figures(row: Mapping[str, Any]) -> dict[str, Any]:
    """The losses and metrics of a line of metrics.jsonl by their full names."""
    return {key: value for key, value in row.items() if key.startswith(("train.", "val."))}
