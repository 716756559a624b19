"""`python -m tests.benchmarks`: one epoch of 784-128-10 through dlcli's own loop, beside its matrix products alone.

Each contender lives in a process of its own and waits until it is told to run an epoch, so that they run in turn,
A B C A B C, on the same machine in the same minutes. What counts is the ratio of the medians; PyTorch joins where it
is installed. The clock covers gathering, normalising, forward, backward, loss, metric and update; not loading.
"""

from __future__ import annotations

import argparse
import os
import statistics
import subprocess
import sys
from importlib.util import find_spec
from pathlib import Path

CONTENDERS = {"floor": "1", "dlcli": "1", "torch": ""}
"""Each contender with the BLAS threads it gets; empty for all cores."""


class Contender:
    """A process that runs an epoch whenever it is asked."""

    def __init__(self, name: str, samples: int) -> None:
        self.name = name
        self.times: list[float] = []
        environment = dict(os.environ)
        if CONTENDERS[name]:
            environment["OPENBLAS_NUM_THREADS"] = CONTENDERS[name]
        command = [sys.executable, str(Path(__file__).with_name("contenders.py")), name, str(samples)]
        self.process = subprocess.Popen(
            command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True, env=environment
        )

    def ask(self, what: str) -> str:
        """The one-line answer to a request."""
        if self.process.stdin is None or self.process.stdout is None:
            raise RuntimeError("no pipes")
        self.process.stdin.write(what + "\n")
        self.process.stdin.flush()
        return self.process.stdout.readline().strip()

    def epoch(self) -> None:
        """Run one epoch and keep its seconds."""
        self.times.append(float(self.ask("epoch")))


def main() -> None:
    """Measure and print one table."""
    parser = argparse.ArgumentParser(prog="python -m tests.benchmarks", description=__doc__)
    parser.add_argument("--rounds", type=int, default=7, help="epochs of each contender (default 7)")
    parser.add_argument("--samples", type=int, default=60_000, help="samples of an epoch (default 60,000)")
    arguments = parser.parse_args()
    names = [name for name in CONTENDERS if name != "torch" or find_spec("torch") is not None]
    contenders = [Contender(name, arguments.samples) for name in names]
    try:
        print(contenders[0].ask("about"), flush=True)
        for contender in contenders:
            contender.ask("epoch")  # a warm-up that does not count
        for _ in range(arguments.rounds):
            for contender in contenders:
                contender.epoch()
        print_table(contenders)
    finally:
        for contender in contenders:
            contender.process.kill()


def print_table(contenders: list[Contender]) -> None:
    """The medians with their spread, and the ratios to dlcli."""
    dlcli = next(c for c in contenders if c.name == "dlcli")
    medians = {c.name: statistics.median(c.times) for c in contenders}
    words = {
        "floor": "five matrix products alone, one thread",
        "dlcli": "dlcli, one thread",
        "torch": "PyTorch, all cores",
    }
    print(f"{'one epoch of 784-128-10, SGD, batch 64':<42}{'median s':>9}{'min':>8}{'max':>8}{'dlcli is':>12}")
    for c in contenders:
        ratio = medians["dlcli"] / medians[c.name]
        print(f"{words[c.name]:<42}{medians[c.name]:>9.3f}{min(c.times):>8.3f}{max(c.times):>8.3f}{ratio:>10.2f} x")
    print(f"peak memory of the dlcli process: {int(dlcli.ask('memory')) / 1e6:.0f} MB")


if __name__ == "__main__":
    main()
