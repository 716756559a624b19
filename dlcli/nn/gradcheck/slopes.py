"""Numeric slopes of a probe along a direction: by complex step, and by central differences that know a kink."""

from __future__ import annotations

from typing import NamedTuple, Protocol

import numpy as np

from dlcli.core.arena import Array
from dlcli.nn.gradcheck.probe import Probe, Projection, Where

H = 1e-5
"""The step of central differences in float64: near the optimum (3 eps)**(1/3) between truncation and round-off."""

COMPLEX_H = 1e-20
"""The step of the complex method: h**2 vanishes beside 1, and nothing is subtracted, so it can be as small."""

EPS = float(np.finfo(np.float64).eps)


class Slope(NamedTuple):
    """One derivative along one direction, both ways."""

    analytic: float
    numeric: float
    error: float
    kink: bool = False
    """Whether the function has a corner within the step, so that differences say nothing."""


def compare(analytic: float, numeric: float, size: float, floor: float) -> float:
    """|a - n| / max(|a|, |n|, size, floor); infinite where one of them is not finite.

    `size` is the length of the terms that a sums up, so that a sum near zero does not blow up its round-off. `floor`
    is where the round-off of the method itself begins to show, so that zero agrees with almost zero.
    """
    if not np.isfinite(analytic - numeric):
        return float("inf")
    return abs(analytic - numeric) / (max(abs(analytic), abs(numeric), size, floor) or 1.0)


class ComplexStep:
    """dL/ds = Im L(tensor + i h d) / h, exact to the last digits; needs layers that are analytic.

    Source: Squire and Trapp 1998, "Using complex variables to estimate derivatives of real functions",
    https://doi.org/10.1137/S003614459631241X
    """

    name = "complex"

    def __init__(self, twin: Probe, gradients: dict[str, Array]) -> None:
        self.probe, self.gradients = twin, gradients
        self.floor = 1e-4 * max(float(np.linalg.norm(g)) for g in gradients.values())

    def slope(self, name: str, where: Where, d: Array) -> Slope:
        """The derivative of L along `d`, a direction of the entries `where`."""
        terms = self.gradients[name].reshape(-1)[where] * d
        numeric = float(np.imag(self.probe.moved(name, where, 1j * COMPLEX_H * d))) / COMPLEX_H
        analytic = float(terms.sum())
        return Slope(analytic, numeric, compare(analytic, numeric, float(np.linalg.norm(terms)), self.floor))


class CentralDifference:
    """dL/ds = (L(tensor + h d) - L(tensor - h d)) / (2 h), with h relative to entries larger than 1.

    A step that crosses a kink is made ten times smaller once. There is a kink where the branches of the two sides
    differ, or where the slopes to the two sides differ by more than the error that they would explain.
    """

    name = "directional"

    def __init__(self, probe: Probe, gradients: dict[str, Array], threshold: float) -> None:
        self.probe, self.gradients, self.threshold = probe, gradients, threshold
        self.base = float(probe.value())
        terms = abs(self.base)
        if isinstance(probe.loss, Projection):
            terms = max(terms, float(np.linalg.norm(probe.target * probe.output())))
        self.noise = EPS * terms

    def slope(self, name: str, where: Where, d: Array) -> Slope:
        """The derivative of L along `d`, a direction of the entries `where`."""
        found = self._slope(name, where, d, H)
        return self._slope(name, where, d, H / 10) if found.kink else found

    def _slope(self, name: str, where: Where, d: Array, h: float) -> Slope:
        at = self.probe.tensors[name].reshape(-1)[where]
        step = h * d * np.maximum(1, np.abs(at))
        above, below = (at + step) - at, at - (at - step)  # the steps that float64 can represent
        high = float(self.probe.moved(name, where, above))
        branches = self.probe.branches()
        low = float(self.probe.moved(name, where, -below))
        terms = self.gradients[name].reshape(-1)[where] * ((above + below) / (2 * h))
        analytic, numeric = float(terms.sum()), (high - low) / (2 * h)
        floor = 1e6 * self.noise / h  # round-off alone then stays below 1e-6
        error = compare(analytic, numeric, float(np.linalg.norm(terms)), floor)
        same = all(np.array_equal(a, b) for a, b in zip(branches, self.probe.branches(), strict=True))
        bend = abs((high - self.base) - (self.base - low)) / h
        return Slope(analytic, numeric, error, not same or (error > self.threshold and abs(analytic - numeric) <= bend))


class Method(Protocol):
    """One way to a numeric slope."""

    name: str
    probe: Probe

    def slope(self, name: str, where: Where, d: Array) -> Slope:
        """The derivative of L along `d`, a direction of the entries `where` of one tensor."""
        ...


def direction(rng: np.random.Generator, size: int) -> Array:
    """A random unit vector none of whose components is negligible beside the others."""
    d = rng.normal(size=size)
    d = np.copysign(np.maximum(np.abs(d), 0.1), d)
    return d / np.linalg.norm(d)
