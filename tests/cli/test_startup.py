"""How much a command loads before it works: `--help` no NumPy, and no command a library that only another needs."""

from __future__ import annotations

import statistics
import subprocess
import sys
import time

import pytest
from commandline import CONFIGS
from reliability.processes import ENVIRONMENT

HEAVY = ("numpy", "requests", "pooch", "rich", "yaml", "pydantic", "importlib.metadata", "dlcli.nn", "dlcli.experiment")
SLOW = {("--help",): 0.120, ("check", str(CONFIGS / "mnist.yaml")): 0.250}
"""What a command may take when the machine is idle and its files are in memory, in seconds."""

LENIENT = 3
"""A slower machine may take that much longer."""

BARE = 0.025
"""What an idle machine takes for an interpreter that does nothing; a busy one takes longer for everything."""


def imported(*arguments: str) -> set[str]:
    """The modules that a command line imports."""
    command = [sys.executable, "-X", "importtime", "-m", "dlcli", *arguments]
    done = subprocess.run(command, env=ENVIRONMENT, capture_output=True, text=True, timeout=60, check=True)
    lines = [line for line in done.stderr.splitlines() if line.startswith("import time:")]
    return {line.rpartition("|")[2].strip() for line in lines}


@pytest.mark.parametrize("arguments", [("--help",), ("train", "--help"), ("--version",), ()], ids=" ".join)
def test_help_loads_nothing_heavy(arguments: tuple[str, ...]) -> None:
    found = imported(*arguments)
    assert "typer" in found
    assert [module for module in HEAVY if module in found] == []


def test_check_loads_no_library_that_only_others_need() -> None:
    found = imported("check", str(CONFIGS / "mnist.yaml"))
    assert "numpy" in found
    unwanted = ("requests", "pooch", "rich", "pydantic", "importlib.metadata")
    assert [module for module in unwanted if module in found] == []


def seconds(*arguments: str) -> float:
    """The time that an interpreter takes from its start to its end."""
    began = time.perf_counter()
    subprocess.run([sys.executable, *arguments], env=ENVIRONMENT, capture_output=True, check=True)
    return time.perf_counter() - began


@pytest.mark.parametrize("arguments", SLOW, ids=lambda words: words[0])
def test_start(arguments: tuple[str, ...]) -> None:
    took = [(seconds("-c", "pass"), seconds("-m", "dlcli", *arguments)) for _ in range(5)]
    bare, command = (statistics.median(column) for column in zip(*took, strict=True))
    assert command <= LENIENT * SLOW[arguments] * max(1.0, bare / BARE)
