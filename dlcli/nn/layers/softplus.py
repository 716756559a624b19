"""Softened versions of simple functions: of ReLU, of the sign, and the logarithm of the sigmoid."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

import numpy as np

from dlcli.core.arena import Array
from dlcli.core.options import Positive, example
from dlcli.nn.layer import layers
from dlcli.nn.layers.elementwise import Elementwise, logistic, softplus


@layers.register
@dataclass(eq=False)
class Softplus(Elementwise):
    """y = log(1 + exp(beta * x)) / beta

    x and y (N, *shape).  dx = dy / (1 + exp(-beta * x)).
    PyTorch switches to y = x above a threshold against overflow; here the formula itself cannot overflow.

    Source: Dugas et al. 2001, "Incorporating second-order functional knowledge for better option pricing";
    https://docs.pytorch.org/docs/stable/generated/torch.nn.Softplus.html
    """

    beta: Positive = 1.0

    complex_step: ClassVar[bool] = True
    examples: ClassVar = (example((5,)), example((2, 3), beta=2.0))

    def curve(self, x: Array) -> tuple[Array, Array]:
        z = self.beta * x
        return softplus(z) / self.beta, logistic(z)


@layers.register
@dataclass(eq=False)
class Softsign(Elementwise):
    """y = x / (1 + |x|)

    x and y (N, *shape).  dx = dy / (1 + |x|)**2, also at 0, where both sides agree.

    Source: Turian, Bergstra and Bengio 2009, "Quadratic features and deep architectures for chunking";
    https://docs.pytorch.org/docs/stable/generated/torch.nn.Softsign.html
    """

    complex_step: ClassVar[bool] = True
    examples: ClassVar = (example((5,)), example((2, 3)))

    def curve(self, x: Array) -> tuple[Array, Array]:
        scale = 1 / (1 + np.where(x.real < 0, -x, x))
        return x * scale, scale * scale


@layers.register
@dataclass(eq=False)
class LogSigmoid(Elementwise):
    """y = -log(1 + exp(-x))

    x and y (N, *shape).  dx = dy / (1 + exp(x)).

    Source: https://docs.pytorch.org/docs/stable/generated/torch.nn.LogSigmoid.html
    """

    complex_step: ClassVar[bool] = True
    examples: ClassVar = (example((5,)), example((2, 3)))

    def curve(self, x: Array) -> tuple[Array, Array]:
        return -softplus(-x), logistic(-x)
