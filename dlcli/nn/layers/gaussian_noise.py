"""Normal noise added in training."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

import numpy as np

from dlcli.core.arena import Array, shaped
from dlcli.core.options import NonNegative, example
from dlcli.nn.layer import Layer, layers


@layers.register
@dataclass(eq=False)
class GaussianNoise(Layer):
    """y = x + std * e in training, e ~ N(0, 1) for every element;  y = x in evaluation

    x and y (N, *shape).  dx = dy.

    Source: Bishop 1995, "Training with noise is equivalent to Tikhonov regularization",
    https://doi.org/10.1162/neco.1995.7.1.108; https://keras.io/api/layers/regularization_layers/gaussian_noise/
    """

    std: NonNegative

    complex_step: ClassVar[bool] = True
    stochastic: ClassVar[bool] = True
    examples: ClassVar = (example((5,), std=0.1), example((2, 3, 4), std=0.5), example((4,), std=0.0))

    def forward(self, x: Array, training: bool) -> Array:
        if not training or self.std == 0:
            return x
        real = x.real.dtype
        noise = self.buffer("noise", (x.size,), real)
        self.rng().standard_normal(dtype=real, out=noise)
        noise *= self.std
        return np.add(x, shaped(noise, x.shape), out=self.buffer("y", x.shape))

    def backward(self, dy: Array) -> Array:
        return dy
