"""LeCun's initializers: the variance that keeps a signal's size through linear and self-normalising layers."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import ClassVar

import numpy as np

from dlcli.core.arena import Array
from dlcli.core.options import example
from dlcli.nn.initializer import Initializer, initializers
from dlcli.nn.initializers.trunc_normal import truncated

CUT = 2.0
"""Where lecun_normal cuts, in deviations of the normal distribution before the cut."""
SPREAD = math.sqrt(1 - 2 * CUT * math.exp(-CUT * CUT / 2) / math.sqrt(2 * math.pi) / math.erf(CUT / math.sqrt(2)))
"""The deviation of a standard normal distribution cut there, 0.8796."""


@initializers.register
@dataclass(eq=False)
class LecunUniform(Initializer):
    """w ~ U(-b, b),  b = sqrt(3 / fan_in)

    Source: LeCun et al. 1998, "Efficient backprop", http://yann.lecun.com/exdb/publis/pdf/lecun-98b.pdf;
    keras.initializers.LecunUniform
    """

    config_name: ClassVar[str] = "lecun_uniform"
    examples: ClassVar = (example((4, 3)),)

    def draw(self, shape: tuple[int, ...], fan_in: int, fan_out: int, rng: np.random.Generator) -> Array:
        bound = math.sqrt(3 / max(fan_in, 1))
        return rng.uniform(-bound, bound, shape)


@initializers.register
@dataclass(eq=False)
class LecunNormal(Initializer):
    """w ~ N(0, s**2) given |w| <= 2 s,  with s = sqrt(1 / fan_in) / 0.8796, so that w has variance 1 / fan_in

    Truncated, as in Keras: 0.8796 is the deviation of a standard normal distribution cut at 2. The start that SELU
    networks are made for.

    Source: Klambauer et al. 2017, "Self-normalizing neural networks", https://arxiv.org/abs/1706.02515;
    keras.initializers.LecunNormal
    """

    config_name: ClassVar[str] = "lecun_normal"
    examples: ClassVar = (example((4, 3)),)

    def draw(self, shape: tuple[int, ...], fan_in: int, fan_out: int, rng: np.random.Generator) -> Array:
        return truncated(-CUT, CUT, shape, rng) * (math.sqrt(1 / max(fan_in, 1)) / SPREAD)
