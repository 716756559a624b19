"""Figures of single layers: the numbers themselves, when they are taken, and that training does not feel it."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import numpy as np
import pytest
from small_training import constrained, dropping, trainer

from dlcli.training.layerwise import Layerwise, dead, norm
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
            slope, change, size = (
                np.sqrt(sum((of[f"{i}.{part}"] ** 2).sum() for part in ("weight", "bias")))
                for of in (t.network.grads, moved, before)
            )
            assert fact.layers[f"layer.{i}.grad_norm"] == pytest.approx(slope, rel=1e-12)
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


def test_norm_does_not_overflow() -> None:
    assert norm([np.array([3e30], np.float32), np.array([4e30], np.float32)]) == pytest.approx(5e30)
