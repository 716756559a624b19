"""Data sets that are drawn from the run's seed: a line to fit, and three small classification problems in the plane.

Letters: N samples, D inputs, K classes. Training and test samples come from streams of their own, so that the size of
one changes nothing in the other.
"""

from __future__ import annotations

import math
from abc import abstractmethod
from dataclasses import dataclass, field
from typing import Annotated, ClassVar

import numpy as np
from annotated_types import Ge

from dlcli.core.arena import Array
from dlcli.core.errors import ConfigError
from dlcli.core.options import Count, Natural, NonNegative, Positive, example
from dlcli.core.rng import stream
from dlcli.data.dataset import Access, DataInfo, Dataset, Loaded, Samples, datasets

TRAIN, TEST, CENTRES = range(3)
"""What the streams of a generated data set are for."""


@dataclass(kw_only=True, eq=False)
class Generated(Dataset):
    """Samples drawn from the seed; a subclass says how n of them are drawn."""

    samples: Annotated[Count, "how many to train with"] = 1000
    test_samples: Annotated[Natural, "how many are the test set"] = 200

    @abstractmethod
    def draw(self, rng: np.random.Generator, n: int, seed: int) -> Samples:
        """n samples from `rng`; `seed` is for what training and test samples have in common."""

    def truth(self) -> dict[str, Array] | None:
        """The parameters that a model could find again, where there are any."""
        return None

    def load(self, seed: int, access: Access) -> Loaded:
        train = self.draw(stream(seed, "data", TRAIN), self.samples, seed)
        test = self.draw(stream(seed, "data", TEST), self.test_samples, seed) if self.test_samples else None
        return Loaded(self.info(seed), train, test, {}, self.truth())


@datasets.register
@dataclass(kw_only=True, eq=False)
class LinearRegression(Generated):
    """y = x @ weight + bias + noise * e

    x (N, D) and e (N,) standard normal, y (N, 1); D is the length of `weight`. Source: the model of ordinary least
    squares, C. F. Gauss, "Theoria motus corporum coelestium" (1809).
    """

    config_name: ClassVar[str] = "linear"
    weight: list[float] = field(default_factory=lambda: [2.0, -3.4])
    bias: float = 4.2
    noise: NonNegative = 0.01
    examples = (example(), example(weight=[1.5], bias=-0.5, noise=0.1, samples=50))

    def info(self, seed: int) -> DataInfo:
        if not self.weight:
            raise ConfigError("data.dataset.linear.weight: got no numbers, expected one for each input")
        return DataInfo((len(self.weight),), None, (1,), self.samples, self.test_samples)

    def draw(self, rng: np.random.Generator, n: int, seed: int) -> Samples:
        x = rng.standard_normal((n, len(self.weight)))
        y = x @ np.array(self.weight, float) + self.bias + self.noise * rng.standard_normal(n)
        return Samples(x, y[:, np.newaxis])

    def truth(self) -> dict[str, Array]:
        return {"weight": np.array([self.weight], float), "bias": np.array([self.bias], float)}


@datasets.register
@dataclass(kw_only=True, eq=False)
class Xor(Generated):
    """x = corner + noise * e, class = whether the corner's two signs differ

    x (N, 2), e standard normal; the corners are (+-1, +-1), taken in turn. No straight line parts the classes. Source:
    M. Minsky and S. Papert, "Perceptrons" (1969).
    """

    config_name: ClassVar[str] = "xor"
    noise: NonNegative = 0.2
    examples = (example(), example(noise=0.0, samples=8))

    def info(self, seed: int) -> DataInfo:
        return DataInfo((2,), 2, (), self.samples, self.test_samples)

    def draw(self, rng: np.random.Generator, n: int, seed: int) -> Samples:
        bits = np.stack([np.arange(n) // 2 % 2, np.arange(n) % 2], axis=1)
        return Samples(
            2.0 * bits - 1 + self.noise * rng.standard_normal((n, 2)), (bits[:, 0] ^ bits[:, 1]).astype(np.int64)
        )


@datasets.register
@dataclass(kw_only=True, eq=False)
class Spirals(Generated):
    """x = r * (sin a, cos a) + noise * e, a = 2 pi (turns * r + k / K), class k

    x (N, 2), r uniform in [0, 1), e standard normal; the classes are taken in turn. Source: K. Lang and M. Witbrock,
    "Learning to tell two spirals apart", Proceedings of the 1988 Connectionist Models Summer School.
    """

    config_name: ClassVar[str] = "spirals"
    classes: Annotated[int, Ge(2)] = 3
    turns: Positive = 0.75
    noise: NonNegative = 0.02
    examples = (example(), example(classes=2, turns=1.5, samples=400))

    def info(self, seed: int) -> DataInfo:
        return DataInfo((2,), self.classes, (), self.samples, self.test_samples)

    def draw(self, rng: np.random.Generator, n: int, seed: int) -> Samples:
        k = np.arange(n) % self.classes
        r = rng.random(n)
        a = 2 * math.pi * (self.turns * r + k / self.classes)
        x = r[:, np.newaxis] * np.stack([np.sin(a), np.cos(a)], axis=1)
        return Samples(x + self.noise * rng.standard_normal((n, 2)), k.astype(np.int64))


@datasets.register
@dataclass(kw_only=True, eq=False)
class Blobs(Generated):
    """x = centre of class k + spread * e

    x (N, D), e standard normal; the K centres are uniform in the cube from -5 to 5, the same for training and test; the
    classes are taken in turn. Source: a mixture of equal Gaussians, K. Pearson, "Contributions to the mathematical
    theory of evolution", Philosophical Transactions A 185 (1894).
    """

    config_name: ClassVar[str] = "blobs"
    classes: Annotated[int, Ge(2)] = 3
    features: Count = 2
    spread: NonNegative = 1.0
    examples = (example(), example(classes=5, features=4, spread=0.5))

    def info(self, seed: int) -> DataInfo:
        return DataInfo((self.features,), self.classes, (), self.samples, self.test_samples)

    def draw(self, rng: np.random.Generator, n: int, seed: int) -> Samples:
        centres = stream(seed, "data", CENTRES).uniform(-5, 5, (self.classes, self.features))
        k = np.arange(n) % self.classes
        return Samples(centres[k] + self.spread * rng.standard_normal((n, self.features)), k.astype(np.int64))
