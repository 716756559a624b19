"""What a run records of the machine and the software, and what an exact resume depends on."""

from __future__ import annotations

import os
import platform
import resource
import subprocess
import sys
from functools import lru_cache
from importlib import metadata
from pathlib import Path
from typing import Any

import numpy as np
from threadpoolctl import threadpool_info

from dlcli import __version__
from dlcli.training.evaluate import BLOCK


@lru_cache(maxsize=1)
def blas() -> dict[str, Any]:
    """The BLAS that NumPy runs on: its name, version, kernels and threads."""
    for library in threadpool_info():
        if library["user_api"] == "blas":
            keys = {"internal_api": "name", "version": "version", "architecture": "core", "num_threads": "threads"}
            return {new: library.get(old) for old, new in keys.items()}
    return {"name": "unknown", "version": None, "core": None, "threads": None}


def numerics() -> dict[str, Any]:
    """What decides the bits of a run besides its config; the same for any number of threads of dlcli's own."""
    found = blas()
    return {
        "dlcli": __version__,
        "python": platform.python_version(),
        "numpy": np.__version__,
        "blas": f"{found['name']} {found['version']}",
        "core": found["core"],
        "machine": platform.machine(),
        "eval_batch_size": BLOCK,
    }


EXACT = ("numpy", "blas", "core", "machine", "eval_batch_size")
"""The numerics that have to agree for a resume to the same bits."""


def facts(threads: int) -> dict[str, Any]:
    """The environment as run.json holds it."""
    names = ("typer", "rich", "pyyaml", "pooch", "threadpoolctl")
    return {
        **numerics(),
        "blas_threads": blas()["threads"],
        "threads": threads,
        "cpu": _cpu(),
        "cores": len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count(),
        "platform": platform.platform(),
        "packages": {name: metadata.version(name) for name in names},
        "git_commit": _git_commit(),
    }


def _cpu() -> str:
    try:
        for line in Path("/proc/cpuinfo").read_text().splitlines():
            if line.startswith("model name"):
                return line.split(":", 1)[1].strip()
    except OSError:
        pass
    return platform.processor() or platform.machine()


def _git_commit() -> str | None:
    """The commit of the working directory, with `-dirty` where files differ; None outside a repository."""
    command = ["git", "describe", "--always", "--dirty", "--abbrev=40", "--exclude=*"]
    try:
        done = subprocess.run(command, capture_output=True, text=True, timeout=5, check=False)
    except (OSError, subprocess.SubprocessError):
        return None
    return done.stdout.strip() or None


def peak_memory() -> int:
    """The largest resident memory of this process so far, in bytes."""
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    return peak if sys.platform == "darwin" else peak * 1024
