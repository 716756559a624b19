"""The networks of the benchmark, the images they see, and what dlcli is to reach beside which peer."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

Array = NDArray[Any]
Layer = dict[str, dict[str, Any]]

SHAPE, CLASSES = (1, 28, 28), 10
RELU: Layer = {"ReLU": {}}
POOL: Layer = {"MaxPool2d": {"kernel_size": 2}}


class Goal(NamedTuple):
    """The most that dlcli's time may be of a peer's: with OpenBLAS's Haswell kernels, and with better ones."""

    haswell: float
    better: float | None


@dataclass(frozen=True)
class Net:
    """A network as a dlcli config describes it; PyTorch knows the same names and options."""

    title: str
    model: tuple[Layer, ...]
    optimizer: str
    lr: float
    batch: int
    samples: int
    """In an epoch, which is one measurement."""
    goals: Mapping[str, Goal]
    """By the start of a peer's name; the fastest that it names counts."""

    @property
    def dense(self) -> bool:
        """Whether it knows pixels but no images."""
        return not any("Conv2d" in layer for layer in self.model)

    def repeatable(self) -> Net:
        """Without what is random in training."""
        return replace(self, model=tuple(layer for layer in self.model if "Dropout" not in layer))

    def weights(self) -> list[Array]:
        """First values of every parameter in the order of the layers, in the shapes of dlcli and PyTorch."""
        from dlcli.nn.layer import layers
        from dlcli.nn.network import Network

        made = [layers.get(name)(**options) for layer in self.model for name, options in layer.items()]
        return [np.ascontiguousarray(value) for value in Network(made, SHAPE).params.values()]


class Data(NamedTuple):
    """Images (N, 1, 28, 28) of bytes and their classes (N,)."""

    x: Array
    y: Array

    def standardized(self) -> Array:
        """Mean 0, deviation 1, in float32: what dlcli makes of each batch as it is gathered, here for all at once."""
        return (self.x - np.float32(self.x.mean())) / np.float32(self.x.std())


def drawn(samples: int) -> Data:
    """Random bytes, mostly dark as handwriting is."""
    rng = np.random.default_rng(0)
    x = rng.integers(0, 256, (samples, *SHAPE), np.uint8)
    x[rng.integers(0, 5, x.shape, np.uint8) > 0] = 0
    return Data(x, rng.integers(0, CLASSES, samples))


def linear(*sizes: int) -> tuple[Layer, ...]:
    """Linear layers with a ReLU between each two."""
    layers: list[Layer] = [{"Flatten": {}}]
    for size in sizes:
        layers += {"Linear": {"out_features": size}}, RELU
    return tuple(layers[:-1])


def conv(out_channels: int, kernel_size: int = 3, **options: Any) -> Layer:
    """A convolution."""
    return {"Conv2d": {"out_channels": out_channels, "kernel_size": kernel_size, **options}}


def normed(out_channels: int) -> tuple[Layer, ...]:
    """A padded convolution with batch norm and ReLU."""
    return (conv(out_channels, padding=1), {"BatchNorm2d": {}}, RELU)


LENET = (conv(6, 5, padding=2), RELU, POOL, conv(16, 5), RELU, POOL, *linear(120, 84, CLASSES))
EXAMPLE = (conv(32), RELU, conv(64), RELU, POOL, {"Dropout": {"p": 0.25}}, *linear(128, CLASSES))
BN = (*normed(32), *normed(32), POOL, *normed(64), *normed(64), POOL, *linear(128, CLASSES))

EAGER = {"torch eager": Goal(0.6, 0.45)}
FLOOR = {"gemm 1": Goal(1.25, 1.25), "jax scan": Goal(0.9, None)}

NETS = {
    "dense": Net("784-128-10, SGD, batch 64", linear(128, CLASSES), "SGD", 0.01, 64, 60_000, {**FLOOR, **EAGER}),
    "mlp": Net("784-512-512-10, Adam, batch 128", linear(512, 512, CLASSES), "Adam", 1e-3, 128, 60_000, EAGER),
    "lenet": Net("LeNet-5, Adam, batch 64", LENET, "Adam", 1e-3, 64, 6_400, {"torch eager": Goal(0.9, 0.9)}),
    "example": Net("example, Adam, batch 64", EXAMPLE, "Adam", 1e-3, 64, 1_024, {"torch eager": Goal(0.6, 0.5)}),
    "bn": Net("bn, Adam, batch 64", BN, "Adam", 1e-3, 64, 1_024, {"torch eager": Goal(1.0, 0.85)}),
}
