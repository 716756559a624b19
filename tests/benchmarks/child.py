"""`python -m tests.benchmarks.child PEER NET SAMPLES`: trains one epoch whenever it is asked to.

A request is a line, the name of a contender for an epoch or `memory`; the answer is a line of JSON, seconds or bytes.
What it says unasked is the BLAS, and each contender with its loss (None for one without) at its first steps.
"""

from __future__ import annotations

import json
import resource
import sys
import time
from importlib import import_module
from typing import Any

from tests.benchmarks.nets import NETS, Data, drawn

STEPS = 3
"""So many losses are compared, each after one more update of the weights."""


def blas() -> str:
    """The BLAS that NumPy runs on."""
    import numpy as np  # its BLAS is loaded first, and stands first
    from threadpoolctl import threadpool_info

    found = next(library for library in threadpool_info() if library["user_api"] == "blas")
    return f"NumPy {np.__version__}, {found['internal_api']} {found['version']}, {found['architecture']} kernels"


def main() -> None:
    """Answer requests until the input ends."""
    peer, name, samples = sys.argv[1], sys.argv[2], int(sys.argv[3])
    net, data = NETS[name], drawn(samples)
    makers = import_module(f"tests.benchmarks.peers.{peer}").contenders

    def losses(made: Any) -> list[float]:
        return [made.epoch() for _ in range(STEPS)]  # an epoch of one batch is one step

    def answer(what: Any) -> None:
        print(json.dumps(what), flush=True)

    plain, batch = net.repeatable(), Data(data.x[: net.batch], data.y[: net.batch])
    answer([blas(), {n: losses(make(plain, batch)) for n, make in makers(plain).items()}])
    contenders = {n: make(net, data) for n, make in makers(net).items()}
    for line in sys.stdin:
        request = line.strip()
        if request == "memory":
            answer(resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024)
        else:
            began = time.perf_counter()
            contenders[request].epoch()
            answer(time.perf_counter() - began)


if __name__ == "__main__":
    main()
