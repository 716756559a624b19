"""stdout, stderr and the terminal: one write of a result, bars only where a cursor moves, colours only where wanted."""

from __future__ import annotations

import json
import os
import pty
import re
import socket
import subprocess
import sys

import pytest
from commandline import Cli
from reliability.processes import ENVIRONMENT

SHORT = ("train", "digits.yaml", "--set", "train.epochs=2")
ESCAPE = "\x1b["
COLOUR = re.compile(r"\x1b\[[0-9;]*m")


def start(cli: Cli, arguments: tuple[str, ...], stdout: int, stderr: int, **env: str) -> int:
    """The exit code of a command with streams of one's own."""
    plain = {k: v for k, v in {**ENVIRONMENT, **cli.env}.items() if k != "NO_COLOR"}
    command = [sys.executable, "-m", "dlcli", *arguments]
    process = subprocess.Popen(command, cwd=cli.folder, env={**plain, **env}, stdout=stdout, stderr=stderr)
    return process.wait(60)


def on_terminal(cli: Cli, *arguments: str, both: bool = False, **env: str) -> tuple[str, str]:
    """stdout and what a terminal was sent, which shows stderr, or `both`."""
    leader, follower = pty.openpty()
    (cli.folder / "out").touch()
    chunks = []
    with (cli.folder / "out").open("r+b") as out:
        pid = os.fork()
        if pid == 0:
            os.close(leader)
            os._exit(start(cli, arguments, follower if both else out.fileno(), follower, **env))
        os.close(follower)
        try:
            while chunk := os.read(leader, 1 << 16):
                chunks.append(chunk)
        except OSError:  # the other end is closed
            pass
        os.close(leader)
        assert os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1]) == 0
    return (cli.folder / "out").read_text(), b"".join(chunks).decode()


@pytest.mark.parametrize(
    "arguments",
    [(*SHORT, "--json"), ("list", "--json"), ("config", "schema"), ("gradcheck", "digits.yaml", "--json"), ("list",)],
    ids=lambda words: words[0],
)
def test_a_result_is_written_at_once(cli: Cli, arguments: tuple[str, ...]) -> None:
    cli.shipped("digits")
    here, there = socket.socketpair(socket.AF_UNIX, socket.SOCK_DGRAM)
    with here, there:
        # A datagram is one write.
        assert start(cli, arguments, there.fileno(), subprocess.DEVNULL, PYTHONUNBUFFERED="1") == 0
        here.setblocking(False)
        first = here.recv(1 << 20)
        with pytest.raises(BlockingIOError):
            here.recv(1)
    assert first.endswith(b"\n")
    if "--json" in arguments or "schema" in arguments:
        json.loads(first)


def test_a_terminal_shows_a_bar_and_a_table_and_stdout_stays_clean(cli: Cli) -> None:
    cli.shipped("digits")
    out, seen = on_terminal(cli, *SHORT)
    assert re.fullmatch(r"runs/digits-[0-9a-f]{8}\n", out)
    assert "epoch 1/2" in seen
    assert ESCAPE in seen
    assert COLOUR.search(seen)
    plain = COLOUR.sub("", seen)
    assert re.search(r" +epoch +loss +accuracy +loss +accuracy +lr +time", plain)
    assert re.search(r"    2/2 +0\.\d+ ", plain)
    assert seen.rstrip().endswith(f"next   dlcli eval {out.strip()}")
    assert seen.count("\x1b[?25h") >= seen.count("\x1b[?25l")


def test_no_color_is_honoured(cli: Cli) -> None:
    cli.shipped("digits")
    out, seen = on_terminal(cli, *SHORT, both=True, NO_COLOR="1")
    assert out == ""
    assert "epoch 1/2" in seen
    assert not COLOUR.search(seen)
    assert not COLOUR.search(on_terminal(cli, "data", "show", "digits", both=True, NO_COLOR="1")[1])
    assert COLOUR.search(on_terminal(cli, "data", "show", "digits", both=True)[1])
    assert not COLOUR.search(on_terminal(cli, "data", "show", "digits")[0])


def test_a_dumb_terminal_gets_plain_lines(cli: Cli) -> None:
    cli.shipped("digits")
    _, seen = on_terminal(cli, *SHORT, TERM="dumb")
    assert ESCAPE not in seen
    assert re.search(r"epoch 2/2  step 72  train\.loss ", seen)


def test_stderr_may_be_thrown_away(cli: Cli) -> None:
    cli.shipped("digits")
    ended = cli.shell(" ".join(SHORT).join(["dlcli ", " 2>/dev/null"]))
    assert ended.err == ""
    assert ended.out.startswith("runs/digits-")
    closed = cli.shell(" ".join(SHORT).join(["dlcli ", " 2>&-"]))
    assert closed.out == ended.out.replace("\n", "-2\n")


def test_an_error_leaves_stdout_empty_with_json_too(cli: Cli) -> None:
    for code, arguments in ((6, ("eval",)), (3, ("train", "none.yaml")), (6, ("runs", "show")), (3, ("check", "/"))):
        ended = cli(*arguments, "--json", code=code)
        assert ended.out == ""
        assert len(ended.lines) == 1


def test_a_reader_that_leaves_ends_the_command_silently(cli: Cli) -> None:
    ended = cli.shell("dlcli list | head -n 1")
    assert ended.out == "kind           components  in a config\n"
    assert ended.err in ("", "next   dlcli list layers\n")
