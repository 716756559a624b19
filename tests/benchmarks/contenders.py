"""What the benchmark runs: a process that trains one epoch of 784-128-10 whenever a line `epoch` comes in."""

from __future__ import annotations

import os
import platform
import sys
import time
from collections.abc import Callable

import numpy as np

BATCH = 64
SIZES = (784, 128, 10)


def pixels(samples: int) -> tuple[np.ndarray, np.ndarray]:
    """Images of random bytes, mostly dark as handwriting is, and their classes."""
    rng = np.random.default_rng(0)
    x = rng.integers(0, 256, (samples, SIZES[0]), np.uint8)
    x[rng.integers(0, 5, x.shape, np.uint8) > 0] = 0
    return x, rng.integers(0, SIZES[2], samples)


def floor(samples: int) -> Callable[[], None]:
    """The products of forward and backward, with nothing around them: x W1', h W2', d'h, d W2, e'x."""
    rng = np.random.default_rng(0)

    def normal(*shape: int) -> np.ndarray:
        return rng.standard_normal(shape, np.float32)

    n, h, k = SIZES
    x, w1, w2, hidden, d = normal(BATCH, n), normal(h, n), normal(k, h), normal(BATCH, h), normal(BATCH, k)
    y1, y2, g2, e, g1 = normal(BATCH, h), normal(BATCH, k), normal(k, h), normal(BATCH, h), normal(h, n)

    def epoch() -> None:
        for _ in range(-(-samples // BATCH)):
            np.matmul(x, w1.T, out=y1)
            np.matmul(hidden, w2.T, out=y2)
            np.matmul(d.T, hidden, out=g2)
            np.matmul(d, w2, out=e)
            np.matmul(e.T, x, out=g1)

    return epoch


def dlcli(samples: int) -> Callable[[], None]:
    """The loop of `dlcli train` on configs/mnist.yaml's stack."""
    from dlcli.config.load import parse_config
    from dlcli.data.dataset import DataInfo, Samples
    from dlcli.experiment.assemble import assemble
    from dlcli.experiment.data import Splits
    from dlcli.experiment.plugins import load_components

    load_components()
    text = """
        data: {dataset: mnist, batch_size: 64, validation: 0, normalize: standardize}
        model: [Flatten, {Linear: {out_features: 128}}, ReLU, {Linear: {out_features: 10}}]
        loss: CrossEntropyLoss
        optimizer: {SGD: {lr: 0.01}}
        metrics: [accuracy]
        train: {epochs: 1000000}
    """
    x, y = pixels(samples)
    info = DataInfo((1, 28, 28), 10, (), samples, 0, image=True)
    splits = Splits(info, Samples(x.reshape(-1, 1, 28, 28), y), None, None, {}, None)
    facts = assemble(parse_config(text, "benchmark"), splits, 1).trainer.run()

    def epoch() -> None:
        while hasattr(next(facts), "ends_epoch"):
            pass

    return epoch


def torch(samples: int) -> Callable[[], None]:
    """PyTorch in eager mode, the data in memory as float32 tensors, batches by a permutation."""
    import torch as t

    x8, y8 = pixels(samples)
    x, y = t.from_numpy(x8).float(), t.from_numpy(y8)
    x = (x - x.mean()) / x.std()
    net = t.nn.Sequential(t.nn.Linear(SIZES[0], SIZES[1]), t.nn.ReLU(), t.nn.Linear(SIZES[1], SIZES[2]))
    optimizer, loss = t.optim.SGD(net.parameters(), lr=0.01), t.nn.CrossEntropyLoss()

    def epoch() -> None:
        correct, total = 0, 0.0
        for rows in t.randperm(samples).split(BATCH):
            xb, yb = x[rows], y[rows]
            out = net(xb)
            value = loss(out, yb)
            optimizer.zero_grad()
            value.backward()
            optimizer.step()
            total += value.item() * len(rows)
            correct += int((out.argmax(1) == yb).sum())

    return epoch


def about() -> str:
    """The machine and the BLAS in one line."""
    from threadpoolctl import threadpool_info

    blas = next(library for library in threadpool_info() if library["user_api"] == "blas")
    kernels = f"{blas['internal_api']} {blas['version']}, {blas['architecture']} kernels"
    forced = os.environ.get("OPENBLAS_CORETYPE")
    origin = f"set by OPENBLAS_CORETYPE={forced}" if forced else "its own choice"
    return f"{os.cpu_count()} cores, {platform.machine()}, NumPy {np.__version__}, {kernels} ({origin})"


def memory() -> int:
    """The largest resident memory of this process, in bytes."""
    import resource

    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024


def main() -> None:
    """Answer requests until the input ends."""
    name, samples = sys.argv[1], int(sys.argv[2])
    epoch = {"floor": floor, "dlcli": dlcli, "torch": torch}[name](samples)
    for line in sys.stdin:
        if line.strip() == "epoch":
            began = time.perf_counter()
            epoch()
            print(time.perf_counter() - began, flush=True)
        else:
            print(memory() if line.strip() == "memory" else about(), flush=True)


if __name__ == "__main__":
    main()
