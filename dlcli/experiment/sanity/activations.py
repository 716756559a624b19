"""Checks of what flows forward: activations that are dead, saturated, or the same for every sample."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np

from dlcli.core.arena import Array
from dlcli.experiment.sanity.bench import Bench
from dlcli.experiment.sanity.causes import cause, key, label, rate
from dlcli.experiment.sanity.course import short_training
from dlcli.experiment.sanity.finding import Finding, skipped
from dlcli.nn.layer import Layer
from dlcli.nn.layers.elementwise import Elementwise
from dlcli.nn.layers.hardtanh import Hardsigmoid, Hardtanh
from dlcli.nn.layers.leaky_relu import LeakyReLU
from dlcli.nn.layers.prelu import PReLU
from dlcli.nn.layers.relu import ReLU
from dlcli.nn.layers.sigmoid import Sigmoid
from dlcli.nn.layers.softplus import Softsign
from dlcli.nn.layers.tanh import Tanh
from dlcli.nn.network import Network, walk

ACTIVATIONS = (Elementwise, ReLU, LeakyReLU, PReLU, Sigmoid, Tanh)
BOUNDED = (Sigmoid, Tanh, Hardsigmoid, Hardtanh, Softsign)
"""Flat on both sides, so that they can saturate; a ReLU is flat for half of its inputs by design."""

STEEPEST = {Sigmoid: 1 / 4, Hardsigmoid: 1 / 6}
"""The largest slope, where it is not 1."""

FLAT = 0.05
"""The share of the largest slope below which an activation passes next to nothing back."""

DEAD = (0.5, 0.9)
"""The share of units without slope for any sample from which on it warns, and fails."""

SATURATED = (0.4, 0.8)
"""The share of single activations without slope, of those that are bounded, from which on it warns, and fails."""

LATER_DEAD, LATER_SATURATED = (0.7, 0.95), (0.9, 2.0)
"""The same after a training, in which some units specialise."""

SAME = 1e-6
"""The deviation over all samples, relative to the size, below which samples can no longer be told apart."""

EXPECTED = "units alive, few saturated"


def first_activations(bench: Bench) -> Finding:
    """Before training few units are dead (without slope for every sample) or saturated, and samples stay different.

    Source: CS231n, "Neural networks part 3", https://cs231n.github.io/neural-networks-3/#distr; Glorot and Bengio
    2010, "Understanding the difficulty of training deep feedforward neural networks"
    """
    network = bench.network()

    def advice(name: str, what: str) -> str:
        before = _before(network, name)
        own = f"its inputs are too far from 0: change {key(bench, before)}.init" if before else "scale the inputs"
        if what == "same":
            own = "the signal fades on its way: fewer layers, another init, batch norm or residual connections"
        return cause(bench, own)

    return judge(network, bench.batch[0], advice, DEAD, SATURATED)


def later_activations(bench: Bench) -> Finding:
    """After a short training units are still alive; saturation is no failure then, since samples may be told apart.

    Source: Karpathy, CS231n, "Neural networks part 1", on units that die at large learning rates,
    https://cs231n.github.io/neural-networks-1/#actfun
    """
    course = bench.once(short_training)
    if course.failure:
        return skipped(EXPECTED, "the short training did not come to its end")

    def advice(name: str, what: str) -> str:
        return cause(bench, f"the steps drive it there: lower {rate(bench)}, or clip gradients (train.clip_grad_norm)")

    return judge(course.network, bench.batch[0], advice, LATER_DEAD, LATER_SATURATED)


def judge(
    network: Network,
    x: Array,
    advice: Callable[[str, str], str],
    dead: tuple[float, float],
    saturated: tuple[float, float],
) -> Finding:
    """The worst layer, by the bounds from which on it warns and fails; `advice` for it and what is wrong with it."""
    layers = measure(network, x)
    if not layers:
        return skipped(EXPECTED, "no layer is an activation")
    worst = {what: _largest(layers, what) for what in ("dead", "saturated")}
    found = ", ".join(
        f"{what} {100 * layers[name][what]:.0f} % ({label(network, name)})" for what, name in worst.items()
    )
    named = {label(network, name): figures for name, figures in layers.items()}
    for name, figures in layers.items():
        if figures["dead"] >= dead[1]:
            return Finding(EXPECTED, found, "failed", _told(network, name, "dead", advice), named)
        if figures["saturated"] >= saturated[1]:
            return Finding(EXPECTED, found, "failed", _told(network, name, "saturated", advice), named)
        if figures["spread"] < SAME:
            found = f"{label(network, name)}: deviation over samples {figures['spread']:.0e}"
            return Finding(EXPECTED, found, "failed", _told(network, name, "same", advice), named)
    for (what, name), bounds in zip(worst.items(), (dead, saturated), strict=True):
        if layers[name][what] >= bounds[0]:
            return Finding(EXPECTED, found, "warning", _told(network, name, what, advice), named)
    return Finding(EXPECTED, found, layers=named)


def _told(network: Network, name: str, what: str, advice: Callable[[str, str], str]) -> str:
    words = {"dead": "is dead", "saturated": "is saturated", "same": "gives the same for every sample"}
    return f"layer {label(network, name)} {words[what]}: {advice(name, what)}"


@np.errstate(all="ignore")
def measure(network: Network, x: Array) -> dict[str, dict[str, float]]:
    """Of every activation, by its layer's name: the shares that are `dead` and `saturated`, and the `spread`."""
    outputs: dict[str, Array] = {}

    def recorder(name: str, layer: Layer) -> Callable[[Array, bool], Array]:
        run = layer.forward

        def recorded(x: Array, training: bool) -> Array:
            outputs[name] = run(x, training)
            return outputs[name]

        return recorded

    found = {name: layer for name, layer in walk(network.root) if isinstance(layer, ACTIVATIONS)}
    for name, layer in found.items():
        vars(layer)["forward"] = recorder(name, layer)
    try:
        network.forward(x, training=True)
    finally:
        for layer in found.values():
            del vars(layer)["forward"]
    return {name: _figures(layer, outputs[name]) for name, layer in found.items()}


def _figures(layer: Layer, y: Array) -> dict[str, float]:
    steepest = STEEPEST.get(type(layer), 1.0)
    slope = np.asarray(layer.backward(np.ones_like(y)))
    flat = ~(np.abs(slope) >= FLAT * steepest)
    units = flat.all(axis=(0, *range(2, flat.ndim)))
    largest = float(np.abs(y).max())
    spread = float(y.std(axis=0, dtype="f8").max()) / largest if largest else 0.0
    saturated = float(flat.mean()) if isinstance(layer, BOUNDED) else 0.0
    return {"dead": float(units.mean()), "saturated": saturated, "spread": spread}


def _largest(layers: dict[str, dict[str, float]], what: str) -> str:
    return max(layers, key=lambda name: layers[name][what])


def _before(network: Network, name: str) -> str | None:
    """The last trained layer before the one of that name."""
    names = [n for n, _ in walk(network.root)]
    return next((n for n in reversed(names[: names.index(name)]) if n in network.trained), None)
