"""The gradient that training takes, on whole batches and in its own type, beside the one that few samples give."""

from __future__ import annotations

import copy
from typing import Any, NamedTuple

import numpy as np

from dlcli.core.arena import Array
from dlcli.core.rng import stream
from dlcli.nn.gradcheck.check import activations
from dlcli.nn.gradcheck.probe import BrokenError, Probe, call, calm, checked
from dlcli.nn.gradcheck.report import Row
from dlcli.nn.gradcheck.settings import Settings
from dlcli.nn.gradcheck.slopes import CentralDifference, ComplexStep, Method, direction
from dlcli.nn.gradcheck.subject import broken, real_only
from dlcli.nn.loss import Loss
from dlcli.nn.network import Network, walk

CLOSE = 0.2
"""The largest difference between float32 and float64: float32 rounds, and takes the other side of a kink at times."""

SMALL = 1e-3
"""A gradient as small beside the largest one, or smaller, is compared with that share of it."""

KINKED = 1e-3
"""The largest error of differences here: among so many units some stand within a step of their kinks."""

ROOM = 1 << 25
"""Activations that are held at most; a larger batch is cut."""

WHOLE = "parameters"


class Pass(NamedTuple):
    """What one pass computes: outputs (N, *out_shape), and the gradient of all parameters as one vector."""

    outputs: Array
    gradient: Array


def samples(network: Network, batch: int) -> int:
    """How many samples of a batch are taken."""
    each = sum(layer.activations() for _, layer in walk(network.root)) or 1
    return max(1, min(batch, ROOM // each))


def check_as_trained(network: Network, loss: Loss, x: Array, y: Array, **settings: Any) -> list[Row]:
    """The network as training runs it: on whole batches, which it may cut into lanes; without dx; in float32.

    In float64, all parameters are moved at once along directions in which each has its share; then every gradient of
    the network's own type is compared with that of float64. x (N, *in_shape), y the targets; `settings` are the fields
    of `Settings`. The network itself is left alone. Where the two types draw other random numbers, as noise does, the
    second pass is one of evaluation.
    """
    label = f"as trained, {len(x)} samples"
    rows = []
    with calm():
        try:
            wide = network.cast(np.float64)
            exact = _pass(wide, loss, x, y, training=True)
            rows.append(
                _slopes(Row(label, WHOLE, 0.0, "trained", 0.0), network, loss, x, y, exact, Settings(**settings))
            )
            if network.dtype != np.float64:
                label += f" in {network.dtype}"
                activations(copy.deepcopy(network), x.astype(network.dtype))  # every layer keeps the type
                rows.append(_types(Row(label, WHOLE, 0.0, "trained", CLOSE), network, wide, loss, x, y, exact))
        except BrokenError as error:
            rows.append(broken(error.layer or label, error))
    return rows


def _pass(network: Network, loss: Loss, x: Array, y: Array, training: bool) -> Pass:
    real, criterion = copy.deepcopy(network), copy.deepcopy(loss)
    real.draws.step, criterion.scratch, criterion.dtype = 0, {}, real.dtype
    outputs = checked(real.root, real.root.forward, x.astype(real.dtype), training).copy()
    call("loss", criterion.forward, outputs, y if y.dtype.kind in "iu" else y.astype(real.dtype))
    call("backward", real.root.backward, call("backward", criterion.backward))
    return Pass(outputs, real.arena.grads.astype(np.float64))


def _slopes(row: Row, network: Network, loss: Loss, x: Array, y: Array, found: Pass, chosen: Settings) -> Row:
    """Fill in the error along two directions; where it is too large, that of the parameter that is farthest off."""
    analytic = real_only(network.root) is None and loss.complex_step
    twin = network.cast(np.complex128 if analytic else np.float64)
    params = {WHOLE: (twin.arena.values, twin.arena.grads)}
    probe = Probe(twin.root, loss, x.astype(twin.dtype), y, params)
    gradients = {WHOLE: found.gradient}
    method: Method = ComplexStep(probe, gradients) if analytic else CentralDifference(probe, gradients, chosen)
    row.threshold = chosen.held(method.name) if analytic else KINKED
    method.floor = 0.0
    rng, sizes = stream(chosen.seed, "gradcheck", 1), _sizes(network, found.gradient)
    least = SMALL * max(sizes.values()) or 1.0
    for _ in range(2):
        d = np.empty(len(found.gradient))
        for name, (where, _) in network.arena.slices.items():
            d[where] = direction(rng, where.stop - where.start) / (sizes[name] + least)
        row.error = max(row.error, method.slope(WHOLE, slice(None), d).error)
    if not row.passed:
        errors = {name: method.slope(WHOLE, where, d[where]).error for name, (where, _) in network.arena.slices.items()}
        row.tensor = max(errors, key=errors.__getitem__)
        row.hint = f"on {len(x)} samples the gradient is wrong, on {chosen.batch} it is not"
    return row


def _types(row: Row, network: Network, wide: Network, loss: Loss, x: Array, y: Array, exact: Pass) -> Row:
    """Fill in the largest difference between a gradient in the network's own type and in float64."""
    found = _pass(network, loss, x, y, training=True)
    if not _close(found.outputs, exact.outputs):
        row.mode = "evaluation"
        found, exact = (_pass(net, loss, x, y, training=False) for net in (network, wide))
        if not _close(found.outputs, exact.outputs):
            raise BrokenError("forward", f"forward gives another result in {network.dtype} than in float64")
    sizes, apart = (_sizes(network, g) for g in (exact.gradient, found.gradient - exact.gradient))
    least = SMALL * max(sizes.values()) or 1.0
    errors = {name: apart[name] / max(sizes[name], least) for name in sizes}
    worst = max(errors, key=errors.__getitem__)
    row.error = errors[worst]
    if not row.passed:
        row.tensor, row.hint = worst, f"the gradient in {network.dtype} is another than in float64"
    return row


def _sizes(network: Network, vector: Array) -> dict[str, float]:
    """The 2-norm of every parameter's part of a vector."""
    return {name: float(np.linalg.norm(vector[where])) for name, (where, _) in network.arena.slices.items()}


def _close(outputs: Array, exact: Array) -> bool:
    return bool(np.abs(outputs - exact).max(initial=0) <= CLOSE * np.abs(exact).max(initial=0))
