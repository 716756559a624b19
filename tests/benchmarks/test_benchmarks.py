"""The benchmark runs, compares losses and prints its figures; its times are for people, not for a busy machine."""

from __future__ import annotations

import json
import subprocess
import sys
from importlib.util import find_spec
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]

CONTENDERS = {
    "gemm": ("lenet", {"gemm 1 thread", "gemm 2 threads"}),
    "torch": ("lenet", {"torch eager", "torch eager, channels last", "torch DataLoader"}),
    "jax": ("dense", {"jax jitted step", "jax scan"}),
    "sklearn": ("dense", {"sklearn MLPClassifier"}),
}
"""What each peer sends into a contest over which network."""


def benchmark(*arguments: str) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "-m", "tests.benchmarks", "--small", "--rounds", "2", "--kernels", "own", *arguments]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, timeout=120)
    assert done.returncode == 0, done.stderr
    return done


@pytest.mark.parametrize("peer", CONTENDERS)
def test_a_peer_computes_the_same_losses_and_is_measured_or_is_named_as_absent(peer: str):
    net, contenders = CONTENDERS[peer]
    done = benchmark("--nets", net, "--peers", peer, "--json")
    if absent := peer != "gemm" and not find_spec(peer):
        assert f"{peer} is not installed and left out" in done.stderr
    (contest,) = json.loads(done.stdout)["contests"]
    assert {row["contender"] for row in contest["rows"]} == {"dlcli", *(() if absent else contenders)}
    assert max(contest["losses_apart"]) < 1e-3
    for row in contest["rows"]:
        assert row["ms_per_step"]["min"] > 0
        assert row["ratio"]["low"] <= row["ratio"]["median"] <= row["ratio"]["high"]
    assert 20e6 < contest["peak_memory"] < 300e6


def test_the_table_shows_ratios_beside_goals():
    lines = benchmark("--nets", "dense", "--peers", "gemm").stdout.splitlines()
    dlcli, floor = (next(line for line in lines if line.startswith(name)) for name in ("dlcli ", "gemm 1 thread"))
    assert dlcli.split()[4:] == ["1.00", "1.00-1.00"]
    assert floor.endswith("<= 1.25")  # and no verdict after a few steps
