"""Sparse weights: most inputs of a unit are cut off at first."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import ClassVar

import numpy as np

from dlcli.core.arena import Array
from dlcli.core.errors import ShapeError
from dlcli.core.options import NonNegative, Share, example
from dlcli.nn.initializer import Initializer, initializers


@initializers.register
@dataclass(eq=False)
class Sparse(Initializer):
    """w ~ N(0, std**2), but ceil(sparsity * out) values of each column of w (out, in) are 0

    Source: Martens 2010, "Deep learning via Hessian-free optimization",
    https://www.cs.toronto.edu/~jmartens/docs/Deep_HessianFree.pdf; torch.nn.init.sparse_
    """

    config_name: ClassVar[str] = "sparse"
    examples: ClassVar = (example((4, 3), sparsity=0.5), example((4, 3), sparsity=0.1, std=0.1))

    sparsity: Share
    std: NonNegative = 0.01

    def check(self, shape: tuple[int, ...]) -> None:
        if len(shape) != 2:
            raise ShapeError(f"sparse: got a parameter of shape {shape}, expected two axes (out, in)")

    def draw(self, shape: tuple[int, ...], fan_in: int, fan_out: int, rng: np.random.Generator) -> Array:
        values = rng.normal(0.0, self.std, shape)
        ranks = rng.random(shape).argsort(axis=0)  # each column a random order of its rows
        values[ranks < math.ceil(self.sparsity * shape[0])] = 0
        return values
