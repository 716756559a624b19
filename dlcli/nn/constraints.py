"""Constraints: sets that a parameter has to lie in, to which it is brought back after every optimizer step."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

import numpy as np

from dlcli.core.arena import Array
from dlcli.core.component import Checked
from dlcli.core.options import Example, Positive, example
from dlcli.core.registry import Registry

constraints: Registry[Constraint] = Registry("constraint", "constraints")


class Constraint(metaclass=Checked):
    """Projects a parameter: the nearest values that keep the constraint take the place of those that do not.

    w (out, ...) may lie in memory in any order. w_i are the incoming weights of unit i: all axes but the first.
    The first values of a parameter are left as they were drawn.
    """

    examples: ClassVar[tuple[Example, ...]] = ()

    def project(self, w: Array) -> None:
        """Change w in place; what keeps the constraint stays as it is, to the bit."""
        raise NotImplementedError


constraints.base = Constraint


def norms(w: Array) -> Array:
    """|w_i| (out,) of every unit."""
    inner = sorted(range(1, w.ndim), key=w.strides.__getitem__, reverse=True)
    rows = w.transpose(0, *inner).reshape(len(w), -1)  # in the order of memory, so that nothing is copied
    return np.sqrt(np.vecdot(rows, rows))


def scale(w: Array, factors: Array) -> None:
    """w_i = factors_i * w_i."""
    w *= factors.reshape(-1, *[1] * (w.ndim - 1))


@constraints.register
@dataclass(eq=False)
class MaxNorm(Constraint):
    """w_i = w_i * min(1, max_norm / |w_i|)

    |w_i| is the 2-norm of the incoming weights of unit i; of a bias, every entry is a unit of its own.
    Source: Srivastava et al. 2014, "Dropout: a simple way to prevent neural networks from overfitting", section 5.1,
    https://jmlr.org/papers/v15/srivastava14a.html; keras.constraints.MaxNorm, torch.renorm
    """

    examples: ClassVar = (example((4, 3)), example((4, 3), max_norm=0.5))

    max_norm: Positive = 2.0

    def project(self, w: Array) -> None:
        length = norms(w)
        if (length > self.max_norm).any():
            scale(w, self.max_norm / np.maximum(length, self.max_norm))


@constraints.register
@dataclass(eq=False)
class UnitNorm(Constraint):
    """w_i = w_i / |w_i|

    |w_i| is the 2-norm of the incoming weights of unit i; where all of them are 0 they stay so.
    Source: Salimans and Kingma 2016, "Weight normalization", https://arxiv.org/abs/1602.07868;
    keras.constraints.UnitNorm
    """

    examples: ClassVar = (example((4, 3)),)

    def project(self, w: Array) -> None:
        length = norms(w)
        scale(w, 1 / np.where(length > 0, length, 1))


@constraints.register
@dataclass(eq=False)
class NonNeg(Constraint):
    """w = max(w, 0)

    Source: Chorowski and Zurada 2015, "Learning understandable neural networks with nonnegative weight constraints",
    https://doi.org/10.1109/TNNLS.2014.2310059; keras.constraints.NonNeg
    """

    examples: ClassVar = (example((4, 3)),)

    def project(self, w: Array) -> None:
        np.maximum(w, 0, out=w)
