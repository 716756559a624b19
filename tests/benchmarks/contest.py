"""A contest over one network: every peer in a process of its own, first compared, then measured in turn."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import time
from dataclasses import dataclass
from importlib.util import find_spec
from pathlib import Path
from typing import Any

PEERS = {"dlcli": "dlcli", "gemm": "numpy", "torch": "torch", "jax": "jax", "sklearn": "sklearn"}
"""Each peer with the package it needs."""

KERNELS = {"haswell": {"OPENBLAS_CORETYPE": "Haswell"}, "own": {}}
"""What the environment tells OpenBLAS of its kernels: AVX2 where the processor may know more, or nothing."""

THREADS = ("OPENBLAS_NUM_THREADS", "OMP_NUM_THREADS", "MKL_NUM_THREADS", "OPENBLAS_CORETYPE")
"""What of the environment is kept from the peers, so that each takes all cores."""

FIRST, LATER = 1e-5, 1e-3
"""How far losses may lie apart: on the same weights, and after updates, where Adam's first go by the signs of gradients
and rounding decides the sign of what is almost 0."""

NORMED = 1e-2
"""The same after updates with batch norm: a bias before it has no gradient but round-off, whose sign Adam follows. In
float64 dlcli and PyTorch agree to 1e-12 on that network after two updates, in float32 to 2e-3."""

REST = 0.05
"""Seconds before a measurement, in which the idle threads of the peer before stop waiting in a loop."""


class Child:
    """The process of a peer; `losses` are those of the first steps by contender."""

    def __init__(self, peer: str, net: str, kernels: str, samples: int) -> None:
        self.peer = peer
        environment = {name: value for name, value in os.environ.items() if name not in THREADS} | KERNELS[kernels]
        if peer == "dlcli":
            environment["OPENBLAS_NUM_THREADS"] = "1"  # as the command sets it
        command = [sys.executable, "-m", "tests.benchmarks.child", peer, net, str(samples)]
        root = Path(__file__).parents[2]
        pipe = subprocess.PIPE
        self.process = subprocess.Popen(command, stdin=pipe, stdout=pipe, text=True, env=environment, cwd=root)

    def meet(self) -> None:
        """Wait until it is ready."""
        self.blas, self.losses = self._answer()

    def ask(self, what: str) -> Any:
        """The answer to a request."""
        print(what, file=self.process.stdin, flush=True)
        return self._answer()

    def _answer(self) -> Any:
        if self.process.stdout is None or not (line := self.process.stdout.readline()):
            raise RuntimeError(f"{self.peer}: the process has ended")
        return json.loads(line)


@dataclass(frozen=True)
class Contest:
    """What came of it."""

    net: str
    kernels: str
    blas: str
    apart: tuple[float, float]
    """How far the losses lie apart on the same weights, and after updates."""
    samples: int
    times: dict[str, list[float]]
    """Seconds an epoch by contender, dlcli first, one for each round."""
    memory: int
    """Bytes that dlcli's process took at most."""
    load: float
    """Threads that ran in the last minute. More than the cores: a peer on all cores loses more than one on a single."""


def installed(peers: list[str]) -> tuple[list[str], list[str]]:
    """Those that can take part, dlcli first, and those that cannot."""
    here = [peer for peer in PEERS if peer in ("dlcli", *peers) and find_spec(PEERS[peer]) is not None]
    return here, [peer for peer in peers if peer not in here]


def hold(net: str, kernels: str, peers: list[str], rounds: int, samples: int) -> Contest:
    """Compare and measure `peers`; RuntimeError where their losses differ."""
    children = [Child(peer, net, kernels, samples) for peer in peers]
    try:
        for child in children:
            child.meet()
        apart = compared(children, NORMED if net == "bn" else LATER)
        turns = [(child, name) for child in children for name in child.losses]
        times: dict[str, list[float]] = {name: [] for _, name in turns}
        for child, name in turns:
            child.ask(name)  # a warm-up that does not count
        for _ in range(rounds):
            for child, name in turns:
                time.sleep(REST)
                times[name].append(child.ask(name))
        memory, load = children[0].ask("memory"), os.getloadavg()[0]
        return Contest(net, kernels, children[0].blas, apart, samples, times, memory, load)
    finally:
        for child in children:
            child.process.kill()
            child.process.communicate()


def compared(children: list[Child], later: float) -> tuple[float, float]:
    """How far losses lie apart on the same weights and later; RuntimeError where that is too far."""
    losses = {name: row for child in children for name, row in child.losses.items() if row[0] is not None}
    spread = [max(step) - min(step) for step in zip(*losses.values(), strict=True)]
    if not (spread[0] <= FIRST and max(spread) <= later):  # also where one is NaN
        rows = "\n".join(f"{name}: {row}" for name, row in losses.items())
        raise RuntimeError(f"the contenders do not compute the same losses:\n{rows}")
    return spread[0], max(spread)
