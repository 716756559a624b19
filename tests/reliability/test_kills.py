"""R1, R2: SIGKILL at any moment damages no checkpoint, and a script that runs again ends with the same bytes."""

from __future__ import annotations

import signal
import time
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pytest
from processes import Server
from rig import STEPS, Result, result, verify

IN_EVERY_SAVE = ("save", "open_excl", "write", "fsync", "close", "replace", "fsync_dir", "saved")
IN_A_ROW = 5
"""Kills of one run, at most, before it may end."""


@dataclass
class Clock:
    """How long the rig takes: to its first step, and in all."""

    start: float
    all: float

    def left(self, step: int) -> float:
        """The time from the start of a process to the end of a run that continues at a step."""
        return self.start + (self.all - self.start) * (STEPS - step) / STEPS


@pytest.fixture
def clock(server: Server, rig: Path) -> Clock:
    times = []
    for i, limit in enumerate((STEPS, 0, STEPS, 0, STEPS)):
        began = time.monotonic()
        server.must("train", rig, "--run-dir", server.folder / f"clock-{i}", "--max-steps", limit)
        times.append(time.monotonic() - began)
    return Clock(min(times[1::2]), min(times[2::2]))


def kill_at_random(
    server: Server, rig: Path, run: Path, clock: Clock, step: int, rng: np.random.Generator, planned: bool
) -> bool:
    """Train or continue a run and kill it, at a random time or (`planned`) inside a save; whether it was alive."""
    command = ("train", rig, "--run-dir", run, "--resume")
    if planned:
        saves = (STEPS - step) // 5
        operation = rng.choice(IN_EVERY_SAVE) if saves and rng.random() < 0.7 else "any"
        nth = rng.integers(1, 2 + (saves if operation != "any" else 6 * saves))
        process = server.start(*command, env={"DLCLI_FAULT": f"{operation}:{nth}:kill"})
    else:
        process = server.start(*command)
        time.sleep(rng.uniform(0, 0.8 * clock.left(step)))
        process.kill()
    code = process.wait()
    assert code in (0, -signal.SIGKILL), process.err
    return code == -signal.SIGKILL


def killing(server: Server, rig: Path, reference: Result, clock: Clock, kills: int) -> None:
    rng = np.random.default_rng(kills)
    tried = hit = runs = reached = 0
    while tried < kills:
        runs += 1
        run = server.folder / f"run-{runs}"
        for _ in range(rng.integers(1, IN_A_ROW + 1)):
            step = max(verify(run), default=0) if run.exists() else 0
            if (run / "summary.json").exists():
                break
            hit += kill_at_random(server, rig, run, clock, step, rng, planned=tried % 2 == 0)
            tried += 1
            reached += bool(run.exists() and verify(run))
        server.must("train", rig, "--run-dir", run, "--resume")
        assert result(run) == reference, f"run {runs}"
        assert not list(run.rglob(".tmp-*"))
    print(f"{hit} of {tried} kills hit a live process, {reached} left a checkpoint, {runs} runs ended the same")
    assert hit >= 0.9 * tried, "did not test"
    assert reached >= 0.4 * tried, "did not test"


def test_r1_fifty_kills(server: Server, rig: Path, uninterrupted: Result, clock: Clock) -> None:
    killing(server, rig, uninterrupted, clock, 50)


@pytest.mark.nightly
def test_r1_three_thousand_kills(server: Server, rig: Path, uninterrupted: Result, clock: Clock) -> None:
    killing(server, rig, uninterrupted, clock, 3_000)


def test_r1_interpreters_of_their_own(server: Server, rig: Path, uninterrupted: Result) -> None:
    run = server.folder / "run"
    command = ("train", rig, "--run-dir", run, "--resume")
    for fault in ("write:1:kill", "save:2:kill", "replace:3:kill"):
        code, process = server.run(*command, env={"DLCLI_FAULT": fault}, real=True)
        assert code == -signal.SIGKILL, process.err
        verify(run)
    server.must(*command, real=True)
    assert result(run) == uninterrupted


@pytest.mark.parametrize("operation", [*IN_EVERY_SAVE, "open_append", "mkdir", "link", "unlink"])
@pytest.mark.parametrize("nth", [1, 4])
def test_r2_killed_at_each_point(server: Server, rig: Path, uninterrupted: Result, operation: str, nth: int) -> None:
    run = server.folder / "run"
    nth = 1 if operation == "open_append" else min(nth, 2) if operation in ("mkdir", "link") else nth
    code, process = server.run("train", rig, "--run-dir", run, env={"DLCLI_FAULT": f"{operation}:{nth}:kill"})
    assert code == -signal.SIGKILL, f"did not test: {process.err}"
    verify(run)
    server.must("train", rig, "--run-dir", run, "--resume")
    assert result(run) == uninterrupted


def test_r7_killed_again_in_the_recovery(server: Server, rig: Path, uninterrupted: Result) -> None:
    """Every other operation of a resume is where it is killed; the same run survives them all."""
    run = server.folder / "run"
    server.must("train", rig, "--run-dir", run, "--max-steps", 36)
    server.run("resume", run, env={"DLCLI_FAULT": "save:3:kill"})
    killed = 0
    for nth in range(1, 60, 2):
        with (run / "metrics.jsonl").open("a") as file:
            file.write('{"step": 60, "late": true}\n{"torn')
        code, process = server.run("resume", run, "--max-steps", 40, env={"DLCLI_FAULT": f"any:{nth}:kill"})
        verify(run)
        if code == 0:
            break
        killed += 1
        assert code == -signal.SIGKILL, process.err
    assert killed > 8
    server.must("resume", run)
    assert result(run) == uninterrupted
