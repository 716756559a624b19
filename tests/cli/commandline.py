"""Runs command lines in a folder of their own."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from reliability.processes import ENVIRONMENT, PACKAGE, Server

CONFIGS = PACKAGE / "configs"


@dataclass(frozen=True)
class Ended:
    """What a command has written."""

    out: str
    err: str

    @property
    def lines(self) -> list[str]:
        """The lines of stderr."""
        return self.err.splitlines()

    @property
    def json(self) -> Any:
        """The one document on stdout, in strict JSON on one line."""
        assert self.out.count("\n") == 1
        return json.loads(self.out, parse_constant=_no_constant)


def _no_constant(name: str) -> None:
    raise ValueError(f"{name} is no JSON")


class Cli:
    """Runs `dlcli` in `folder`; `code` is how it has to end."""

    def __init__(self, server: Server, folder: Path) -> None:
        self.server, self.folder = server, folder
        self.env = {"DLCLI_DATA_DIR": str(folder / "cache"), "COLUMNS": "80", "TERM": "xterm"}

    def __call__(self, *arguments: object, code: int = 0, env: Mapping[str, str] | None = None) -> Ended:
        """Run a command line in a process that is forked."""
        ended, process = self.server.run(*arguments, cwd=self.folder, env={**self.env, **(env or {})})
        return self._judged(arguments, ended, code, Ended(process.out, process.err))

    def real(self, *arguments: object, code: int = 0, stdin: str = "", env: Mapping[str, str] | None = None) -> Ended:
        """Run a command line in an interpreter of its own."""
        return self._process([sys.executable, "-m", "dlcli", *map(str, arguments)], code, stdin, env or {})

    def shell(self, script: str, code: int = 0) -> Ended:
        """Run a shell script that finds `dlcli`."""
        command = self.folder / "bin" / "dlcli"
        command.parent.mkdir(exist_ok=True)
        command.write_text(f'#!/bin/sh\nexec {sys.executable} -m dlcli "$@"\n')
        command.chmod(0o755)
        return self._process(["sh", "-c", script], code, "", {"PATH": f"{command.parent}:{os.environ['PATH']}"})

    def _process(self, command: list[str], code: int, stdin: str, env: Mapping[str, str]) -> Ended:
        merged = {**ENVIRONMENT, **self.env, **env}
        done = subprocess.run(
            command, cwd=self.folder, env=merged, input=stdin, capture_output=True, text=True, timeout=60, check=False
        )
        return self._judged(command, done.returncode, code, Ended(done.stdout, done.stderr))

    def _judged(self, command: object, got: int, expected: int, ended: Ended) -> Ended:
        assert got == expected, f"{command}: exit code {got}, expected {expected}\n{ended.err}"
        assert "Traceback" not in ended.err
        if got:
            assert [line for line in ended.lines if line.startswith("error: ")]
        return ended

    def train(self, config: str | Path, *arguments: object) -> Path:
        """The run directory of a training."""
        return self.folder / self("train", config, *arguments).out.removesuffix("\n")

    def write(self, name: str, text: str) -> Path:
        """A file in the folder."""
        path = self.folder / name
        path.write_text(text)
        return path

    def shipped(self, name: str, *changes: tuple[str, str], to: str | None = None) -> Path:
        """A copy of a shipped config with texts replaced."""
        text = (CONFIGS / f"{name}.yaml").read_text()
        for old, new in changes:
            assert old in text
            text = text.replace(old, new)
        return self.write(to or f"{name}.yaml", text)
