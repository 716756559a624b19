"""Figures of single layers at some steps: how long gradients are, how far a step moves, which units are dead."""

from __future__ import annotations

import math
from collections.abc import Iterable
from dataclasses import dataclass

import numpy as np

from dlcli.core.arena import Array
from dlcli.nn.layer import Layer
from dlcli.nn.layers.hardtanh import Hardsigmoid, Hardswish, Hardtanh, ReLU6
from dlcli.nn.layers.relu import ReLU
from dlcli.nn.network import Network, walk

FLAT = (Hardsigmoid, Hardswish, Hardtanh, ReLU6)
"""The activations, besides ReLU, with pieces on which no gradient passes."""

FAINT = 1e-30
"""Below this, a sum of float32 squares has lost digits, or all."""


@dataclass
class Layerwise:
    """`layer.<name>.grad_norm`, `.update_ratio` and `.dead` of every `every`-th step.

    grad_norm = |g|, before clipping;  update_ratio = |w_new - w_old| / |w_old|, both over all parameters of a trained
    layer; about 0.001 is usual.  dead = the share of features (of images, channels) behind a ReLU, ReLU6, Hardtanh,
    Hardsigmoid or Hardswish through which no sample of the batch, the last one of an accumulated step, passes a
    gradient.

    Source: Karpathy 2016, "Neural networks part 3: learning and evaluation", https://cs231n.github.io/neural-networks-3
    """

    network: Network
    every: int

    def __post_init__(self) -> None:
        arena = self.network.arena
        self.values = arena.values[: arena.trainable]
        self.moved = np.empty_like(self.values)
        self.stretches = {
            f"layer.{name}": [
                [vector[arena.slices[f"{name}.{spec.name}"][0]] for spec in layer.specs]
                for vector in (arena.grads, arena.values, self.moved)
            ]
            for name, layer in self.network.trained.items()
        }
        """Of each trained layer, where its gradients, its values, and the changes of these stand."""
        self.gated = {f"layer.{n}": layer for n, layer in walk(self.network.root) if isinstance(layer, (ReLU, *FLAT))}

    def begin(self, step: int) -> bool:
        """Take down gradients and values before they change; False where that step is not due."""
        if step % self.every:
            return False
        self.lengths = {name: (norm(grads), norm(values)) for name, (grads, values, _) in self.stretches.items()}
        np.copyto(self.moved, self.values)
        return True

    def end(self) -> dict[str, float]:
        """The figures of a step that is done."""
        found = {}
        np.subtract(self.values, self.moved, out=self.moved)
        for name, (_, _, moved) in self.stretches.items():
            slope, size = self.lengths[name]
            found[f"{name}.grad_norm"] = slope
            found[f"{name}.update_ratio"] = norm(moved) / size if size else math.nan
        for name, layer in self.gated.items():
            found[f"{name}.dead"] = dead(passing(layer))
        return found


def norm(arrays: Iterable[Array]) -> float:
    """The 2-norm over all of these."""
    flat = [np.ravel(a, order="K") for a in arrays]
    with np.errstate(over="ignore", under="ignore"):
        total = sum(float(np.dot(a, a)) for a in flat)
    if not FAINT < total < math.inf:  # squares leave the range of a float32 long before the numbers do
        total = sum(float(np.square(a, dtype=np.float64).sum()) for a in flat)
    return math.sqrt(total)


def passing(layer: Layer) -> Array:
    """Through which elements of its last batch an activation passes a gradient."""
    return layer.mask if isinstance(layer, ReLU) else np.not_equal(layer.slope, 0)  # type: ignore[attr-defined]


def dead(mask: Array) -> float:
    """The share of units (axis 1) that are off throughout."""
    return 1 - float(mask.any(axis=(0, *range(2, mask.ndim))).mean())
