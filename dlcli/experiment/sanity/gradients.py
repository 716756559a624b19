"""Checks of what flows backward, and of first values that leave units alike."""

from __future__ import annotations

import math

import numpy as np

from dlcli.core.arena import Array
from dlcli.experiment.sanity.bench import Bench
from dlcli.experiment.sanity.causes import cause, key, label
from dlcli.experiment.sanity.course import short_training
from dlcli.experiment.sanity.finding import Finding, skipped
from dlcli.nn.layer import Layer
from dlcli.nn.loss import Loss
from dlcli.nn.network import Network
from dlcli.optim.adam import Adam
from dlcli.training.layerwise import norm

WARN, FAIL = 1e3, 1e5
"""How many times as long the gradient of one layer may be as that of the last, either way."""


@np.errstate(all="ignore")
def gradients(bench: Bench) -> Finding:
    """The gradients of all weights have about the same length, however far a layer is from the loss.

    Where one is exactly 0 it is looked at again after two steps: a last layer that starts at 0 passes nothing back in
    the first.

    Source: Glorot and Bengio 2010, "Understanding the difficulty of training deep feedforward neural networks"
    """
    expected = f"within a factor {WARN:g} of the last"
    network = bench.network()
    weighty = {name: layer for name, layer in network.trained.items() if weights(layer)}
    if not weighty:
        return skipped(expected, "no trained layer has a weight")
    loss, optimizer = bench.loss(network), Adam()
    optimizer.bind(network.arena)
    for _ in range(3):
        value = _backward(network, loss, *bench.batch)
        lengths = {name: norm([layer.grads[w] for w in weights(layer)]) for name, layer in weighty.items()}
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
    advice = f"{what}: {own if ratio > 0 else cause(bench, own)}"  # none at all comes of what lies behind
    return Finding(expected, found, "failed" if severe else "warning", advice, named)


def symmetry(bench: Bench) -> Finding:
    """The units of a layer differ: those that start alike get the same gradient and stay alike for ever.

    Layers that start so, as a last layer at 0 may, are looked at again after a short training.

    Source: Goodfellow, Bengio and Courville 2016, "Deep learning", section 8.4, https://www.deeplearningbook.org
    """
    expected = "units that differ"
    network = bench.network()
    names = [name for name, layer in network.trained.items() if alike(layer)]
    found = ", ".join(label(network, name) for name in names)
    if not names:
        return Finding(expected, "all differ")
    course = bench.once(short_training)
    still = [name for name in names if alike(course.network.trained[name])]
    if still:
        found = ", ".join(label(network, name) for name in still)
        own = f"a constant first value keeps units alike: change {key(bench, still[0])}.init"
        return Finding(expected, f"all the same in {found}", "failed", cause(bench, own))
    text = f"the same first in {found}, not after {course.steps} steps"
    constant = [
        name for name in names if any(network.trained[name].params[w].any() for w in weights(network.trained[name]))
    ]
    if not constant:
        return Finding(expected, text)
    return Finding(expected, text, "warning", f"only biases part these units: change {key(bench, constant[0])}.init")


def weights(layer: Layer) -> list[str]:
    """The parameters with an axis of units and one of inputs."""
    return [name for name, value in layer.params.items() if value.ndim > 1]


def alike(layer: Layer) -> bool:
    """Whether all units of a layer with several have the same weights."""
    views = [layer.params[name] for name in weights(layer)]
    return any(len(w) > 1 for w in views) and all(bool((w == w[:1]).all()) for w in views)


def _backward(network: Network, loss: Loss, x: Array, y: Array) -> float:
    """Set every gradient on a batch; the loss."""
    value = float(loss.forward(network.forward(x, training=True), y))
    network.backward(loss.backward())
    return value
