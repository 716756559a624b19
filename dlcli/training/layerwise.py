"""Figures of single layers at some steps: how long gradients are, how far a step moves, which units are dead."""

from __future__ import annotations

import math
from collections.abc import Iterable
from dataclasses import dataclass

import numpy as np

from dlcli.core.arena import Array
from dlcli.nn.layers.relu import ReLU
from dlcli.nn.network import Network, walk


@dataclass
class Layerwise:
    """`layer.<name>.grad_norm`, `.update_ratio` and `.dead` of every `every`-th step.

    grad_norm = |g|, before clipping;  update_ratio = |w_new - w_old| / |w_old|, both over all parameters of a trained
    layer; about 0.001 is usual.  dead = the share of a ReLU's features (of images, channels) that are 0 in the whole
    batch, the last one of an accumulated step.

    Source: Karpathy 2016, "Neural networks part 3: learning and evaluation", https://cs231n.github.io/neural-networks-3
    """

    network: Network
    every: int

    def __post_init__(self) -> None:
        self.trained = {f"layer.{name}": layer for name, layer in self.network.trained.items()}
        self.relus = {f"layer.{name}": relu for name, relu in walk(self.network.root) if isinstance(relu, ReLU)}

    def begin(self, step: int) -> bool:
        """Take down gradients and values before they change; False where that step is not due."""
        if step % self.every:
            return False
        self.slopes = {name: norm(layer.grads.values()) for name, layer in self.trained.items()}
        self.before = {name: [w.copy() for w in layer.params.values()] for name, layer in self.trained.items()}
        return True

    def end(self) -> dict[str, float]:
        """The figures of a step that is done."""
        found = {}
        for name, layer in self.trained.items():
            before = self.before[name]
            moved = norm(w - old for w, old in zip(layer.params.values(), before, strict=True))
            found[f"{name}.grad_norm"] = self.slopes[name]
            found[f"{name}.update_ratio"] = moved / size if (size := norm(before)) else math.nan
        for name, relu in self.relus.items():
            found[f"{name}.dead"] = dead(relu.branch())
        return found


def norm(arrays: Iterable[Array]) -> float:
    """The 2-norm over all of these."""
    return math.sqrt(sum(float(np.square(a, dtype=np.float64).sum()) for a in arrays))


def dead(mask: Array) -> float:
    """The share of units (axis 1) that are off throughout."""
    return 1 - float(mask.any(axis=(0, *range(2, mask.ndim))).mean())
