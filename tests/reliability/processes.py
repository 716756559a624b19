"""Runs command lines as processes that can be killed, signalled and waited for, at a tenth of an interpreter's start.

A server has all of dlcli imported and forks for every command line: each is a process and a session of its own, with
its own streams, working directory, environment and planned faults. `real` starts a new interpreter instead.
"""

from __future__ import annotations

import importlib
import json
import os
import pkgutil
import resource
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import dlcli

PACKAGE = Path(dlcli.__file__).parents[1]
PATIENCE = 120.0
"""Seconds that any process may take."""

ENVIRONMENT = {
    **{k: v for k, v in os.environ.items() if not k.startswith(("DLCLI_", "OPENBLAS", "OMP_", "PYTHON"))},
    "PYTHONPATH": str(PACKAGE),
    "DLCLI_TESTING": "1",
    "PYTHONWARNINGS": "error",
    "NO_COLOR": "1",
}


@dataclass
class Process:
    """One command line that runs; `out` and `err` are what it has written so far."""

    pid: int
    files: tuple[Path, Path]
    _wait: Callable[[], int]

    def kill(self, number: int = signal.SIGKILL) -> None:
        """Send a signal to the process and all that it has started; nothing if it has ended."""
        with suppress(ProcessLookupError):
            os.killpg(self.pid, number)

    def wait(self) -> int:
        """How it ended: the exit code, negative for a signal."""
        return self._wait()

    def wait_until_stopped(self) -> None:
        """Wait for the moment at which a planned `stop` halts it."""
        deadline = time.monotonic() + PATIENCE
        while Path(f"/proc/{self.pid}/stat").read_text().rpartition(")")[2].split()[0] != "T":
            assert time.monotonic() < deadline, self.err
            time.sleep(0.001)

    @property
    def out(self) -> str:
        return self.files[0].read_text()

    @property
    def err(self) -> str:
        return self.files[1].read_text()

    @property
    def lines(self) -> list[str]:
        """The lines of stderr."""
        return self.err.splitlines()


class Server:
    """Starts command lines in `folder`; their outputs go to files in `logs`."""

    def __init__(self, folder: Path, logs: Path) -> None:
        self.folder, self.logs, self.count = folder, logs, 0
        self.server: subprocess.Popen[str] | None = None

    def start(self, *arguments: object, real: bool = False, **job: Any) -> Process:
        """Start `dlcli`; `env` adds to the environment; `cwd`, `limits`, `ignore` (signals), `cores`, `umask`."""
        self.count += 1
        files = self.logs / f"{self.count}.out", self.logs / f"{self.count}.err"
        for file in files:
            file.touch()
        env = ENVIRONMENT | {k: str(v) for k, v in job.pop("env", {}).items()}
        cwd = str(job.pop("cwd", self.folder))
        command = [str(a) for a in arguments]
        if real:
            return _real(command, cwd, env, files, job)
        job |= {"arguments": command, "env": env, "cwd": cwd, "files": [str(f) for f in files]}
        pid = self._ask(job)
        return Process(pid, files, lambda: self._ask({"wait": pid}))

    def run(self, *arguments: object, **job: Any) -> tuple[int, Process]:
        """Start a command line and wait for its end."""
        process = self.start(*arguments, **job)
        return process.wait(), process

    def must(self, *arguments: object, **job: Any) -> Process:
        """Run a command line that has to succeed."""
        code, process = self.run(*arguments, **job)
        assert code == 0, process.err
        return process

    def close(self) -> None:
        """End the server."""
        if self.server is not None:
            self.server.communicate()

    def _ask(self, job: dict[str, Any]) -> int:
        if self.server is None:
            command = [sys.executable, __file__]
            env = ENVIRONMENT | {"OPENBLAS_NUM_THREADS": "1", "OMP_NUM_THREADS": "1"}
            pipe = subprocess.PIPE
            self.server = subprocess.Popen(command, env=env, stdin=pipe, stdout=pipe, text=True, start_new_session=True)
        assert self.server.stdin is not None
        assert self.server.stdout is not None
        self.server.stdin.write(json.dumps(job) + "\n")
        self.server.stdin.flush()
        return int(self.server.stdout.readline())


def _real(command: list[str], cwd: str, env: dict[str, str], files: tuple[Path, Path], job: dict[str, Any]) -> Process:
    """A command line in an interpreter of its own."""
    with files[0].open("wb") as out, files[1].open("wb") as err:
        process = subprocess.Popen(
            [sys.executable, "-m", "dlcli", *command],
            cwd=cwd,
            env=env,
            stdin=subprocess.DEVNULL,
            stdout=out,
            stderr=err,
            start_new_session=True,
            preexec_fn=lambda: _prepare(job),
        )
    return Process(process.pid, files, lambda: process.wait(PATIENCE))


def _prepare(job: dict[str, Any]) -> None:
    for name, value in job.get("limits", {}).items():
        resource.setrlimit(getattr(resource, name), (value, value))
    for number in job.get("ignore", ()):
        signal.signal(number, signal.SIG_IGN)
    if "cores" in job:
        os.sched_setaffinity(0, job["cores"])
    if "umask" in job:
        os.umask(job["umask"])


def _child(job: dict[str, Any]) -> None:
    """Become the command line of a job; does not return."""
    os.setsid()
    flags = os.O_WRONLY | os.O_CREAT | os.O_TRUNC
    for descriptor, path in ((0, os.devnull), *enumerate(job["files"], 1)):
        opened = os.open(path, flags if descriptor else os.O_RDONLY, 0o600)
        os.dup2(opened, descriptor)
        os.close(opened)
    os.chdir(job["cwd"])
    os.environ.clear()
    os.environ.update(job["env"])
    sys.argv = ["dlcli", *job["arguments"]]
    _prepare(job)
    from dlcli.cli.app import main
    from dlcli.core import faults

    faults.plan(os.environ.get("DLCLI_FAULT", ""))
    main()


def _wait(pid: int) -> int:
    deadline = time.monotonic() + PATIENCE
    while time.monotonic() < deadline:
        ended, status = os.waitpid(pid, os.WNOHANG)
        if ended:
            return os.waitstatus_to_exitcode(status)
        time.sleep(0.001)
    os.kill(pid, signal.SIGKILL)
    os.waitpid(pid, 0)
    return -99


def serve() -> None:
    """Answer jobs until stdin ends: one to start with the process's id, one to wait with how it ended."""
    for module in pkgutil.walk_packages(dlcli.__path__, "dlcli."):
        if not module.name.endswith("__main__"):
            importlib.import_module(module.name)
    jobs, answers = os.fdopen(os.dup(0), "rb"), os.dup(1)
    for line in jobs:
        job = json.loads(line)
        if "wait" in job:
            answer = _wait(job["wait"])
        else:
            answer = os.fork()
            if answer == 0:
                try:
                    os.close(answers)
                    jobs.close()
                    _child(job)
                finally:
                    os._exit(99)
        os.write(answers, f"{answer}\n".encode())
    jobs.close()


if __name__ == "__main__":
    serve()
