"""Figures of single layers: the numbers themselves, when they are taken, and that training does not feel it."""

from __future__ import annotations

import tracemalloc
from collections.abc import Iterator
from typing import Any

import numpy as np
import pytest
from small_training import constrained, dropping, trainer

from dlcli.nn.layer import Layer
from dlcli.nn.layers.hardtanh import Hardsigmoid, Hardswish, Hardtanh, ReLU6
from dlcli.nn.layers.linear import Linear
from dlcli.nn.layers.relu import ReLU
from dlcli.nn.network import Network
from dlcli.training.layerwise import Layerwise, dead, norm, passing
from dlcli.training.loop import StepDone, Trainer


def steps(t: Trainer) -> Iterator[StepDone]:
    return (fact for fact in t.run() if isinstance(fact, StepDone))


def watched(every: int = 1, **options: Any) -> Trainer:
    t = trainer(**options)
    t.layerwise = Layerwise(t.network, every)
    return t


def test_figures_are_those_of_the_step() -> None:
    t = watched(stack=dropping, dtype=np.float64, optimizer=("SGD", {"lr": 0.1}))
    before = {name: w.copy() for name, w in t.network.params.items()}
    for fact in steps(t):
        assert fact.layers is not None
        assert list(fact.layers) == [
            *("layer.0.grad_norm", "layer.0.update_ratio", "layer.3.grad_norm", "layer.3.update_ratio"),
            "layer.1.dead",
        ]
        moved = {name: w - before[name] for name, w in t.network.params.items()}
        for i in (0, 3):
            change, size = (
                np.sqrt(sum((of[f"{i}.{part}"] ** 2).sum() for part in ("weight", "bias"))) for of in (moved, before)
            )
            assert fact.layers[f"layer.{i}.grad_norm"] == pytest.approx(change / 0.1, rel=1e-9)
            assert fact.layers[f"layer.{i}.update_ratio"] == pytest.approx(change / size, rel=1e-12)
        before = {name: w.copy() for name, w in t.network.params.items()}


def test_layers_add_up_to_the_gradient_before_clipping() -> None:
    for fact in steps(watched(clip_grad_norm=0.01, optimizer=("Adam", {}))):
        assert fact.layers is not None
        whole = np.hypot(fact.layers["layer.0.grad_norm"], fact.layers["layer.2.grad_norm"])
        assert whole == pytest.approx(fact.grad_norm, rel=1e-5)


@pytest.mark.parametrize("stack", [dropping, constrained])
def test_only_the_steps_that_are_due_have_them_and_all_are_the_same(stack: Any) -> None:
    plain, seen = list(steps(trainer(stack=stack))), list(steps(watched(4, stack=stack)))
    assert [fact.step for fact in seen if fact.layers is not None] == [4, 8, 12]
    assert [fact._replace(layers=None) for fact in seen] == plain


def test_a_relu_that_never_fires_is_dead() -> None:
    t = watched(stack=dropping)
    t.network.params["0.bias"] = [-1e9, -1e9, *[1e9] * 6]
    first = next(steps(t))
    assert first.layers is not None
    assert first.layers["layer.1.dead"] == 0.25


def test_dead_units_are_features_or_channels() -> None:
    mask = np.zeros((5, 4), bool)
    mask[3, 2] = True
    assert dead(mask) == 0.75
    images = np.zeros((5, 2, 3, 3), bool)
    images[0, 1, 2, 2] = True
    assert dead(images) == 0.5


@pytest.mark.parametrize(
    ("layer", "low", "high"), [(ReLU(), -1, None), (ReLU6(), -1, 7), (Hardtanh(), -2, 2), (Hardsigmoid(), -4, 4)]
)
def test_units_are_dead_on_every_flat_piece(layer: Layer, low: float, high: float | None) -> None:
    network = Network([layer], (4,))
    x = np.array([[low, low, 0.5, 0.5], [low, 0.5, 0.5, low if high is None else high]])
    if high is not None:
        x[1, 0] = high
    network.forward(x, training=True)
    assert dead(passing(layer)) == 0.25


def test_hardswish_is_dead_below_only() -> None:
    network = Network([Hardswish()], (2,))
    network.forward(np.array([[-4.0, 4.0], [-3.5, 5.0]]), training=True)
    assert dead(passing(network.layers[0])) == 0.5


@pytest.mark.parametrize("size", [1e30, 1e-30, 1.0])
def test_norm_neither_overflows_nor_vanishes(size: float) -> None:
    assert norm([np.array([3 * size], np.float32), np.array([4 * size], np.float32)]) == pytest.approx(5 * size)
    assert norm([np.zeros(3, np.float32)]) == 0


def test_a_step_that_is_due_costs_a_few_passes_over_the_parameters() -> None:
    """What bounds the time: no memory is taken, and each figure is one call of the BLAS.

    With 784-128-10 and batches of 64 a step passes over the weights, and over 64 times as many products, anyway: a
    step that is due takes about a third longer, and one in 100 makes that 0.3 %.
    """
    network = Network([Linear(784, 128), ReLU(), Linear(128, 10)], (784,))
    network.forward(np.ones((64, 784)), training=True)
    network.arena.grads[:] = network.arena.values
    watch = Layerwise(network, 1)
    watch.begin(1)  # what is taken once
    network.arena.values *= 0.5
    watch.end()
    network.arena.values *= 2
    tracemalloc.start()
    try:
        before = tracemalloc.get_traced_memory()[0]
        watch.begin(2)
        network.arena.values *= 0.5
        found = watch.end()
        peak = tracemalloc.get_traced_memory()[1] - before
    finally:
        tracemalloc.stop()
    assert found["layer.0.update_ratio"] == pytest.approx(0.5)
    assert peak < network.arena.values.nbytes / 20


def test_steps_that_are_not_due_cost_nothing() -> None:
    watch = Layerwise(Network([Linear(784, 128)], (784,)), 100)
    watch.stretches = watch.gated = None  # type: ignore[assignment]
    assert not any(watch.begin(step) for step in range(1, 100))
