"""R12: a signal ends training by that signal, after a checkpoint; shells and scripts see what they expect."""

from __future__ import annotations

import os
import pty
import re
import select
import signal
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import pytest
from processes import ENVIRONMENT, PATIENCE, Process, Server
from rig import STEPS, Result, result, verify

SIGNALS = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)
LAST_LINE = re.compile(r"interrupted at step (\d+) of (\d+), saved; continue with: dlcli resume (.+)")


def wait_for(process: Process, what: Path, size: int = 1) -> None:
    """Wait until a file has that many bytes."""
    deadline = time.monotonic() + PATIENCE
    while not what.exists() or what.stat().st_size < size:
        assert time.monotonic() < deadline, process.err
        time.sleep(0.001)


@pytest.mark.parametrize("trials", [5, pytest.param(50, marks=pytest.mark.nightly)])
@pytest.mark.parametrize("number", SIGNALS, ids=lambda s: s.name)
def test_r12_a_signal_at_a_random_time(
    server: Server, rig: Path, uninterrupted: Result, number: int, trials: int
) -> None:
    rng = np.random.default_rng(number)
    interrupted = 0
    for trial in range(trials):
        run = server.folder / str(trial)
        process = server.start("train", rig, "--run-dir", run)
        wait_for(process, run / "config.yaml")
        time.sleep(rng.uniform(0, 0.15))
        process.kill(number)
        code = process.wait()
        assert code in (0, -number), process.err
        assert "Traceback" not in process.err
        if code and process.lines and process.lines[-1].startswith("interrupted"):
            step, total, name = LAST_LINE.fullmatch(process.lines[-1]).groups()  # type: ignore[union-attr]
            assert (int(total), name, process.out) == (STEPS, str(run), "")
            assert verify(run)[-1] == int(step)
            assert not (run / "summary.json").exists()
            interrupted += 1
            server.must("resume", run)
        elif code:
            server.must("train", rig, "--run-dir", run, "--resume")
        assert result(run) == uninterrupted
    assert interrupted >= trials // 4, "did not test"


def test_r12_before_training_a_signal_ends_the_process_at_once(server: Server, rig: Path) -> None:
    for number in SIGNALS:
        for delay in (0.1, 0.2, 0.3):
            process = server.start("train", rig, "--run-dir", server.folder / f"{number}-{delay}", real=True)
            time.sleep(delay)
            process.kill(number)
            assert process.wait() == -number
            assert "in main" not in process.err, process.err  # Python tells of a SIGINT that comes before


@pytest.mark.parametrize("second", SIGNALS, ids=lambda s: s.name)
def test_r12_a_second_signal_within_a_save_ends_at_once(
    server: Server, rig: Path, uninterrupted: Result, second: int
) -> None:
    run = server.folder / "run"
    process = server.start("train", rig, "--run-dir", run, env={"DLCLI_FAULT": "save:4:stop,replace:7:stop"})
    process.wait_until_stopped()
    before = verify(run)
    process.kill(signal.SIGINT)
    process.kill(signal.SIGCONT)
    process.wait_until_stopped()
    process.kill(second)
    process.kill(signal.SIGCONT)
    assert process.wait() == -second
    assert (process.out, "interrupted" in process.err) == ("", False)
    assert verify(run) == before
    server.must("resume", run)
    assert result(run) == uninterrupted


@pytest.mark.parametrize("number", SIGNALS, ids=lambda s: s.name)
def test_r12_a_signal_that_was_ignored_stays_ignored(
    server: Server, rig: Path, uninterrupted: Result, number: int
) -> None:
    run = server.folder / "run"
    fault = {"DLCLI_FAULT": "save:3:stop"}
    process = server.start("train", rig, "--run-dir", run, real=True, ignore=[number], env=fault)
    process.wait_until_stopped()
    process.kill(number)
    process.kill(signal.SIGCONT)
    assert process.wait() == 0
    assert result(run) == uninterrupted


def test_r12_in_the_background_of_a_script_ctrl_c_is_ignored(server: Server, rig: Path, uninterrupted: Result) -> None:
    env = ENVIRONMENT | {"DLCLI_FAULT": "save:3:stop"}
    script = f"""{sys.executable} -m dlcli train {rig} --run-dir run &
until grep -q '^State:.T' /proc/$!/status; do sleep 0.01; done
kill -INT $!; kill -CONT $!; wait $!"""
    done = subprocess.run(["sh", "-c", script], cwd=server.folder, env=env, capture_output=True, timeout=PATIENCE)
    assert done.returncode == 0, done.stderr
    assert result(server.folder / "run") == uninterrupted


@pytest.mark.parametrize("shell", ["bash", "sh"])
def test_r12_a_loop_of_the_shell_stops_at_ctrl_c(server: Server, rig: Path, shell: str) -> None:
    """On a terminal of its own, where the key reaches shell and training alike."""
    loop = f"for s in 1 2 3; do {sys.executable} -m dlcli train {rig} --set seed=$s; done; echo went on"
    master, slave = pty.openpty()
    process = subprocess.Popen(
        [shell, "-c", loop],
        cwd=server.folder,
        env=ENVIRONMENT | {"TERM": "xterm", "DLCLI_FAULT": "save:6:stop"},
        stdin=slave,
        stdout=slave,
        stderr=slave,
        preexec_fn=lambda: os.login_tty(slave),
    )
    os.close(slave)
    shown = b""
    deadline = time.monotonic() + PATIENCE
    pressed = False
    while time.monotonic() < deadline:
        ready = select.select([master], [], [], 0.05)[0]
        try:
            shown += os.read(master, 65536) if ready else b""
        except OSError:  # nobody has the terminal open any more
            break
        if not pressed and list(server.folder.glob("runs/*/checkpoints/step-000000020.npz")):
            os.write(master, b"\x03")
            pressed = True
        if pressed and process.poll() is None:
            os.killpg(os.tcgetpgrp(master), signal.SIGCONT)
        if process.poll() is not None and not ready:
            break
    os.close(master)
    text = shown.decode()
    assert process.wait(PATIENCE) == -signal.SIGINT, text
    assert "went on" not in text
    assert "Traceback" not in text
    assert text.count("interrupted at step") == 1
    assert LAST_LINE.search(text)
    assert len(list(server.folder.glob("runs/*"))) == 1
