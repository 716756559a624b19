"""Numeric slopes of a probe along a direction: by complex step, and by central differences that know a kink."""

from __future__ import annotations

import copy
from typing import ClassVar, NamedTuple, Self

import numpy as np

from dlcli.core.arena import Array
from dlcli.nn.gradcheck.probe import Probe, Projection, Where
from dlcli.nn.gradcheck.settings import Settings

COMPLEX_H = 1e-20
"""The step of the complex method: h**2 vanishes beside 1, and nothing is subtracted, so it can be as small."""

EPS = float(np.finfo(np.float64).eps)

PARABOLA = np.vander(np.arange(-2.0, 3.0), 3)
RESIDUAL = np.eye(5) - PARABOLA @ np.linalg.pinv(PARABOLA)
"""Takes five values at even distances to what is left of them beside the parabola that fits best."""


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


class Method:
    """One way to numeric slopes of a probe, beside the analytic gradients."""

    name: ClassVar[str]

    def __init__(self, probe: Probe, gradients: dict[str, Array]) -> None:
        self.probe, self.gradients = probe, gradients
        self.floor = 0.0

    def slope(self, name: str, where: Where, d: Array) -> Slope:
        """The derivative of L along `d`, a direction of the entries `where` of one tensor."""
        raise NotImplementedError

    def planted(self, name: str, gradient: Array) -> Self:
        """The same with another analytic gradient of one tensor."""
        other = copy.copy(self)
        other.gradients = self.gradients | {name: gradient}
        return other


class ComplexStep(Method):
    """dL/ds = Im L(tensor + i h d) / h, exact to the last digits; needs layers that are analytic.

    Source: Squire and Trapp 1998, "Using complex variables to estimate derivatives of real functions",
    https://doi.org/10.1137/S003614459631241X
    """

    name = "complex"

    def __init__(self, twin: Probe, gradients: dict[str, Array]) -> None:
        super().__init__(twin, gradients)
        self.floor = 1e-4 * max(float(np.linalg.norm(g)) for g in gradients.values())

    def slope(self, name: str, where: Where, d: Array) -> Slope:
        terms = self.gradients[name].reshape(-1)[where] * d
        numeric = float(np.imag(self.probe.moved(name, where, 1j * COMPLEX_H * d))) / COMPLEX_H
        analytic = float(terms.sum())
        return Slope(analytic, numeric, compare(analytic, numeric, float(np.linalg.norm(terms)), self.floor))


class CentralDifference(Method):
    """dL/ds = (L(tensor + h d) - L(tensor - h d)) / (2 h), with h relative to entries larger than 1.

    A step that crosses a kink is made ten times smaller once. There is a kink where the branches of the two sides
    differ; and, for layers that do not tell their branches, where the slope is off and five points of the function do
    not lie on a parabola: by as much as a corner that explains the difference would put them off it.
    """

    name = "directional"

    def __init__(self, probe: Probe, gradients: dict[str, Array], settings: Settings) -> None:
        super().__init__(probe, gradients)
        self.threshold, self.step = settings.threshold, settings.step
        self.base = float(probe.value())
        terms = abs(self.base)
        if isinstance(probe.loss, Projection):
            terms = max(terms, float(np.linalg.norm(probe.target * probe.output())))
        self.noise = EPS * terms
        self.floor = 1e6 * self.noise / self.step  # round-off alone then stays below 1e-6

    def slope(self, name: str, where: Where, d: Array) -> Slope:
        found = self._slope(name, where, d, self.step)
        return self._slope(name, where, d, self.step / 10) if found.kink else found

    def _slope(self, name: str, where: Where, d: Array, h: float) -> Slope:
        at = self.probe.entries(name, where)
        step = h * d * np.maximum(1, np.abs(at))
        above, below = (at + step) - at, at - (at - step)  # the steps that float64 can represent
        high = float(self.probe.moved(name, where, above))
        branches = self.probe.branches()
        low = float(self.probe.moved(name, where, -below))
        same = all(np.array_equal(a, b) for a, b in zip(branches, self.probe.branches(), strict=True))
        terms = self.gradients[name].reshape(-1)[where] * ((above + below) / (2 * h))
        analytic, numeric = float(terms.sum()), (high - low) / (2 * h)
        error = compare(analytic, numeric, float(np.linalg.norm(terms)), self.floor * self.step / h)
        kink = not same
        if same and error > self.threshold:
            ends = [float(self.probe.moved(name, where, sign * 2 * step)) for sign in (-1, 1)]
            kink = bent([ends[0], low, self.base, high, ends[1]], abs(analytic - numeric) * h, self.noise)
        return Slope(analytic, numeric, error, kink)


def bent(values: list[float], gap: float, noise: float = 0.0) -> bool:
    """Whether five values at even distances lie as far off a parabola as a corner does that puts the slope off.

    `gap` is the difference of the slopes times the distance, `noise` the round-off of a value. A corner within the two
    inner distances leaves a residual (root mean square) of at least a fifth of the gap; a smooth function's is of the
    third order.

    Source: Tokui et al. 2019, "Chainer: a deep learning framework for accelerating the research cycle",
    https://arxiv.org/abs/1908.00213 (its numerical_grad fits a parabola, too)
    """
    return float(np.sqrt(np.mean((RESIDUAL @ values) ** 2))) > max(0.1 * gap, 10 * noise)


def direction(rng: np.random.Generator, size: int) -> Array:
    """A random unit vector none of whose components is negligible beside the others."""
    d = rng.normal(size=size)
    d = np.copysign(np.maximum(np.abs(d), 0.1), d)
    return d / np.linalg.norm(d)
