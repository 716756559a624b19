"""What a network refuses, in words: no layer, a wrong batch, an unknown parameter."""

from __future__ import annotations

import numpy as np
import pytest

from dlcli import Linear, Network, ReLU, Sequential
from dlcli.core.errors import ConfigError, ShapeError


class Plain:
    def forward(self, x):
        return x

    def backward(self, dy):
        return dy


@pytest.mark.parametrize("wrong", [Plain(), ReLU, "ReLU"])
def test_only_layers_make_a_network(wrong):
    with pytest.raises(ConfigError, match=r"layer 1: got .*, expected an object of a class derived from Layer"):
        Network([Linear(2, 3), wrong], (2,))


@pytest.mark.parametrize("wrong", [None, ReLU(), Sequential([ReLU()]), (layer for layer in [ReLU()])])
def test_layers_come_as_a_list(wrong):
    with pytest.raises(ConfigError, match=r"^Network: got layers = .*, expected a list of layers$"):
        Network(wrong, (2,))


@pytest.mark.parametrize("shape", [(2,), (4, 3), (4, 2, 1)])
def test_the_batch_has_the_declared_shape(shape):
    with pytest.raises(ShapeError, match=r"expected a batch \(N, 2\)"):
        Network([Linear(2, 3)], (2,)).forward(np.ones(shape, np.float32))


def test_layers_that_went_into_another_network_are_missed():
    layers = [Linear(2, 3), ReLU()]
    first, second = Network(layers, (2,), seed=1), Network(layers, (2,), seed=2)
    with pytest.raises(ConfigError, match=r"^network: another network was made of its layers since; make new"):
        first.forward(np.ones((4, 2), np.float32))
    assert second.forward(np.ones((4, 2), np.float32)).shape == (4, 3)


def test_unknown_parameter_names_those_that_exist():
    network = Network([Linear(2, 3)], (2,))
    with pytest.raises(KeyError, match=r"no array named '0.wieght'; there are 0.weight, 0.bias"):
        network.params["0.wieght"]
    with pytest.raises(KeyError, match="at its first forward"):
        Linear(2, 3).params["weight"]
