"""Orthogonal weights: a layer that rotates at first, and neither stretches nor shrinks."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

import numpy as np

from dlcli.core.arena import Array
from dlcli.core.errors import ShapeError
from dlcli.core.options import Positive, example
from dlcli.nn.initializer import Initializer, initializers


@initializers.register
@dataclass(eq=False)
class Orthogonal(Initializer):
    """w = gain * Q,  Q R = a matrix of N(0, 1) values with diag(R) > 0, so that no Q is likelier than another

    The weight is taken as a matrix (out, everything else): its rows are orthonormal times gain, or its columns where
    it has more rows than columns.

    Source: Saxe et al. 2014, "Exact solutions to the nonlinear dynamics of learning in deep linear neural networks",
    https://arxiv.org/abs/1312.6120; torch.nn.init.orthogonal_
    """

    config_name: ClassVar[str] = "orthogonal"
    examples: ClassVar = (example((4, 3)), example((4, 3), gain=2.0))

    gain: Positive = 1.0

    def check(self, shape: tuple[int, ...]) -> None:
        if len(shape) < 2:
            raise ShapeError(f"orthogonal: got a parameter of shape {shape}, expected two axes or more")

    def draw(self, shape: tuple[int, ...], fan_in: int, fan_out: int, rng: np.random.Generator) -> Array:
        rows = shape[0]
        matrix = rng.standard_normal(shape).reshape(rows, -1)
        wide = rows < matrix.shape[1]
        q, r = np.linalg.qr(matrix.T if wide else matrix)
        q *= np.sign(np.diag(r)) * self.gain
        return (q.T if wide else q).reshape(shape)
