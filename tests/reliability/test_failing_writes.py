"""R3, R5 on the command line: whatever write fails is told in one line, and costs no checkpoint that was there."""

from __future__ import annotations

import errno
import os
import shutil
import signal
import subprocess
import sys
from pathlib import Path

import pytest
from processes import ENVIRONMENT, Process, Server
from rig import Result, result, verify

SHORT = ("--set", "train.epochs=1")
KINDS = [(name, how) for how in ("once", "ever") for name in ("ENOSPC", "EIO", "EACCES")]
MOST = 200
"""More operations than the short run has."""


@pytest.fixture(scope="module")
def reference(shared_server: Server, rig: Path, tmp_path_factory: pytest.TempPathFactory) -> Result:
    """The result of the short run without failures."""
    run = tmp_path_factory.mktemp("short") / "run"
    shared_server.must("train", rig, *SHORT, "--run-dir", run)
    return result(run)


def told(process: Process, reason: int) -> str:
    """The one line of an error about a write."""
    (line,) = [line for line in process.lines if line.startswith("error: ")]
    assert line == process.lines[-1]
    assert os.strerror(reason).lower() in line
    assert len(line) <= 400
    assert process.out == ""
    return line


def failing(server: Server, rig: Path, reference: Result, nth: int, name: str, how: str) -> int | None:
    """Train with a failing operation, then as a script would run again; the exit code, None where nothing failed."""
    run = server.folder / f"{nth}-{name}-{how}"
    command = ("train", rig, *SHORT, "--run-dir", run)
    code, process = server.run(*command, env={"DLCLI_FAULT": f"any:{nth}:{name}:{how}"})
    assert "Traceback" not in process.err
    if code == 8:
        told(process, getattr(errno, name))
        if run.exists():
            verify(run)
            assert not list(run.rglob(".tmp-*")) or how == "ever"
    else:
        assert code == 0, process.err
        noted = any(
            "cannot delete" in line or os.strerror(getattr(errno, name)).lower() in line for line in process.lines
        )
        untouched = result(run) == reference
        assert untouched
        if not noted:
            return None
    server.must(*command, "--resume")
    assert result(run) == reference
    return code


def test_r3_every_third_operation_of_a_run_fails_in_turn(server: Server, rig: Path, reference: Result) -> None:
    codes = []
    for nth in range(1, MOST, 3):
        code = failing(server, rig, reference, nth, *KINDS[nth // 3 % len(KINDS)])
        codes.append(code)
        if codes[-3:] == [None] * 3:
            break
    assert codes.count(8) > 10
    assert codes[-1] is None


@pytest.mark.nightly
@pytest.mark.parametrize(
    ("name", "how"), [(n, h) for n in ("EROFS", "EDQUOT", "EMFILE") for h in ("once", "ever")] + KINDS
)
def test_r3_each_operation_fails_in_every_way(
    server: Server, rig: Path, reference: Result, name: str, how: str
) -> None:
    codes = []
    while codes[-3:] != [None] * 3:
        codes.append(failing(server, rig, reference, len(codes) + 1, name, how))
    assert codes.count(8) > 30


def test_r5_a_limit_on_the_size_of_files(server: Server, rig: Path, reference: Result) -> None:
    """A checkpoint has 300 kB, and run.json less than 2: at each limit something else is too large."""
    for limit in (1, 100, 900, 2_000, 20_000, 100_000, 290_000):
        run = server.folder / str(limit)
        command = ("train", rig, *SHORT, "--run-dir", run)
        code, process = server.run(*command, limits={"RLIMIT_FSIZE": limit})
        assert code == 8, process.err
        if limit > 20_000:  # else the line itself does not fit the file that stands for the terminal
            told(process, errno.EFBIG)
        if run.exists():
            verify(run)
        server.must(*command, "--resume")
        assert result(run) == reference


@pytest.mark.parametrize("size", [64, 400, 700, 800])
def test_r5_a_full_disk(server: Server, rig: Path, reference: Result, size: int) -> None:
    """A file system of `size` kB in a mount namespace of its own; it grows before the command is given again."""
    if subprocess.run(["unshare", "-m", "true"], capture_output=True).returncode:
        pytest.skip("no mount namespaces here")
    disk, copy = server.folder / "disk", server.folder / "copy"
    disk.mkdir()
    train = f"{sys.executable} -m dlcli train {rig} {' '.join(SHORT)} --run-dir {disk}/run"
    script = f"""mount -t tmpfs -o size={size}k none {disk} || exit 77
{train} >out 2>err; echo $? >code; find {disk} -name '.tmp-*' >left
mount -o remount,size=64m {disk}; {train} --resume && cp -r {disk}/run {copy}"""
    done = subprocess.run(
        ["unshare", "-m", "sh", "-c", script], cwd=server.folder, env=ENVIRONMENT, capture_output=True, text=True
    )
    if done.returncode == 77:
        pytest.skip("no mounts here")
    assert done.returncode == 0, done.stderr
    assert (server.folder / "code").read_text() == "8\n"
    assert (server.folder / "left").read_text() == ""
    told(Process(0, (server.folder / "out", server.folder / "err"), lambda: 8), errno.ENOSPC)
    assert result(copy) == reference


def test_131_a_run_that_vanishes_while_it_trains(server: Server, rig: Path) -> None:
    run = server.folder / "run"
    process = server.start("train", rig, *SHORT, "--run-dir", run, env={"DLCLI_FAULT": "save:2:stop"})
    process.wait_until_stopped()
    shutil.rmtree(run)
    process.kill(signal.SIGCONT)
    assert process.wait() == 8
    assert str(run) in told(process, errno.ENOENT)
    assert not run.exists()


def test_r3_a_run_that_failed_says_so(server: Server, rig: Path, reference: Result) -> None:
    run = server.folder / "run"
    code, _ = server.run("train", rig, *SHORT, "--run-dir", run, env={"DLCLI_FAULT": "fsync:6:ENOSPC"})
    assert code == 8
    assert "failed" in server.must("runs", "list", run).out
