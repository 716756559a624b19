"""`python -m tests.benchmarks`: dlcli's own training loop beside PyTorch, JAX, scikit-learn and its matrix products.

Every peer lives in a process of its own, is first compared with the others on the same weights and batch, and then runs
an epoch whenever its turn comes, A B C A B C, so that all see the same machine in the same minutes. What counts are the
ratios within a round: their median, and the quartiles. The clock covers gathering, normalising (dlcli only: the others
get floats), forward, backward, loss and update; neither loading nor compiling.
"""

from __future__ import annotations

import argparse
import json
import os
import platform
import sys
from collections.abc import Callable, Mapping

from tests.benchmarks import contest, table
from tests.benchmarks.nets import NETS


def names(known: Mapping[str, object]) -> Callable[[str], list[str]]:
    """A list of names with commas between, as an argument."""

    def parsed(text: str) -> list[str]:
        if unknown := set(text.split(",")) - known.keys():
            raise argparse.ArgumentTypeError(f"{', '.join(sorted(unknown))}: expected some of {','.join(known)}")
        return text.split(",")

    return parsed


def main() -> None:
    """Measure network by network."""
    peers = {name: package for name, package in contest.PEERS.items() if name != "dlcli"}
    parser = argparse.ArgumentParser(prog="python -m tests.benchmarks", description=__doc__)
    for option, known in (("nets", NETS), ("peers", peers), ("kernels", contest.KERNELS)):
        every = ",".join(known)
        parser.add_argument(f"--{option}", type=names(known), default=every, help=f"some of {every} (default: all)")
    parser.add_argument("--rounds", type=int, default=7, help="epochs of each contender (default 7)")
    parser.add_argument("--small", action="store_true", help="epochs of four batches, to see that it runs")
    parser.add_argument("--json", action="store_true", help="print one JSON document")
    arguments = parser.parse_args()
    here, absent = contest.installed(arguments.peers)
    for peer in absent:
        print(f"{peer} is not installed and left out: pip install -e '.[bench]'", file=sys.stderr)
    machine = f"{os.cpu_count()} cores, {platform.machine()}, Python {platform.python_version()}"
    documents = []
    if not arguments.json:
        print(machine)
    for net in arguments.nets:
        for kernels in arguments.kernels:
            samples = 4 * NETS[net].batch if arguments.small else NETS[net].samples
            held = contest.hold(net, kernels, here, arguments.rounds, samples)
            documents.append(table.document(held))
            if not arguments.json:
                print(f"\n{table.text(held)}", flush=True)
    if arguments.json:
        print(json.dumps({"machine": machine, "contests": documents}))


if __name__ == "__main__":
    main()
