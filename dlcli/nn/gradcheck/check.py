"""The gradient checks of a network, a layer and a loss, in float64 and, where the parts allow it, by complex step."""

from __future__ import annotations

import copy
from collections.abc import Callable
from dataclasses import replace
from typing import Any

import numpy as np

from dlcli.core.arena import Array, laid
from dlcli.core.errors import DlcliError, ShapeError
from dlcli.nn.gradcheck.probe import BrokenError, Projection, call, calm, checked
from dlcli.nn.gradcheck.report import Report, Row
from dlcli.nn.gradcheck.settings import Settings
from dlcli.nn.gradcheck.subject import Check, Subject, broken, not_analytic, real_only
from dlcli.nn.layer import Layer, Shape
from dlcli.nn.layers.sequential import Part
from dlcli.nn.loss import Loss
from dlcli.nn.network import Network, walk

WHOLE = "end to end"


def twins(network: Network) -> tuple[Network, Network]:
    """Copies of the network in float64 and complex128, every layer with its input gradient."""
    copies = [call("copy", lambda d=d: network.cast(d, needs_input_grad=True)) for d in (np.float64, np.complex128)]
    return copies[0], copies[1]


def activations(network: Network, x: Array) -> dict[str, Array]:
    """The input of every layer in one forward pass, by the layer's name, and the outputs as `""`."""
    inputs: dict[str, Array] = {}

    def recorder(name: str, layer: Layer) -> Callable[[Array, bool], Array]:
        run = layer.forward

        def recorded(x: Array, training: bool) -> Array:
            inputs[name] = x.copy(order="K")  # as it lies in memory: layers may go by that
            try:
                return checked(layer, run, x, training)
            except BrokenError as error:
                error.layer = error.layer or f"{name} {type(layer).__name__}"
                raise

        return recorded

    named = list(walk(network.root))
    for name, layer in named:
        vars(layer)["forward"] = recorder(name, layer)
    try:
        inputs[""] = checked(network.root, network.root.forward, x, True).copy()
    finally:
        for _, layer in named:
            del vars(layer)["forward"]
    return inputs


def check_network(network: Network, loss: Loss, x: Any, y: Any, **settings: Any) -> Report:
    """Every layer alone with a random gradient from above, then the loss, then all of it end to end.

    All values are shaken by a tenth of their size, as mistakes may hide behind a factor that starts at 1 or 0.
    x (N, *in_shape) with a few samples, y the loss's targets; `settings` are the fields of `Settings`. The network
    itself is left alone. Every layer is checked at the inputs that it gets here, in training mode and, where that
    gives another output, in evaluation mode: by the complex step where it allows it, and by differences.
    """
    x, y = np.array(x, np.float64), as_target(y)
    check = Check(Settings(**settings))
    threshold = check.settings.threshold
    with calm():
        try:
            real, twin = twins(network)
            shake(real, check.rng)
            twin.arena.values[:] = real.arena.values
            inputs = activations(real.cast(np.float64), x)
        except BrokenError as error:
            return Report([broken(error.layer or WHOLE, error)], threshold)
        others = dict(walk(twin.root))
        # a mere list in a container has no rows: those of its layers tell all
        named = [(name, layer) for name, layer in walk(real.root) if not isinstance(layer, Part)]
        found: dict[str, list[Row]] = {}
        guilty: dict[str, str] = {}
        for name, layer in reversed(named):  # what is inside first, so that a container can point to it
            label, other = f"{name} {type(layer).__name__}", real_only(layer) or others[name]
            r = laid(check.rng.normal(size=(len(x), *layer.out_shape)))
            subject = Subject(label, layer, other, Projection(), inputs[name], r, nested=False)
            blame = next((guilty[n] for n in reversed(guilty) if n.startswith(f"{name}.")), None)
            found[name] = check.rows(subject, blame)
            if not all(row.passed for row in found[name]):
                guilty[name] = blame or label
        rows = [row for name, _ in named for row in found[name]]
        rows += check.rows(_loss_subject(loss, inputs[""], y))
        blame = next((guilty[n] for n in reversed(guilty)), None)
        blame = blame or next((row.layer for row in rows if not row.passed), None)
        why = real_only(real.root) or (None if loss.complex_step else not_analytic(loss))
        return Report(rows + check.rows(Subject(WHOLE, real.root, why or twin.root, loss, x, y), blame), threshold)


def check_layer(layer: Layer, in_shape: Shape, *, label: str | None = None, **settings: Any) -> list[Row]:
    """A fresh layer alone, on normal inputs, its first values shaken so that no parameter stays at zero.

    Every other sample is four times as large, to come where clipped functions are flat. `settings` are the fields of
    `Settings`. In training mode, and in evaluation mode where that gives another output. Raises ShapeError where the
    layer cannot take samples of `in_shape`.
    """
    label = label or type(layer).__name__
    chosen = Settings(**settings)
    check = Check(chosen)
    with calm():
        try:
            network: Network = call("setup", lambda: Network([layer], in_shape, dtype=np.float64, seed=chosen.seed))
            shake(network, check.rng)
            x = laid(check.rng.normal(size=(chosen.batch, *in_shape)))
            x[1::2] *= 4
            real, twin = (copied.layers[0] for copied in twins(network))
            y = checked(layer, layer.forward, x, True).copy()
        except BrokenError as error:
            if isinstance(error.__cause__, ShapeError if error.what == "forward" else DlcliError):
                raise error.__cause__ from None
            return [broken(label, error)]
        r = laid(check.rng.normal(size=y.shape))
        return check.rows(Subject(label, real, real_only(real) or twin, Projection(), x, r))


def check_loss(loss: Loss, out_shape: Shape, *, label: str | None = None, **settings: Any) -> list[Row]:
    """A loss alone, on predictions of `out_shape` for each sample and targets as its `draw` gives them.

    `settings` are the fields of `Settings`. A loss that names no task is tried with values first, and with class
    indices if it cannot take those. Raises ShapeError where a loss of a task cannot take predictions of that shape.
    """
    check = Check(Settings(**settings))
    batch = check.settings.batch
    predicted, target = loss.draw(check.rng, (batch, *out_shape))
    with calm():
        try:
            call("loss", copy.deepcopy(loss).forward, predicted, target)
        except BrokenError as error:
            if loss.task is not None and isinstance(error.__cause__, ShapeError):
                raise error.__cause__ from None
        subject = _loss_subject(loss, predicted, target)
        subject.label = label or subject.label
        rows = check.rows(subject)
        if loss.task is None and rows[0].method == "contract":
            others = check.rows(replace(subject, target=check.rng.integers(out_shape[0], size=batch)))
            rows = rows if others[0].method == "contract" else others
        return rows


def shake(network: Network, rng: np.random.Generator) -> None:
    """Move every parameter by a tenth of its size, and by 0.1 where it is zero."""
    for values in network.params.values():
        size = float(np.sqrt(np.mean(values**2))) or 1.0
        values += 0.1 * size * rng.normal(size=values.shape)


def as_target(y: Any) -> Array:
    """Class indices as they are, values in float64."""
    y = np.asarray(y)
    return y if y.dtype.kind in "iu" else y.astype(np.float64)


def _loss_subject(loss: Loss, predicted: Array, target: Any) -> Subject:
    nothing = Network([], predicted.shape[1:], dtype=np.float64)
    twin = nothing.cast(np.complex128).root if loss.complex_step else not_analytic(loss)
    name = "logits" if loss.task == "classification" else "y_pred"
    return Subject(type(loss).__name__, nothing.root, twin, loss, predicted, target, input_name=name)
