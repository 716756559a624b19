"""On its kinks a component is not blamed, and an error of 0.1 % in it is found there all the same."""

from __future__ import annotations

import math
from typing import Any

import numpy as np
import pytest
from registered import build, names, of

from dlcli.core.arena import Array
from dlcli.core.registry import Registry
from dlcli.nn.gradcheck import Report, check_network
from dlcli.nn.layer import Layer
from dlcli.nn.layers.conv2d import Conv2d
from dlcli.nn.layers.flatten import Flatten
from dlcli.nn.layers.identity import Identity
from dlcli.nn.layers.linear import Linear
from dlcli.nn.layers.max_pool2d import MaxPool2d
from dlcli.nn.layers.relu import ReLU
from dlcli.nn.loss import Loss
from dlcli.nn.losses.cross_entropy import CrossEntropyLoss
from dlcli.nn.losses.mse import MSELoss
from dlcli.nn.network import Network

CORNERS = (-3.0, -1.0, 0.0, 1.0, 3.0, 6.0)
"""Inputs on the corners of all built-in layers; so few numbers that pools and maxout tie as well."""


def planted(component: Any, factor: float = 1.001) -> Any:
    """The layer or loss with that factor on the gradient that its `backward` returns."""
    cls: Any = type(component)

    def backward(self: Any, *dy: Array) -> Array:
        return cls.backward(self, *dy) * factor

    component.__class__ = type(cls.__name__, (cls,), {})
    component.__class__.backward = backward
    return component


def kinked(plural: str) -> list[str]:
    """The built-in components that tell of a kink."""
    base: Any = {"layers": Layer, "losses": Loss}[plural]
    return [name for name in names(plural) if Registry.all[plural].get(name).branch is not base.branch]


def kinks(report: Report, part: str) -> int:
    return sum(row.kinks for row in report.rows if row.layer.endswith(part))


def blamed(report: Report) -> list[tuple[str, str]]:
    return [(row.layer, row.method) for row in report.rows if not row.passed]


@pytest.mark.parametrize("complex_step", [True, False])
@pytest.mark.parametrize("name", kinked("layers"))
def test_a_layer_on_its_kinks(name: str, complex_step: bool) -> None:
    shown = Registry.all["layers"].get(name).examples[0]
    x = np.random.default_rng(0).permutation(np.resize(CORNERS, 4 * math.prod(shown.shape))).reshape(4, *shown.shape)

    def report(factor: float) -> Report:
        layer = planted(of("layers", name, shown), factor)
        vars(layer)["complex_step"] = complex_step
        network = Network([layer], shown.shape, dtype=np.float64)
        return check_network(network, MSELoss(), x, np.full((4, *network.out_shape), 0.3), seed=0)

    sound, wrong = report(1.0), report(1.001)
    assert blamed(sound) == []
    assert kinks(sound, f"0 {name}") > 0
    methods = ["complex", "directional"] if complex_step else ["directional"]
    assert blamed(wrong)[: len(methods)] == [(f"0 {name}", method) for method in methods]


LOSSES: dict[str, tuple[dict[str, Any], Any]] = {
    "HuberLoss": ({"delta": 0.5}, np.array([0.5, -0.5, 0.1])),
    "L1Loss": ({}, np.array([0.0, 1.0, -1.0])),
    "SmoothL1Loss": ({"beta": 2.0}, np.array([2.0, -2.0, 0.5])),
    "MultiMarginLoss": ({}, None),
}
"""Options, and how far the outputs of every sample are from its targets; None where the targets are classes."""


def test_every_loss_with_kinks_stands_in_the_table() -> None:
    assert sorted(LOSSES) == kinked("losses")


@pytest.mark.parametrize("complex_step", [True, False])
@pytest.mark.parametrize("name", LOSSES)
def test_a_loss_on_its_corners(name: str, complex_step: bool) -> None:
    options, off = LOSSES[name]
    rng = np.random.default_rng(0)
    x = rng.integers(-2, 3, size=(4, 3)).astype(np.float64)  # so that differences of outputs are exact
    y = rng.integers(3, size=4) if off is None else x - off

    def report(factor: float) -> Report:
        loss = planted(build("losses", name, options), factor)
        vars(loss)["complex_step"] = complex_step
        return check_network(Network([Identity()], (3,), dtype=np.float64), loss, x, y, seed=0)

    sound, wrong = report(1.0), report(1.001)
    assert blamed(sound) == []
    assert kinks(sound, name) > 0
    methods = ["complex", "directional"] if complex_step else ["directional"]
    assert blamed(wrong)[: len(methods)] == [(name, method) for method in methods]


def deep(wrong: type[Layer] | None) -> Network:
    """A small network whose first layers sit on kinks where x is 0 and the bias of the convolution as well."""
    layers: list[Layer] = [Conv2d(None, 3, 3, padding=1, bias=False), ReLU(), MaxPool2d(2), Flatten(), Linear(None, 5)]
    network = [planted(layer) if type(layer) is wrong else layer for layer in layers]
    return Network(network, (1, 8, 8), dtype=np.float64)


@pytest.mark.parametrize("wrong", [None, ReLU, MaxPool2d])
def test_images_with_an_empty_background(wrong: type[Layer] | None) -> None:
    x = np.zeros((4, 1, 8, 8))
    x[:, :, 2:6, 2:6] = np.random.default_rng(0).normal(size=(4, 1, 4, 4))
    report = check_network(deep(wrong), CrossEntropyLoss(), x, np.arange(4), seed=0)
    assert kinks(report, "1 ReLU") > 0
    assert kinks(report, "2 MaxPool2d") > 0
    assert blamed(report)[:1] == (
        [] if wrong is None else [(f"{1 + (wrong is MaxPool2d)} {wrong.__name__}", "complex")]
    )
