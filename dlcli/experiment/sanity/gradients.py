"""Checks of what flows backward, and of first values that leave units alike."""

from __future__ import annotations

import math

import numpy as np

from dlcli.core.arena import Array
from dlcli.experiment.sanity.bench import Bench
from dlcli.experiment.sanity.causes import cause, key, label
from dlcli.experiment.sanity.finding import Finding, skipped
from dlcli.nn.layer import Layer
from dlcli.nn.loss import Loss
from dlcli.nn.network import Network
from dlcli.optim.adam import Adam
from dlcli.optim.sgd import SGD
from dlcli.training.layerwise import norm

WARN, FAIL = 1e3, 1e5
"""How many times as long the gradient of one layer may be as that of the last, either way."""

ALIKE = 1e-3
"""The difference between the numbers of two units, over the largest of them, that comes of rounding."""

FEW = 3
"""Steps after which units that can part have done so, and rounding has not parted the others."""


@np.errstate(all="ignore")
def gradients(bench: Bench) -> Finding:
    """The gradients of all weights have about the same length, however far a layer is from the loss.

    Where one is exactly 0 it is looked at again after two steps: a last layer that starts at 0 passes nothing back in
    the first.

    Source: Glorot and Bengio 2010, "Understanding the difficulty of training deep feedforward neural networks"
    """
    expected = f"within a factor {WARN:g} of the last"
    network = bench.network()
    weighty = {name: layer for name, layer in network.trained.items() if matrices(layer)}
    if not weighty:
        return skipped(expected, "no trained layer has a weight")
    loss, optimizer = bench.loss(network), Adam()
    optimizer.bind(network.arena)
    for _ in range(3):
        value = _backward(network, loss, *bench.batch)
        lengths = {name: norm(g for g in layer.grads.values() if g.ndim > 1) for name, layer in weighty.items()}
        if all(lengths.values()):
            break
        optimizer.step()
    named = {label(network, name): {"gradient_norm": length} for name, length in lengths.items()}
    if not math.isfinite(value) or not all(map(math.isfinite, lengths.values())):
        advice = cause(bench, "inputs, targets or first values are too large: smaller init, or dtype: float64")
        return Finding(expected, "not finite before any step", "failed", advice, named)
    *_, last = lengths
    ratios = {name: length / lengths[last] if lengths[last] else math.nan for name, length in lengths.items()}
    name = max(ratios, key=lambda n: abs(math.log(ratios[n])) if ratios[n] > 0 else math.inf)
    ratio = ratios[name]
    found = f"{lengths[name]:.2g} in {label(network, name)}, {lengths[last]:.2g} in {label(network, last)}"
    if 1 / WARN <= ratio <= WARN:
        return Finding(expected, found, layers=named)
    if ratio > 1:
        what = f"gradients explode towards {label(network, name)}"
        own = f"smaller {key(bench, name)}.init, batch norm, or train.clip_grad_norm"
    else:
        what = f"gradients vanish towards {label(network, name)}"
        own = "use ReLU with init: kaiming_normal, fewer layers, batch norm or Residual connections"
    severe = not 1 / FAIL <= ratio <= FAIL
    if ratio == 0 or "symmetry" in bench.faults:  # no distance makes a gradient 0
        own = cause(bench, own)
    advice = f"{what}: {own}"
    return Finding(expected, found, "failed" if severe else "warning", advice, named)


@np.errstate(all="ignore")
def symmetry(bench: Bench) -> Finding:
    """The units of a layer differ: those that start alike, on both sides, get the same gradient and stay alike.

    Layers whose units start with the same weights are looked at again after a few steps, since other layers may part
    them: in a last layer, which may start at 0, the targets do.

    Source: Goodfellow, Bengio and Courville 2016, "Deep learning", section 8.4, https://www.deeplearningbook.org
    """
    expected = "units that differ"
    network = bench.network()
    same = {name: matrices(layer) for name, layer in network.trained.items() if alike(matrices(layer))}
    if not same:
        return Finding(expected, "all differ")
    loss, optimizer = bench.loss(network), SGD(lr=0.1)
    optimizer.bind(network.arena)
    first = {name: [w.copy() for w in views] for name, views in same.items()}
    for _ in range(FEW):
        _backward(network, loss, *bench.batch)
        optimizer.step()
    moved = {name: [w - old for w, old in zip(views, first[name], strict=True)] for name, views in same.items()}
    still = [name for name in same if alike(moved[name])]
    found = ", ".join(label(network, name) for name in still or same)
    if not still:
        return Finding(expected, f"the same first in {found}, not after {FEW} steps")
    own = f"a constant first value keeps units alike: change {key(bench, still[0])}.init"
    return Finding(expected, f"all the same in {found}", "failed", cause(bench, own))


def matrices(layer: Layer) -> list[Array]:
    """The parameters with an axis of units and one of inputs."""
    return [value for value in layer.params.values() if value.ndim > 1]


def alike(views: list[Array]) -> bool:
    """Whether there are several units, and all have the same numbers but for rounding."""
    several = any(len(w) > 1 for w in views)
    return several and all(bool(np.abs(w - w[:1]).max() <= ALIKE * np.abs(w).max()) for w in views)


def _backward(network: Network, loss: Loss, x: Array, y: Array) -> float:
    """Set every gradient on a batch; the loss."""
    value = float(loss.forward(network.forward(x, training=True), y))
    network.backward(loss.backward())
    return value
