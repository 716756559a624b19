"""The catalogue of bad inputs: each gets its exit code and one line a problem, and changes nothing."""

from __future__ import annotations

import time
from collections.abc import Iterator
from fnmatch import fnmatch
from pathlib import Path

import pytest
from bad import harness
from bad.harness import Case, Ended, ForkServer

CASES = [
    pytest.param(case, id=case.id, marks=[getattr(pytest.mark, case.needs)] if case.needs else [])
    for case in harness.cases()
]


@pytest.fixture(scope="module")
def server() -> Iterator[ForkServer]:
    running = ForkServer()
    yield running
    running.close()


@pytest.mark.parametrize("case", CASES)
def test_bad_input(case: Case, server: ForkServer, tmp_path: Path) -> None:
    work = tmp_path / "w"
    began = time.monotonic()
    ended = harness.run(case, server, work)
    assert time.monotonic() - began < harness.LIMIT
    judge(case, ended, work)


def judge(case: Case, ended: Ended, work: Path) -> None:
    """What holds for every bad input, and what expect.json asks of this one."""
    said = ended.stderr.splitlines()
    errors = [line for line in said if line.startswith("error: ")]
    notes = [line for line in said if not line.startswith("error: ")]
    assert ended.code == case.code, (ended.code, ended.stderr)
    assert len(errors) == len(case.lines), errors
    for line, expected in zip(errors, case.lines, strict=True):
        assert harness.matches(line, expected, work), f"\n  got      {line}\n  expected {expected}"
    if case.notes != harness.ANY:
        more = case.notes[-1:] == ["..."]
        assert len(notes) == len(case.notes) or (more and len(notes) >= len(case.notes)), notes
        for line, expected in zip(notes, case.notes[: -1 if more else None], strict=not more):
            assert harness.matches(line, expected, work), f"\n  got      {line}\n  expected {expected}"
    assert all(len(line) <= 400 and line.isprintable() and not line.endswith(".") for line in errors), errors
    assert "Traceback" not in ended.stderr
    if case.stdout != harness.ANY:
        assert ended.stdout == case.stdout
    unexpected = [p for p in ended.changed if not any(fnmatch(p, allowed) for allowed in case.leaves)]
    assert unexpected == []
    assert ended.audit == ""
    assert ended.memory < harness.MEMORY
