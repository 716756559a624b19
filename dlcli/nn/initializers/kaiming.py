"""He's initializers: the variance that a rectifier needs to keep a signal's size."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import ClassVar, Literal

import numpy as np

from dlcli.core.arena import Array
from dlcli.core.options import example
from dlcli.nn.initializer import Initializer, initializers

Nonlinearity = Literal["linear", "sigmoid", "tanh", "relu", "leaky_relu", "selu"]


def gain(nonlinearity: str, a: float) -> float:
    """The factor that keeps a signal's deviation through the nonlinearity, as `torch.nn.init.calculate_gain`."""
    return {"tanh": 5 / 3, "relu": math.sqrt(2), "leaky_relu": math.sqrt(2 / (1 + a * a)), "selu": 3 / 4}.get(
        nonlinearity, 1.0
    )


@dataclass(eq=False)
class _Kaiming(Initializer):
    a: float = 0.0
    mode: Literal["fan_in", "fan_out"] = "fan_in"
    nonlinearity: Nonlinearity = "leaky_relu"

    def std(self, fan_in: int, fan_out: int) -> float:
        return gain(self.nonlinearity, self.a) / math.sqrt(fan_in if self.mode == "fan_in" else fan_out)


@initializers.register
@dataclass(eq=False)
class KaimingUniform(_Kaiming):
    """w ~ U(-b, b),  b = gain sqrt(3 / fan),  gain = sqrt(2 / (1 + a**2)) for leaky_relu

    fan is the one that `mode` names: fan_in keeps the size of signals forward, fan_out that of gradients backward.
    gain by `nonlinearity`: 1 for linear and sigmoid, 5/3 for tanh, sqrt(2) for relu, 3/4 for selu.

    Source: He et al. 2015, "Delving deep into rectifiers", https://arxiv.org/abs/1502.01852;
    torch.nn.init.kaiming_uniform_
    """

    config_name: ClassVar[str] = "kaiming_uniform"
    examples: ClassVar = (example((4, 3)), example((4, 3), nonlinearity="relu", mode="fan_out"))

    def draw(self, shape: tuple[int, ...], fan_in: int, fan_out: int, rng: np.random.Generator) -> Array:
        bound = math.sqrt(3) * self.std(fan_in, fan_out)
        return rng.uniform(-bound, bound, shape)


@initializers.register
@dataclass(eq=False)
class KaimingNormal(_Kaiming):
    """w ~ N(0, std**2),  std = gain / sqrt(fan),  gain = sqrt(2 / (1 + a**2)) for leaky_relu

    fan is the one that `mode` names: fan_in keeps the size of signals forward, fan_out that of gradients backward.
    gain by `nonlinearity`: 1 for linear and sigmoid, 5/3 for tanh, sqrt(2) for relu, 3/4 for selu.

    Source: He et al. 2015, https://arxiv.org/abs/1502.01852; torch.nn.init.kaiming_normal_
    """

    config_name: ClassVar[str] = "kaiming_normal"
    examples: ClassVar = (example((4, 3)), example((4, 3), nonlinearity="relu", mode="fan_out"))

    def draw(self, shape: tuple[int, ...], fan_in: int, fan_out: int, rng: np.random.Generator) -> Array:
        return rng.normal(0.0, self.std(fan_in, fan_out), shape)
