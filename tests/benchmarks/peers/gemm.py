"""The floor: the matrix products of a network's forward and backward pass, with nothing around them."""

from __future__ import annotations

import math
from typing import NamedTuple

import numpy as np
from threadpoolctl import threadpool_limits

from tests.benchmarks.nets import SHAPE, Array, Data, Net

IMAGES = 4
"""A convolution multiplies the patches of so many images at a time, which stay in the cache."""


class Operands(NamedTuple):
    """y = x @ weight.T,  dweight = dy.T @ x,  dx = dy @ weight."""

    x: Array
    weight: Array
    y: Array
    dweight: Array
    dx: Array | None
    """None in the first layer, which needs none."""
    times: int
    """How often, for all images of a batch."""

    def multiply(self) -> None:
        """The products of one layer."""
        for _ in range(self.times):
            np.matmul(self.x, self.weight.T, out=self.y)
        for _ in range(self.times):
            np.matmul(self.y.T, self.x, out=self.dweight)
            if self.dx is not None:
                np.matmul(self.y, self.weight, out=self.dx)


def operands(net: Net) -> list[Operands]:
    """Those of every layer that multiplies: a convolution's x are the patches under its kernel, one in each row."""
    from dlcli.nn.layer import layers
    from dlcli.nn.network import Network

    rng, found = np.random.default_rng(0), []
    made = [layers.get(name)(**options) for layer in net.model for name, options in layer.items()]
    for layer in Network(made, SHAPE).layers:
        if "weight" in layer.params and len(layer.params["weight"].shape) > 1:
            out, *terms = layer.params["weight"].shape
            pixels = math.prod(layer.out_shape[1:])
            rows, times = (net.batch, 1) if pixels == 1 else (IMAGES * pixels, net.batch // IMAGES)
            sizes = [(rows, math.prod(terms)), (out, math.prod(terms)), (rows, out)]
            x, weight, y = (rng.standard_normal(size, np.float32) * 1e-2 for size in sizes)
            room = np.empty_like(x) if found else None
            found.append(Operands(x, weight, y, np.empty_like(weight), room, times))
    return found


class Products:
    """The products of an epoch, on `threads` threads of the BLAS."""

    threads = 1

    def __init__(self, net: Net, data: Data) -> None:
        self.batches = -(-len(data.x) // net.batch)
        self.operands = operands(net)

    def epoch(self) -> None:
        """The products of an epoch of training."""
        with threadpool_limits(self.threads, "blas"):
            for _ in range(self.batches):
                for each in self.operands:
                    each.multiply()


class ProductsOnTwo(Products):
    """The same on two."""

    threads = 2


def contenders(net: Net) -> dict[str, type[Products]]:
    """As the bits of a run depend on the BLAS's threads, dlcli gives it one."""
    return {"gemm 1 thread": Products, "gemm 2 threads": ProductsOnTwo}
