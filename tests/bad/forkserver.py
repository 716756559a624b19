"""A process that has all of dlcli imported and forks for every command line.

Each command is a process of its own, with its own streams, working directory, environment and limits, at a tenth of
the time that a new interpreter takes. A line of JSON on stdin is a job; a line on stdout is how its process ended.
"""

from __future__ import annotations

import ctypes
import gc
import importlib
import io
import json
import os
import pkgutil
import resource
import signal
import sys
import time
from collections.abc import Callable
from contextlib import redirect_stderr, redirect_stdout, suppress
from functools import cache
from importlib import metadata
from pathlib import Path
from types import FrameType
from typing import Any

DENIED = (
    "os.exec", "os.fork", "os.posix_spawn", "os.system", "pickle.find_class", "pty.spawn", "socket.connect",
)  # fmt: skip
"""Audit events that no bad input may cause."""

COMPILERS = ("typing", "dataclasses", "collections", "inspect", "importlib.", "re.", "typer.", "pydantic.")
"""Modules that compile annotations, generated methods and modules, never a user's text."""

ASKED = ("git", "uname")
"""Programs that a training asks for the commit and the machine, which its run.json tells."""

CREATES = os.O_WRONLY | os.O_RDWR | os.O_CREAT | os.O_TRUNC | os.O_APPEND


def _harmless(frame: FrameType) -> bool:
    """Whether what compiles is Python's own machinery, or `ast.literal_eval`, which runs nothing."""
    name = frame.f_globals.get("__name__", "")
    parent = frame.f_back.f_code.co_name if frame.f_back else ""
    return name.startswith(COMPILERS) or (name == "ast" and parent == "literal_eval")


def guard(report: int, writable: list[str]) -> Callable[[str, tuple[Any, ...]], None]:
    """An audit hook that writes a line to `report` for everything that data must not be able to cause."""

    packages = {*sys.stdlib_module_names, *(name.partition(".")[0] for name in sys.modules)}

    def hook(event: str, args: tuple[Any, ...]) -> None:
        if event == "open":
            path, _, flags = args
            real = os.path.realpath(os.fsdecode(path)) if isinstance(path, (str, bytes)) and flags & CREATES else ""
            bad = bool(real) and not real.startswith(tuple(writable)) and real != os.devnull
        elif event == "import":
            bad = args[0].partition(".")[0] not in packages
        elif event in ("exec", "compile"):
            bad = not _harmless(sys._getframe(1))
        elif event == "subprocess.Popen":
            bad = args[0] not in ASKED
        else:
            bad = event in DENIED
        if bad:
            os.write(report, f"{event}: {args!r}"[:200].encode("utf-8", "backslashreplace") + b"\n")

    return hook


def child(job: dict[str, Any]) -> None:
    """Become the command line of a job; does not return."""
    for descriptor, path, flags in (
        (0, job["stdin"], os.O_RDONLY),
        (1, job["stdout"], os.O_WRONLY | os.O_CREAT | os.O_TRUNC),
        (2, job["stderr"], os.O_WRONLY | os.O_CREAT | os.O_TRUNC),
    ):
        opened = os.open(path, flags, 0o600)
        os.dup2(opened, descriptor)
        os.close(opened)
    report = os.open(job["audit"], os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600)
    os.chdir(job["cwd"])
    os.environ.clear()
    os.environ.update(job["env"])
    sys.argv = ["dlcli", *job["arguments"]]
    for name, value in job["limits"].items():
        resource.setrlimit(getattr(resource, name), (value, value))
    if job["clock"]:
        from dlcli import runs
        from dlcli.experiment import opening, session

        runs.now = session.now = opening.now = lambda: job["clock"]
    if job["powerless"]:
        give_up_powers()
    if job["guarded"]:
        sys.addaudithook(guard(report, job["writable"]))
    from dlcli.cli.app import main

    main()


def give_up_powers() -> None:
    """Drop what lets root read and write any file, so that permissions hold for root too; see capabilities(7)."""
    libc = ctypes.CDLL(None, use_errno=True)
    header = (ctypes.c_uint32 * 2)(0x20080522, 0)
    kept = 0xFFFFFFFF & ~(1 << 1 | 1 << 2)  # CAP_DAC_OVERRIDE, CAP_DAC_READ_SEARCH
    data = (ctypes.c_uint32 * 6)()
    libc.capget(header, data)
    data[0], data[1] = data[0] & kept, data[1] & kept
    if libc.capset(header, data):
        raise OSError(ctypes.get_errno(), "capset")


def wait(pid: int, seconds: float) -> tuple[int | None, int]:
    """The exit code (negative for a signal, None after `seconds`) and the peak memory in bytes of a process."""
    deadline = time.monotonic() + seconds
    while True:
        ended, status, usage = os.wait4(pid, os.WNOHANG)
        if ended:
            return os.waitstatus_to_exitcode(status), usage.ru_maxrss * 1024
        if time.monotonic() > deadline:
            os.kill(pid, signal.SIGKILL)
            os.waitpid(pid, 0)
            return None, 0
        time.sleep(0.001)


def warm() -> None:
    """Run what every command line begins with, so that its modules are loaded and its annotations compiled."""
    from dlcli.cli.app import run
    from dlcli.core.errors import DlcliError

    base = str(Path(__file__).with_name("base.yaml"))
    for arguments in (["config", "show", base], ["check", base], ["train", "--max-steps", "x"], ["trian"]):
        with suppress(DlcliError), redirect_stdout(io.StringIO()), redirect_stderr(io.StringIO()):
            run(arguments)


def serve() -> None:
    """Answer jobs until stdin ends."""
    import typer.main

    import dlcli

    for module in pkgutil.walk_packages(dlcli.__path__, "dlcli."):
        if not module.name.endswith("__main__"):
            importlib.import_module(module.name)
    for name in ("numpy.ma", "requests", "pooch", "yaml", "rich.live", "rich.console", "concurrent.futures.thread"):
        importlib.import_module(name)
    warm()
    typer.main.get_command = cache(typer.main.get_command)
    metadata.entry_points = cache(metadata.entry_points)
    gc.collect()
    gc.freeze()
    jobs, answers = os.fdopen(os.dup(0), "rb"), os.dup(1)
    for line in jobs:
        job = json.loads(line)
        pid = os.fork()
        if pid == 0:
            try:
                os.close(answers)
                child(job)
            finally:
                os._exit(99)
        code, memory = wait(pid, job["seconds"])
        os.write(answers, json.dumps([code, memory]).encode() + b"\n")


if __name__ == "__main__":
    serve()
