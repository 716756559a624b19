"""Initializers: how the first values of a parameter are drawn."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Annotated, Any, ClassVar, Literal

import numpy as np
from annotated_types import Ge, Gt

from dlcli.core.arena import Array
from dlcli.core.component import Checked
from dlcli.core.options import Example, example
from dlcli.core.registry import Registry

initializers: Registry[Initializer] = Registry("initializer", "initializers")


class Initializer(metaclass=Checked):
    """Draws the first values of a parameter.

    Fans follow PyTorch: for a weight (out, in, *kernel), fan_in = in x kernel size and fan_out = out x kernel size.
    """

    examples: ClassVar[tuple[Example, ...]] = ()

    def draw(self, shape: tuple[int, ...], fan_in: int, fan_out: int, rng: np.random.Generator) -> Array:
        """Values of that shape in float64, whatever the network's dtype, so that both dtypes start alike."""
        raise NotImplementedError


initializers.base = Initializer


def fans(shape: tuple[int, ...]) -> tuple[int, int]:
    """(fan_in, fan_out) of a weight (out, in, *kernel); a vector counts as its own fan."""
    if len(shape) < 2:
        return (math.prod(shape), math.prod(shape))
    kernel = math.prod(shape[2:])
    return shape[1] * kernel, shape[0] * kernel


Nonlinearity = Literal["linear", "sigmoid", "tanh", "relu", "leaky_relu", "selu"]


def gain(nonlinearity: str, a: float) -> float:
    """The factor that keeps a signal's deviation through the nonlinearity, as `torch.nn.init.calculate_gain`."""
    return {"tanh": 5 / 3, "relu": math.sqrt(2), "leaky_relu": math.sqrt(2 / (1 + a * a)), "selu": 3 / 4}.get(
        nonlinearity, 1.0
    )


@initializers.register
@dataclass(eq=False)
class Constant(Initializer):
    """w = value

    Source: torch.nn.init.constant_
    """

    config_name: ClassVar[str] = "constant"
    examples: ClassVar = (example((4, 3), value=0.1),)

    value: float

    def draw(self, shape: tuple[int, ...], fan_in: int, fan_out: int, rng: np.random.Generator) -> Array:
        return np.full(shape, self.value, np.float64)


@initializers.register
@dataclass(eq=False)
class Zeros(Initializer):
    """w = 0

    Right for biases; a weight of zeros never leaves its symmetry.
    Source: torch.nn.init.zeros_
    """

    config_name: ClassVar[str] = "zeros"
    examples: ClassVar = (example((4, 3)),)

    def draw(self, shape: tuple[int, ...], fan_in: int, fan_out: int, rng: np.random.Generator) -> Array:
        return np.zeros(shape, np.float64)


@initializers.register
@dataclass(eq=False)
class Normal(Initializer):
    """w ~ N(mean, std**2)

    Source: torch.nn.init.normal_
    """

    config_name: ClassVar[str] = "normal"
    examples: ClassVar = (example((4, 3)), example((4, 3), std=0.01))

    mean: float = 0.0
    std: Annotated[float, Ge(0)] = 1.0

    def draw(self, shape: tuple[int, ...], fan_in: int, fan_out: int, rng: np.random.Generator) -> Array:
        return rng.normal(self.mean, self.std, shape)


@initializers.register
@dataclass(eq=False)
class Uniform(Initializer):
    """w ~ U(a, b)

    Source: torch.nn.init.uniform_
    """

    config_name: ClassVar[str] = "uniform"
    examples: ClassVar = (example((4, 3)), example((4, 3), a=-0.1, b=0.1))

    a: float = 0.0
    b: float = 1.0

    def draw(self, shape: tuple[int, ...], fan_in: int, fan_out: int, rng: np.random.Generator) -> Array:
        return self.a + (self.b - self.a) * rng.random(shape)


@dataclass(eq=False)
class _Xavier(Initializer):
    gain: Annotated[float, Gt(0)] = 1.0

    def std(self, fan_in: int, fan_out: int) -> float:
        return self.gain * math.sqrt(2 / (fan_in + fan_out))


@initializers.register
@dataclass(eq=False)
class XavierUniform(_Xavier):
    """w ~ U(-b, b),  b = gain sqrt(6 / (fan_in + fan_out))

    Source: Glorot and Bengio 2010, "Understanding the difficulty of training deep feedforward neural networks",
    https://proceedings.mlr.press/v9/glorot10a.html; torch.nn.init.xavier_uniform_
    """

    config_name: ClassVar[str] = "xavier_uniform"
    examples: ClassVar = (example((4, 3)), example((4, 3), gain=2.0))

    def draw(self, shape: tuple[int, ...], fan_in: int, fan_out: int, rng: np.random.Generator) -> Array:
        bound = math.sqrt(3) * self.std(fan_in, fan_out)
        return rng.uniform(-bound, bound, shape)


@initializers.register
@dataclass(eq=False)
class XavierNormal(_Xavier):
    """w ~ N(0, std**2),  std = gain sqrt(2 / (fan_in + fan_out))

    Source: Glorot and Bengio 2010, https://proceedings.mlr.press/v9/glorot10a.html; torch.nn.init.xavier_normal_
    """

    config_name: ClassVar[str] = "xavier_normal"
    examples: ClassVar = (example((4, 3)), example((4, 3), gain=2.0))

    def draw(self, shape: tuple[int, ...], fan_in: int, fan_out: int, rng: np.random.Generator) -> Array:
        return rng.normal(0.0, self.std(fan_in, fan_out), shape)


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

    Source: He et al. 2015, https://arxiv.org/abs/1502.01852; torch.nn.init.kaiming_normal_
    """

    config_name: ClassVar[str] = "kaiming_normal"
    examples: ClassVar = (example((4, 3)), example((4, 3), nonlinearity="relu", mode="fan_out"))

    def draw(self, shape: tuple[int, ...], fan_in: int, fan_out: int, rng: np.random.Generator) -> Array:
        return rng.normal(0.0, self.std(fan_in, fan_out), shape)


@initializers.register
@dataclass(eq=False)
class TorchDefault(Initializer):
    """w ~ U(-1 / sqrt(fan_in), 1 / sqrt(fan_in)); a bias takes the fan_in of its weight

    What torch.nn.Linear and torch.nn.Conv2d do: kaiming_uniform with a = sqrt(5).
    Source: https://docs.pytorch.org/docs/stable/generated/torch.nn.Linear.html
    """

    config_name: ClassVar[str] = "torch_default"
    examples: ClassVar = (example((4, 3)),)

    def draw(self, shape: tuple[int, ...], fan_in: int, fan_out: int, rng: np.random.Generator) -> Array:
        bound = 1 / math.sqrt(max(fan_in, 1))
        return rng.uniform(-bound, bound, shape)


def as_mapping(option: Any) -> dict[str, Any]:
    """A layer's `init` or `constraint` as {parameter: component}; a lone component is for `weight`."""
    if option is None:
        return {}
    return dict(option) if isinstance(option, dict) else {"weight": option}
