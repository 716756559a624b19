"""`python -m tests.benchmarks.layouts`: one convolution in three memory layouts, forward and both gradients.

Every layout does the same: patches of x, a product with the weight; patches of dy, one product for each gradient. What
differs is how the axes of an image lie in memory, and so in which runs a patch is copied and how the product reads it.
The layouts take turns in one process, on one thread; a run of all is one round, and medians are compared.
"""

from __future__ import annotations

import os

os.environ["OPENBLAS_NUM_THREADS"] = "1"

import argparse
import statistics
import time
from collections.abc import Callable

import numpy as np
from numpy.lib.stride_tricks import as_strided
from numpy.typing import NDArray

Array = NDArray[np.float32]

CASES = [(6, 28, 16, 5), (16, 28, 16, 3), (32, 28, 32, 3), (32, 14, 64, 3), (64, 14, 64, 3), (64, 7, 128, 3)]
"""Channels in, height and width, channels out, size of the kernel."""

BATCH, BLOCK = 64, 1 << 18
"""Images of a batch, and numbers in the patches of one block of images."""


class NHWC:
    """Channels innermost: a patch is copied in runs of kernel width times channels, a pixel is a row of the matrix."""

    name = "N,H,W,C"

    def __init__(self, k: int, size: int, block: int) -> None:
        self.k, self.size, self.block = k, size, block

    def shape(self, channels: int, size: int) -> tuple[int, ...]:
        return (self.block, size, size, channels)

    def inner(self, padded: Array) -> Array:
        return padded[:, self.k // 2 :, self.k // 2 :][:, : self.size, : self.size]

    def patches(self, padded: Array) -> Array:
        n, h, w, c = padded.strides
        shape = (self.block, self.size, self.size, self.k, self.k, padded.shape[3])
        return as_strided(padded, shape, (n, h, w, h, w, c))

    def columns(self, room: Array) -> Array:
        return room.reshape(self.block * self.size**2, -1)

    def product(self, columns: Array, weight: Array, out: Array) -> None:
        np.matmul(columns, weight.T, out=out.reshape(len(columns), -1))

    def gradient(self, x: Array, columns: Array) -> Array:
        return x.reshape(len(columns), -1).T @ columns


class NCHW(NHWC):
    """PyTorch's default: each channel is an image of its own, a patch is copied in runs of a row of pixels."""

    name = "N,C,H,W"

    def shape(self, channels: int, size: int) -> tuple[int, ...]:
        return (self.block, channels, size, size)

    def inner(self, padded: Array) -> Array:
        return padded[:, :, self.k // 2 :, self.k // 2 :][:, :, : self.size, : self.size]

    def patches(self, padded: Array) -> Array:
        n, c, h, w = padded.strides
        shape = (self.block, padded.shape[1], self.k, self.k, self.size, self.size)
        return as_strided(padded, shape, (n, c, h, w, h, w))

    def columns(self, room: Array) -> Array:
        return room.reshape(self.block, -1, self.size**2)

    def product(self, columns: Array, weight: Array, out: Array) -> None:
        np.matmul(weight, columns, out=out.reshape(self.block, -1, self.size**2))

    def gradient(self, x: Array, columns: Array) -> Array:
        return np.add.reduce(np.matmul(x.reshape(self.block, -1, self.size**2), columns.transpose(0, 2, 1)), axis=0)


class CHWN(NHWC):
    """The images of a block innermost: a patch is copied in runs of a row of pixels of all of them."""

    name = "C,H,W,n"

    def shape(self, channels: int, size: int) -> tuple[int, ...]:
        return (channels, size, size, self.block)

    def patches(self, padded: Array) -> Array:
        c, h, w, n = padded.strides
        shape = (len(padded), self.k, self.k, self.size, self.size, self.block)
        return as_strided(padded, shape, (c, h, w, h, w, n))

    def columns(self, room: Array) -> Array:
        return room.reshape(-1, self.size**2 * self.block)

    def product(self, columns: Array, weight: Array, out: Array) -> None:
        np.matmul(weight, columns, out=out.reshape(-1, columns.shape[1]))

    def gradient(self, x: Array, columns: Array) -> Array:
        return x.reshape(-1, columns.shape[1]) @ columns.T


def step(layout: type[NHWC], c: int, size: int, o: int, k: int) -> Callable[[], None]:
    """A forward and backward pass over a batch, block by block, with everything allocated before."""
    block = max(1, min(16, BLOCK // (size**2 * k * k * c)))
    here, rng = layout(k, size, block), np.random.default_rng(0)
    weight, turned = (rng.normal(size=s).astype("f4") for s in ((o, k * k * c), (c, k * k * o)))
    padded = [np.zeros(here.shape(channels, size + k - 1), "f4") for channels in (c, o)]
    x, dx = (rng.normal(size=here.shape(c, size)).astype("f4") for _ in range(2))
    y, dy = (rng.normal(size=here.shape(o, size)).astype("f4") for _ in range(2))
    rooms = [np.empty(here.patches(p).shape, "f4") for p in padded]

    def patches(of: int, image: Array) -> Array:
        here.inner(padded[of])[...] = image
        np.copyto(rooms[of], here.patches(padded[of]))
        return here.columns(rooms[of])

    def run() -> None:
        total = np.zeros((c, k * k * o), "f4")
        for _ in range(BATCH // block):
            here.product(patches(0, x), weight, y)
            columns = patches(1, dy)
            here.product(columns, turned, dx)
            total += here.gradient(x, columns)

    return run


def main() -> None:
    """Print milliseconds a batch, and what the others cost beside N,H,W,C."""
    parser = argparse.ArgumentParser(prog="python -m tests.benchmarks.layouts", description=__doc__)
    parser.add_argument("--rounds", type=int, default=11, help="runs of each layout (default 11)")
    rounds = parser.parse_args().rounds
    layouts = (NHWC, NCHW, CHWN)
    print(f"{'convolution, batch 64':<24}" + "".join(f"{layout.name:>18}" for layout in layouts))
    for c, size, o, k in CASES:
        runs = [step(layout, c, size, o, k) for layout in layouts]
        times: list[list[float]] = [[] for _ in runs]
        for _ in range(rounds + 1):
            for run, kept in zip(runs, times, strict=True):
                began = time.perf_counter()
                run()
                kept.append((time.perf_counter() - began) * 1e3)
        medians = [statistics.median(kept[1:]) for kept in times]
        cells = "".join(f"{m:>8.1f} ms {m / medians[0]:>5.2f} x" for m in medians)
        print(f"{f'{c} -> {o}, {k}x{k} on {size}x{size}':<24}{cells}", flush=True)


if __name__ == "__main__":
    main()
