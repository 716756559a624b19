"""R13, R14, R22: processes share a folder of runs, one at a time trains a run, and readers see no wreck."""

from __future__ import annotations

import json
import os
import re
import signal
import socket
import time
from pathlib import Path

import pytest
from processes import PATIENCE, Process, Server
from rig import Result, result, verify

MANY = 16


def test_r13_sixteen_of_one_config_at_the_same_moment(server: Server, rig: Path, uninterrupted: Result) -> None:
    started = [server.start("train", rig) for _ in range(MANY)]
    assert [process.wait() for process in started] == [0] * MANY
    folders = sorted(p.name for p in (server.folder / "runs").iterdir())
    assert sorted(process.out.strip() for process in started) == [f"runs/{name}" for name in folders]
    stem = min(folders)
    assert set(folders) == {stem} | {f"{stem}-{n}" for n in range(2, MANY + 1)}
    assert all(result(server.folder / "runs" / name) == uninterrupted for name in folders)
    listed = json.loads(server.must("runs", "list", "--json").out)["runs"]
    assert [row["status"] for row in listed] == ["complete"] * MANY
    last = server.must("train", rig, "--max-steps", 0)
    assert last.lines[0].startswith("same config as runs/")
    assert last.lines[0].endswith(": will give the same bits; --resume shows its result")


def test_r14_two_resumes_at_once(server: Server, rig: Path, uninterrupted: Result) -> None:
    for trial in range(4):
        run = server.folder / str(trial)
        server.must("train", rig, "--run-dir", run, "--max-steps", 1)
        both = [server.start("resume", run, env={"DLCLI_FAULT": "save:1:stop"}) for _ in range(2)]
        deadline = time.monotonic() + PATIENCE
        while not any(line.startswith("error: ") for p in both for line in p.lines):
            assert time.monotonic() < deadline
            time.sleep(0.005)
        owner, busy = sorted(both, key=lambda p: any(line.startswith("error: ") for line in p.lines))
        assert busy.wait() == 7
        (line,) = busy.lines
        assert (
            line
            == f"error: {run}: locked by process {owner.pid} on {socket.gethostname()}; wait until it ends or stop it"
        )
        owner.wait_until_stopped()
        if trial % 2:
            owner.kill(signal.SIGKILL)
            assert owner.wait() == -signal.SIGKILL
            server.must("resume", run)
        else:
            owner.kill(signal.SIGCONT)
            assert owner.wait() == 0, owner.err
        assert result(run) == uninterrupted


def test_r14_a_run_that_is_training_is_locked(server: Server, rig: Path) -> None:
    owner = server.start("train", rig, env={"DLCLI_FAULT": "save:3:stop"})
    owner.wait_until_stopped()
    (run,) = (server.folder / "runs").iterdir()
    for command in (("resume",), ("resume", run), ("train", rig, "--resume")):
        began = time.monotonic()
        code, process = server.run(*command)
        assert code == 7, process.err
        assert f"locked by process {owner.pid} on {socket.gethostname()}" in process.lines[-1]
        assert time.monotonic() - began < 2
    (row,) = json.loads(server.must("runs", "list", "--json").out)["runs"]
    assert row["status"] == "running"
    owner.kill(signal.SIGCONT)
    assert owner.wait() == 0
    assert verify(run)


def test_r14_two_scripts_start_one_directory(server: Server, rig: Path, uninterrupted: Result) -> None:
    for trial in range(4):
        run = server.folder / str(trial)
        both = [server.start("train", rig, "--run-dir", run, "--resume") for _ in range(2)]
        codes = sorted(process.wait() for process in both)
        assert codes in ([0, 7], [0, 0]), [p.err for p in both]
        assert result(run) == uninterrupted


READERS = (
    ("runs", "list"),
    ("runs", "list", "--json"),
    ("runs", "show"),
    ("runs", "show", "--json"),
    ("eval", "--json"),
)


@pytest.mark.parametrize("seconds", [6.0, pytest.param(60.0, marks=pytest.mark.nightly)])
def test_r22_readers_while_others_write(server: Server, rig: Path, uninterrupted: Result, seconds: float) -> None:
    keep = ("--set", "train.checkpoint.keep=1", "--set", "train.checkpoint.every=1 steps")
    server.must("train", rig, *keep)
    deadline = time.monotonic() + seconds
    writers: list[Process] = []
    started = read = 0
    while time.monotonic() < deadline:
        while len(writers) < 3:
            started += 1
            writers.append(server.start("train", rig, *keep, "--set", f"seed={started}"))
        for command in READERS:
            code, process = server.run(*command)
            read += 1
            known = code == 6 and command[0] == "eval" and "holds no checkpoint" in process.err
            assert code == 0 or known, process.err
            assert "warning" not in process.err
            assert "damaged" not in process.err
            if "--json" in command and code == 0:
                json.loads(process.out)
        oldest = writers.pop(0)
        assert oldest.wait() == 0, oldest.err
    assert [writer.wait() for writer in writers] == [0] * len(writers)
    assert read > 10
    assert started > 3


def test_two_at_once_take_no_longer_than_one_after_the_other(server: Server, rig: Path) -> None:
    """A BLAS with threads of its own makes two trainings 10 to 100 times slower than one."""
    if len(os.sched_getaffinity(0)) < 2:
        pytest.skip("one core")
    size = ("--set", "data.dataset={blobs: {samples: 6000, features: 784, classes: 10, spread: 9.0}}")
    size += ("--set", "train.epochs=6", "--set", "train.checkpoint.every=1 epoch", "--set", "data.batch_size=64")

    def times(count: int) -> float:
        began = time.monotonic()
        started = [server.start("train", rig, *size) for _ in range(count)]
        assert [process.wait() for process in started] == [0] * count
        return time.monotonic() - began

    for _ in range(3):  # others may use the machine, too
        one, two = times(1), times(2)
        print(f"one {one:.2f} s, two at once {two:.2f} s: {two / one:.2f} times")
        if two < 2.5 * one:
            return
    pytest.fail("two trainings at once take more than 2.5 times as long as one")


def test_the_newest_run_goes_by_its_start(server: Server, rig: Path) -> None:
    first = server.must("train", rig, "--max-steps", 1).out.strip()
    second = server.must("train", rig, "--max-steps", 2).out.strip()
    assert re.fullmatch(re.escape(first) + "-2", second)
    server.must("resume", first, "--max-steps", 3)
    shown = server.must("runs", "show")
    assert shown.lines[0] == f"run: {second}"
    for name in (second, Path(second).name, "latest"):
        assert server.must("runs", "show", name).out == shown.out
    assert server.must("runs", "show", Path(second).name[:-1]).out == shown.out
    code, process = server.run("runs", "show", "ri")
    assert (code, "is the beginning of 2 runs" in process.err) == (6, True)
