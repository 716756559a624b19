"""R24: streams that are closed, full or read no further end in a defined code, and training is none the worse."""

from __future__ import annotations

import shlex
import signal
import subprocess
import sys
from pathlib import Path

import pytest
from processes import ENVIRONMENT, PATIENCE, Server
from rig import Result, result

PIPE = 128 + signal.SIGPIPE


def shell(server: Server, command: str, **env: str) -> tuple[int, str, str]:
    """Run a line of bash in which `dlcli` is the command line: the code, stdout and stderr."""
    script = f'set -o pipefail; dlcli() {{ {shlex.quote(sys.executable)} -m dlcli "$@"; }}; {command}'
    done = subprocess.run(
        ["bash", "-c", script],
        cwd=server.folder,
        env=ENVIRONMENT | env,
        capture_output=True,
        text=True,
        timeout=PATIENCE,
    )
    assert "Traceback" not in done.stderr
    assert "Exception ignored" not in done.stderr
    return done.returncode, done.stdout, done.stderr


@pytest.mark.parametrize(
    ("redirection", "code"),
    [
        (">&-", 8),
        ("2>&-", 0),
        ("<&-", 0),
        ("<&- 2>&-", 0),
        (">/dev/full", 8),
        ("2>/dev/full", 0),
        (">/dev/full 2>/dev/full", 8),
        (">&- 2>&- <&-", 8),
        ("2>&1 | head -1", PIPE),
        ("2> >(head -c 1 >/dev/null)", 0),
        ("| true", None),
    ],
)
def test_r24_training_is_unharmed(
    server: Server, rig: Path, uninterrupted: Result, redirection: str, code: int | None
) -> None:
    ended, out, err = shell(server, f"dlcli train {rig} --run-dir run {redirection}")
    if code is not None:
        assert ended == code, err
    else:
        assert ended in (0, PIPE)
    assert result(server.folder / "run") == uninterrupted
    if code == 8 and "2>" not in redirection:
        last = err.splitlines()[-1]
        assert last.startswith("error: standard output: "), err
    if code == 0:
        assert out == "run\n"


READERS = ("runs list --json", "runs show run", "eval run", "--help", "config show rig")


@pytest.mark.parametrize("command", READERS)
def test_r24_readers(server: Server, rig: Path, command: str) -> None:
    server.must("train", rig, "--runs", "runs", "--max-steps", 13)
    (run,) = (server.folder / "runs").iterdir()
    line = "dlcli " + command.replace("show run", f"show {run}").replace("eval run", f"eval {run}")
    line = line.replace("show rig", f"show {rig}")
    for redirection, codes in {
        ">&-": (0, 8) if command == "--help" else (8,),
        ">/dev/full": (8,),
        "2>&- <&-": (0,),
        "| true": (0, PIPE),
    }.items():
        code, _, err = shell(server, f"{line} {redirection}")
        assert code in codes, (redirection, err)
        if code == 8:
            (told,) = err.splitlines()
            assert told.startswith("error: ")
            assert command == "--help" or "standard output: " in told


def test_r24_head_reads_the_first_line(server: Server, rig: Path) -> None:
    server.must("train", rig, "--max-steps", 1)
    code, out, err = shell(server, "for i in 1 2 3; do dlcli runs show | head -1; done")
    assert out.splitlines() == [out.splitlines()[0]] * 3
    assert out.startswith("run ")
    assert code in (0, PIPE), err
