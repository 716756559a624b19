"""Runs the cases of this folder: a fresh working directory each, and everything seen that a bad input can cause."""

from __future__ import annotations

import hashlib
import json
import os
import re
import shlex
import shutil
import subprocess
import sys
import time
from dataclasses import dataclass, field, fields
from pathlib import Path
from typing import Any

from bad import makers

HERE = Path(__file__).parent
ROOT = HERE.parents[1]
BASE = "base.yaml"
SCRIPT = "#!/bin/sh"
LIMIT = 5.0
"""Seconds that a case may take."""

MEMORY = 512 << 20
"""Bytes that a case may hold."""

ANY = "<any>"
"""Stands in an expected line for what differs from machine to machine."""


@dataclass
class Case:
    """One bad input and what it gets; the fields are the keys of expect.json, where README.md explains them."""

    id: str
    folder: Path
    cmd: str
    code: int
    about: str = ""
    lines: list[str] = field(default_factory=list)
    notes: list[str] | str = field(default_factory=list)
    stdout: str = ""
    leaves: list[str] = field(default_factory=list)
    edit: list[list[str]] = field(default_factory=list)
    make: list[str] = field(default_factory=list)
    stdin: str | None = None
    env: dict[str, str | None] = field(default_factory=dict)
    limits: dict[str, int] = field(default_factory=dict)
    real: bool = False
    powerless: bool = False
    clock: str | None = None
    guarded: bool = True
    needs: str | None = None


@dataclass
class Ended:
    """How a command line ended."""

    code: int | None
    stdout: str
    stderr: str
    audit: str = ""
    memory: int = 0
    seconds: float = 0.0
    changed: list[str] = field(default_factory=list)


KEYS = {f.name for f in fields(Case)} - {"id", "folder"}


def cases() -> list[Case]:
    """Every case of every folder, in the order of their numbers."""
    return [case for folder in sorted(HERE.glob("[0-9]*")) for case in read_folder(folder)]


def read_folder(folder: Path) -> list[Case]:
    """The variants of a folder, each with the folder's own keys where it has none."""
    common: dict[str, Any] = json.loads((folder / "expect.json").read_text())
    variants: list[dict[str, Any]] = common.pop("variants", [{}])
    if (folder / "cmd").exists():
        common["cmd"] = (folder / "cmd").read_text().strip()
    found = []
    for variant in variants:
        merged = {**common, **variant}
        name = merged.pop("id", None)
        unknown = merged.keys() - KEYS
        if unknown:
            raise ValueError(f"{folder.name}: unknown keys {sorted(unknown)}")
        found.append(Case(id=f"{folder.name}/{name}" if name else folder.name, folder=folder, **merged))
    return found


def prepare(case: Case, work: Path) -> None:
    """Fill the working directory of a case: its own files, `c.yaml`, and what its makers make."""
    work.mkdir()
    for source in case.folder.iterdir():
        if source.name not in ("cmd", "expect.json"):
            shutil.copy(source, work / source.name)
    own = work / "c.yaml"
    text = (own if own.exists() else HERE / BASE).read_text(encoding="utf-8")
    for old, new in case.edit:
        if text.count(old) != 1:
            raise ValueError(f"{case.id}: {old!r} stands {text.count(old)} times in the config, expected once")
        text = text.replace(old, new)
    own.write_text(text, encoding="utf-8", newline="")
    for line in case.make:
        name, *arguments = shlex.split(line)
        getattr(makers, name)(work, *arguments)


def environment(case: Case, work: Path) -> dict[str, str]:
    """The variables of a case: a fixed few, so that the machine's own play no part."""
    base: dict[str, str | None] = {
        "PATH": f"{HERE}/bin:{os.environ['PATH']}",
        "PYTHON": sys.executable,
        "PYTHONPATH": str(ROOT),
        "PYTHONDONTWRITEBYTECODE": "1",
        "HOME": str(work),
        "LANG": "C.UTF-8",
        "DLCLI_RUNS": "runs",
        "DLCLI_DATA_DIR": "cache",
    }
    return {k: v.replace("{dir}", str(work)) for k, v in {**base, **case.env}.items() if v is not None}


class ForkServer:
    """The other end of `forkserver.py`."""

    def __init__(self) -> None:
        self.process = subprocess.Popen(
            [sys.executable, str(HERE / "forkserver.py")],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            env={
                "OPENBLAS_NUM_THREADS": "1",
                "PATH": os.environ["PATH"],
                "PYTHONPATH": str(ROOT),
                "LANG": "C.UTF-8",
                "PYTHONDONTWRITEBYTECODE": "1",
            },
        )

    def run(self, case: Case, work: Path) -> Ended:
        """Run a case whose working directory is ready."""
        streams = {name: str(work.parent / f"{work.name}.{name}") for name in ("stdin", "stdout", "stderr", "audit")}
        Path(streams["stdin"]).write_bytes(_stdin(case))
        job = {
            **streams,
            "arguments": arguments(case),
            "cwd": str(work),
            "env": environment(case, work),
            "limits": case.limits,
            "guarded": case.guarded,
            "powerless": case.powerless,
            "clock": case.clock,
            "writable": [str(work.resolve()) + os.sep],
            "seconds": 2 * LIMIT,
        }
        pipe, answer = self.process.stdin, self.process.stdout
        assert pipe is not None
        assert answer is not None
        pipe.write(json.dumps(job).encode() + b"\n")
        pipe.flush()
        code, memory = json.loads(answer.readline())
        texts = {name: Path(path).read_text("utf-8", "backslashreplace") for name, path in streams.items()}
        return Ended(code, texts["stdout"], texts["stderr"], texts["audit"], memory)

    def close(self) -> None:
        self.process.communicate()


def arguments(case: Case) -> list[str]:
    """The words after `dlcli`, in which `\\xNN` is a byte, for names that no JSON can hold."""
    words = shlex.split(case.cmd)
    return [re.sub(r"\\x([0-9a-f]{2})", lambda m: os.fsdecode(bytes([int(m[1], 16)])), w) for w in words]


def run_real(case: Case, work: Path) -> Ended:
    """Run a case in a new interpreter, or, where it is a shell script, in a shell that finds `dlcli`."""
    script = case.cmd.startswith(SCRIPT)
    command = ["sh", "-c", case.cmd] if script else [sys.executable, "-m", "dlcli", *arguments(case)]
    process = subprocess.run(
        command, cwd=work, env=environment(case, work), input=_stdin(case), capture_output=True, timeout=2 * LIMIT
    )
    return Ended(
        process.returncode,
        process.stdout.decode("utf-8", "backslashreplace"),
        process.stderr.decode("utf-8", "backslashreplace"),
    )


def _stdin(case: Case) -> bytes:
    return (case.stdin or "").encode("utf-8", "surrogateescape")


def run(case: Case, server: ForkServer | None, work: Path) -> Ended:
    """Prepare and run a case, and see what it changed on disk."""
    prepare(case, work)
    before, began = tree(work), time.monotonic()
    alone = server is None or case.real or case.cmd.startswith(SCRIPT)
    ended = run_real(case, work) if server is None or alone else server.run(case, work)
    ended.seconds = time.monotonic() - began
    after = tree(work)
    ended.changed = sorted(p for p in before.keys() | after.keys() if before.get(p) != after.get(p))
    return ended


def tree(folder: Path) -> dict[str, str]:
    """Every file, link and folder below `folder` with its content."""
    found = {}
    for path in folder.rglob("*"):
        if path.is_symlink():
            found[str(path.relative_to(folder))] = str(path.readlink())
        elif path.is_file():
            readable = os.access(path, os.R_OK)
            found[str(path.relative_to(folder))] = hashlib.sha256(path.read_bytes()).hexdigest() if readable else "?"
        else:
            found[str(path.relative_to(folder))] = "other"
    return found


def matches(line: str, expected: str, work: Path) -> bool:
    """Whether a line is the expected one; `{dir}` is the working directory, `<any>` anything."""
    pattern = re.escape(expected.replace("{dir}", str(work))).replace(re.escape(ANY), ".*")
    return re.fullmatch(pattern, line) is not None
