"""The tutorial's two checks of a layer that stands alone: entry by entry, with the verdict printed."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np

from dlcli.core.arena import Array
from dlcli.core.errors import ConfigError
from dlcli.core.rng import stream
from dlcli.nn.gradcheck.report import verdict
from dlcli.nn.gradcheck.settings import THRESHOLD


def gradient_check(layer: Any, x: Any, eps: float = 1e-5) -> bool:
    """Whether `backward` gives the gradient of the input x (N, ...) that central differences of step `eps` give.

    Prints `Max Relative Error: 1.2e-10 (excellent)`. Takes any object with `forward(x)` and `backward(dy)`.
    """
    x = np.array(x, np.float64)
    r, backward = _projection(layer, x)
    return _verdict([_error(lambda: _loss(layer, x, r), x, np.asarray(backward()), eps)])


def gradient_check_weights(layer: Any, x: Any, eps: float = 1e-5) -> bool:
    """The same for every parameter in the layer's `params` against its `grads`; ConfigError where it has none."""
    x = np.array(x, np.float64)
    r, backward = _projection(layer, x)
    backward()
    if not getattr(layer, "params", None):
        raise ConfigError(f"{type(layer).__name__}: got a layer without parameters, expected weights to check")
    gradients = {name: np.array(gradient) for name, gradient in layer.grads.items()}
    return _verdict([_error(lambda: _loss(layer, x, r), p, gradients[name], eps) for name, p in layer.params.items()])


def _projection(layer: Any, x: Array) -> tuple[Array, Callable[[], Any]]:
    """Random weights r for a loss sum(r * y), and the layer's backward pass of it."""
    r = stream(0, "gradcheck").normal(size=np.shape(layer.forward(x)))
    return r, lambda: layer.backward(r.copy())


def _loss(layer: Any, x: Array, r: Array) -> float:
    return float(np.sum(r * layer.forward(x)))


def _error(loss: Callable[[], float], tensor: Array, gradient: Array, eps: float) -> float:
    """The largest relative error over the entries of `tensor`, which is moved in place and put back."""
    if gradient.shape != tensor.shape:
        return float("inf")
    base = loss()
    floor = 1e-8 * max(1.0, abs(base))  # below it there is only round-off
    worst = 0.0
    for index in np.ndindex(tensor.shape):
        value, analytic = float(tensor[index]), float(gradient[index])
        tensor[index] = value + eps
        right = (loss() - base) / eps
        tensor[index] = value - eps
        left = (base - loss()) / eps
        tensor[index] = value
        worst = max(worst, _distance(analytic, left, right, floor))
    return worst


def _distance(analytic: float, left: float, right: float, floor: float) -> float:
    """The relative error against the mean of the slopes to both sides, none for a subgradient at a kink."""
    numeric = (left + right) / 2
    kink = abs(left - right) > 1e-2 * max(abs(left), abs(right))
    if kink and min(left, right) - floor <= analytic <= max(left, right) + floor:
        return 0.0
    error = abs(analytic - numeric) / max(abs(analytic), abs(numeric), floor)
    return error if np.isfinite(error) else float("inf")


def _verdict(errors: list[float]) -> bool:
    error = max(errors)
    print(f"Max Relative Error: {error:.1e} ({verdict(error)})")
    return error <= THRESHOLD
