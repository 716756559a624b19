"""R9, R10, R11: one config gives one result, wherever, however often and on however many threads it runs."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
from processes import ENVIRONMENT, PATIENCE, Server
from rig import Result, result, tree

SURROUNDINGS: dict[str, dict[str, Any]] = {
    "place": {"env": {"TZ": "Pacific/Kiritimati", "LC_ALL": "C", "PYTHONUTF8": "0", "PYTHONHASHSEED": "1"}},
    "python": {"env": {"PYTHONHASHSEED": "2", "PYTHONOPTIMIZE": "2"}, "umask": 0o077},
    "blas-1": {"env": {"OPENBLAS_NUM_THREADS": "1"}},
    "blas-2": {"env": {"OPENBLAS_NUM_THREADS": "2", "OMP_NUM_THREADS": "2", "MKL_NUM_THREADS": "4"}},
    "blas-abc": {"env": {"OPENBLAS_NUM_THREADS": "abc", "OMP_NUM_THREADS": "0"}},
    "one-core": {"cores": {min(os.sched_getaffinity(0))}},
}
"""What a new interpreter finds around it."""


@pytest.mark.parametrize("name", SURROUNDINGS)
def test_r10_r11_surroundings_change_nothing(server: Server, rig: Path, uninterrupted: Result, name: str) -> None:
    elsewhere = server.folder / "else where"
    elsewhere.mkdir()
    server.must("train", rig, "--run-dir", elsewhere / "run", cwd=elsewhere, real=True, **SURROUNDINGS[name])
    assert result(elsewhere / "run") == uninterrupted


LARGE = ("--set", "data.dataset={blobs: {samples: 2600, features: 784, classes: 10, spread: 9.0}}")
LARGE += ("--set", "data.validation=2001", "--set", "train.epochs=2", "--set", "optimizer.Adam.lr=0.001")
"""A validation split of five blocks: only there is work for more than one thread."""


def test_r11_threads_change_nothing_and_may_change_in_between(server: Server, rig: Path) -> None:
    results = []
    for threads in (1, 2, 4, 16):
        run = server.folder / str(threads)
        server.must("train", rig, *LARGE, "--run-dir", run, "--threads", threads)
        results.append(result(run))
    mixed = server.folder / "mixed"
    server.must("train", rig, *LARGE, "--run-dir", mixed, "--threads", 1, "--max-steps", 7)
    server.must("resume", mixed, "--threads", 4, "--max-steps", 16)
    server.must("resume", mixed, real=True, cores={min(os.sched_getaffinity(0))})
    assert [*results, result(mixed)] == results[:1] * 5
    assert results[0].summary is not None
    assert 0.2 < results[0].summary["metrics"]["val.accuracy"] < 1


def test_r10_with_busy_neighbours(server: Server, rig: Path, uninterrupted: Result) -> None:
    started = [server.start("train", rig, "--run-dir", server.folder / str(i)) for i in range(8)]
    assert [process.wait() for process in started] == [0] * 8
    assert {result(server.folder / str(i)).final for i in range(8)} == {uninterrupted.final}


def test_r9_resuming_a_finished_run_changes_nothing(server: Server, rig: Path) -> None:
    trained = server.must("train", rig, "--run-dir", "run", "--json")
    before = tree(server.folder / "run")
    for command in (
        ("resume", "run"),
        ("train", rig, "--run-dir", "run", "--resume"),
        ("resume", "run", "--max-steps", 5),
    ):
        for real in (False, True):
            process = server.must(*command, "--json", real=real)
            assert process.lines[0] == "already complete: run"
            assert process.out == trained.out
            assert tree(server.folder / "run") == before


def test_r10_the_same_checkpoint_from_a_resolved_config_and_from_stdin(
    server: Server, rig: Path, uninterrupted: Result
) -> None:
    server.must("train", rig, "--run-dir", "first", "--max-steps", 0)
    server.must("train", "first", "--run-dir", "second")
    command = [sys.executable, "-m", "dlcli", "train", "-", "--run-dir", "third"]
    with rig.open("rb") as text:
        subprocess.run(
            command, stdin=text, cwd=server.folder, env=ENVIRONMENT, check=True, capture_output=True, timeout=PATIENCE
        )
    assert result(server.folder / "second") == result(server.folder / "third") == uninterrupted
