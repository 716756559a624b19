"""The benchmark runs and prints its table; its times are for people, not for a test on a shared machine."""

import subprocess
import sys
from pathlib import Path


def test_the_benchmark_prints_a_ratio_for_every_contender():
    root = Path(__file__).parents[2]
    command = [sys.executable, "-m", "tests.benchmarks", "--rounds", "1", "--samples", "2000"]
    done = subprocess.run(command, cwd=root, capture_output=True, text=True, timeout=120)
    assert done.returncode == 0, done.stderr
    assert "five matrix products alone, one thread" in done.stdout
    ratio = next(line for line in done.stdout.splitlines() if line.startswith("dlcli, one thread")).split()[-2]
    assert float(ratio) == 1.0
    memory = next(line for line in done.stdout.splitlines() if line.startswith("peak memory"))
    assert 20 < float(memory.split()[-2]) < 300
