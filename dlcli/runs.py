"""The runs directory: finding, claiming, describing and listing runs."""

from __future__ import annotations

import json
import os
import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from dlcli.core import fsio, records
from dlcli.core.errors import BusyError, CheckpointError, OutputError, quote, reason, suggest
from dlcli.core.lock import RunLock, is_locked
from dlcli.training import journal

STATUSES = ("running", "complete", "stopped", "interrupted", "diverged", "failed")
"""How a run can stand; one that says running but is held by no process was killed, which counts as interrupted."""

MAX_JSON = 1 << 24
"""The largest JSON file of a run that is read, in bytes."""

REMEDY = "the checkpoints are not concerned: delete it and resume the run"

NO_RUN = "train one first: dlcli train configs/digits.yaml"


@dataclass(frozen=True)
class Run:
    """One run directory."""

    path: Path

    @property
    def config_file(self) -> Path:
        return self.path / "config.yaml"

    @property
    def checkpoints(self) -> Path:
        return self.path / "checkpoints"

    @property
    def metrics_file(self) -> Path:
        return self.path / "metrics.jsonl"

    @property
    def evals_file(self) -> Path:
        return self.path / "evals.jsonl"

    def lock(self, note: Callable[[str], None]) -> RunLock:
        """The lock that a process holds while it trains this run."""
        return RunLock(self.path / ".lock", note)

    def exists(self) -> bool:
        """Whether this is a run: a directory whose config was written."""
        return os.path.isfile(self.config_file)  # noqa: PTH113 - Path's own raises for a name that no file can have

    def facts(self) -> dict[str, Any]:
        """What run.json says, `{}` where it is not there yet. CheckpointError where it is damaged."""
        return self._json("run.json", lambda found: {k: v for k, v in records.FACTS.items() if k in found}) or {}

    def summary(self) -> dict[str, Any] | None:
        """The final figures; their presence means that the run is complete. CheckpointError where they are damaged."""
        return self._json("summary.json", lambda found: records.SUMMARY)

    def metrics(self) -> list[dict[str, Any]]:
        """The lines of metrics.jsonl. CheckpointError where it is damaged."""
        return _lines(
            self.metrics_file, lambda row: records.METRICS | dict.fromkeys(records.figures(row), records.Figure)
        )

    def epochs(self) -> list[dict[str, Any]]:
        """Those lines that hold the figures of an epoch."""
        return [row for row in self.metrics() if "train.loss" in row]

    def evaluations(self) -> list[dict[str, Any]]:
        """The lines of evals.jsonl, one for each `eval`. CheckpointError where it is damaged."""
        return _lines(self.evals_file, lambda row: records.EVALUATION)

    def write_facts(self, facts: dict[str, Any]) -> None:
        """Replace run.json."""
        fsio.write_atomic(self.path / "run.json", _pretty(facts))

    def write_summary(self, summary: dict[str, Any]) -> None:
        """Write summary.json, the last file of a complete run."""
        fsio.write_atomic(self.path / "summary.json", _pretty(summary))

    def status(self, facts: Mapping[str, Any]) -> str:
        """One of `STATUSES`, `facts` being what run.json says."""
        if (self.path / "summary.json").is_file():
            return "complete"
        if is_locked(self.path / ".lock"):
            return "running"
        status = facts.get("status", "interrupted")
        return "interrupted" if status in ("running", "complete") else str(status)

    def _json(self, name: str, kinds: Callable[[Any], Mapping[str, Any]]) -> dict[str, Any] | None:
        path = self.path / name
        if not path.is_file():
            return None
        try:
            found = journal.parse(fsio.read_regular(path, MAX_JSON, CheckpointError))
        except ValueError as error:
            raise CheckpointError(f"{path}: is damaged: {error}; {REMEDY}") from None
        if not isinstance(found, dict):
            raise CheckpointError(f"{path}: is damaged: got {quote(found)}, expected an object; {REMEDY}")
        try:
            records.check(found, kinds(found), f"{path}: is damaged")
        except CheckpointError as error:
            raise CheckpointError(f"{error}; {REMEDY}") from None
        return found


def _lines(path: Path, kinds: Callable[[Any], Mapping[str, Any]]) -> list[dict[str, Any]]:
    rows = journal.read(path)
    for number, row in enumerate(rows, 1):
        records.check(row, kinds(row), f"{path}:{number}")
    return rows


def _pretty(document: dict[str, Any]) -> bytes:
    return (json.dumps(document, indent=2, allow_nan=False) + "\n").encode()


def now() -> str:
    """The time in UTC with microseconds, sortable as text."""
    return datetime.now(UTC).isoformat(timespec="microseconds").replace("+00:00", "Z")


def root(runs: Path | None) -> Path:
    """The parent of all runs: `--runs`, else `DLCLI_RUNS`, else `runs`."""
    return runs or Path(os.environ.get("DLCLI_RUNS") or "runs")


def claim(parent: Path, name: str, config_sha256: str) -> Run:
    """A new directory `<name>-<8 hex>`, or the first free of `-2`, `-3`, ... , for this process alone."""
    fsio.make_dirs(parent)
    stem, n = f"{name}-{config_sha256[:8]}", 1
    while not fsio.claim_dir(parent / (stem if n == 1 else f"{stem}-{n}")):
        n += 1
    return Run(parent / (stem if n == 1 else f"{stem}-{n}"))


def claim_exactly(path: Path) -> Run:
    """That directory and no other; BusyError where it holds more than a start that was killed may have left."""
    fsio.make_dirs(path.parent)
    if not fsio.claim_dir(path):
        require_free(path)
    return Run(path)


def require_free(path: Path) -> None:
    """BusyError unless `path` is not there, or holds no more than a start that was killed may have left."""
    if Run(path).exists():
        raise BusyError(f"{path}: exists already; add --resume to continue it, or choose another --run-dir")
    if os.path.lexists(path) and not _unbegun(path):
        raise BusyError(f"{path}: exists already and is no run; choose another --run-dir")


def _unbegun(path: Path) -> bool:
    """Whether a directory holds nothing but what is written before a run's config, which makes it a run."""
    if not path.is_dir():
        return False
    left = [p for p in path.iterdir() if not p.name.startswith(fsio.TEMP_PREFIX)]
    return all(p.name in (".lock", "run.json") or (p.name == "checkpoints" and not any(p.iterdir())) for p in left)


def all_runs(parent: Path) -> list[Run]:
    """Every run below `parent`, the oldest start first."""
    try:
        # Not the entry's own is_dir: it raises for a link that leads back to itself.
        entries = [Run(Path(e.path)) for e in os.scandir(parent) if os.path.isdir(e.path)]  # noqa: PTH112
    except FileNotFoundError:
        return []
    except OSError as error:
        raise OutputError(f"{parent}: cannot be read: {reason(error)}") from None
    return sorted((r for r in entries if r.exists()), key=lambda r: (_fact(r, "start"), _natural(r.path.name)))


def _fact(run: Run, name: str) -> str:
    """A fact of run.json as text; empty where it is missing or the file is damaged."""
    try:
        return str(run.facts().get(name, ""))
    except CheckpointError:
        return ""


def _natural(name: str) -> list[tuple[int, str]]:
    """A key that sorts `x-2` before `x-10`."""
    return [(int(p), "") if p.isdecimal() else (-1, p) for p in re.split(r"(\d+)", name)]


def same_config(parent: Path, config_sha256: str) -> Run | None:
    """The newest run of that resolved config."""
    found = [r for r in all_runs(parent) if _fact(r, "config_sha256") == config_sha256]
    return found[-1] if found else None


def names_run(text: str, parent: Path) -> bool:
    """Whether a text that could also be another path means a run: a run's path, `latest`, or how some name begins."""
    if os.path.lexists(text):
        return Run(Path(text)).exists()
    return text == "latest" or any(run.path.name.startswith(text) for run in all_runs(parent))


def find(name: str | None, parent: Path) -> Run:
    """The run that a user means: a path, a name, a unique prefix, `latest`, or None for the newest.

    CheckpointError naming the folder searched where there is none.
    """
    if name not in (None, "", "latest"):
        path = Path(str(name))
        if os.path.isdir(path):  # noqa: PTH112 - Path's own raises for a name that no folder can have
            run = Run(path)
            if not run.exists():
                raise CheckpointError(f"{path}: is no run directory: it has no config.yaml; {NO_RUN}")
            return run
    known = all_runs(parent)
    if name in (None, "", "latest"):
        if not known:
            raise CheckpointError(f"{parent}/: holds no run; {NO_RUN}")
        return known[-1]
    matches = [r for r in known if r.path.name == name] or [r for r in known if r.path.name.startswith(str(name))]
    if len(matches) == 1:
        return matches[0]
    if matches:
        names = ", ".join(r.path.name for r in matches[:4])
        raise CheckpointError(
            f"{parent}/: {quote(str(name))} is the beginning of {len(matches)} runs ({names}); write more of it"
        )
    hint = suggest(str(name), [r.path.name for r in known]) if known else NO_RUN
    raise CheckpointError(f"{parent}/: no run {quote(str(name))}; {hint}")
