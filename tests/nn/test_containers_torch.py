"""Nested containers against the PyTorch module that somebody would write for them: outputs and all gradients."""

from __future__ import annotations

from types import ModuleType
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from registered import build
from test_containers import every

from dlcli.core.options import options
from dlcli.nn.layer import Layer
from dlcli.nn.layers.batch_norm import BatchNorm2d
from dlcli.nn.layers.concat import Concat
from dlcli.nn.layers.conv2d import Conv2d
from dlcli.nn.layers.flatten import Flatten
from dlcli.nn.layers.linear import Linear
from dlcli.nn.layers.relu import ReLU
from dlcli.nn.layers.repeat import Repeat
from dlcli.nn.layers.residual import Residual
from dlcli.nn.layers.sequential import Chain
from dlcli.nn.layers.tanh import Tanh
from dlcli.nn.network import Network

pytestmark = pytest.mark.torch
few = settings(max_examples=25, deadline=None, derandomize=True, database=None)


def natural(torch: ModuleType, layer: Layer) -> Any:
    """The PyTorch module that somebody would write for this layer."""
    nn: Any = torch.nn

    class TorchResidual(nn.Module):  # type: ignore[misc]
        def __init__(self, body: Any, shortcut: Any) -> None:
            super().__init__()
            self.body, self.shortcut = body, shortcut

        def forward(self, x: Any) -> Any:
            return self.body(x) + self.shortcut(x)

    class TorchConcat(nn.ModuleList):  # type: ignore[misc]
        def forward(self, x: Any) -> Any:
            return torch.cat([branch(x) for branch in self], 1)

    inside = [natural(torch, child) for child in layer.children().values()]
    if isinstance(layer, Residual):
        return TorchResidual(*inside)
    if isinstance(layer, Concat):
        return TorchConcat(inside)
    if isinstance(layer, Chain):
        return nn.Sequential(*inside)
    theirs = [o.name for o in options(type(layer), Layer) if not o.common and o.name != "algorithm"]
    return getattr(nn, type(layer).__name__)(**{name: getattr(layer, name) for name in theirs}).double()


def same_as_pytorch(torch: ModuleType, network: Network, n: int = 5) -> None:
    """Outputs and all gradients, dx among them, in evaluation of what is stochastic and training of the rest."""
    network = network.cast(np.float64, needs_input_grad=True)
    module = natural(torch, network.root).eval()
    module.load_state_dict({name: torch.tensor(value) for name, value in {**network.params, **network.state}.items()})
    rng = np.random.default_rng(0)
    x = rng.normal(size=(n, *network.in_shape))
    x_torch = torch.tensor(x, requires_grad=True)
    y_torch = module(x_torch)
    dy = rng.normal(size=(n, *network.out_shape))
    y_torch.backward(torch.tensor(dy))
    for _ in range(2):  # the second time in buffers that are used already
        y = network.forward(x)
        np.testing.assert_allclose(y, y_torch.detach().numpy(), rtol=1e-10, atol=1e-12)
        network.arena.grads[:] = np.nan
        dx = network.backward(dy.copy())
        np.testing.assert_allclose(dx, x_torch.grad.numpy(), rtol=1e-10, atol=1e-12)
        for name, parameter in module.named_parameters():
            np.testing.assert_allclose(network.grads[name], parameter.grad.numpy(), rtol=1e-10, atol=1e-12)


def test_every_container_against_pytorch(torch: ModuleType) -> None:
    same_as_pytorch(torch, every())


def linear(out: int) -> dict[str, Any]:
    return {"Linear": {"out_features": out}}


KEEPING = st.sampled_from(["Tanh", "Sigmoid", "ReLU", {"Dropout": {"p": 0.5}}])


def containers(inner: Any) -> Any:
    """Specs of containers around layers that `inner` draws, for vectors of any length."""
    some = st.lists(inner, min_size=1, max_size=3)
    ends = st.tuples(some, some, st.integers(1, 4))
    return st.one_of(
        st.builds(lambda layers: {"Sequential": {"layers": layers}}, st.lists(inner, max_size=3)),
        st.builds(lambda times, layers: {"Repeat": {"times": times, "layers": layers}}, st.integers(1, 3), some),
        st.builds(
            lambda branches: {"Concat": {"branches": branches}}, st.lists(st.just([]) | some, min_size=1, max_size=3)
        ),
        st.builds(lambda body: {"Residual": {"body": body}}, st.lists(KEEPING, min_size=1, max_size=3)),
        st.builds(lambda e: {"Residual": {"body": [*e[0], linear(e[2])], "shortcut": [*e[1], linear(e[2])]}}, ends),
    )


def test_random_nests_against_pytorch(torch: ModuleType) -> None:
    specs = st.recursive(KEEPING | st.builds(linear, st.integers(1, 5)), containers, max_leaves=8)

    @few
    @given(layers=st.lists(specs, min_size=1, max_size=4), features=st.integers(1, 4))
    def compare(layers: list[Any], features: int) -> None:
        same_as_pytorch(torch, Network(build("layers", "Sequential", {"layers": layers}).layers, (features,)))

    compare()


def test_images_against_pytorch(torch: ModuleType) -> None:
    conv = {"kernel_size": 3, "padding": 1}
    stack = [
        Conv2d(None, 4, **conv),
        Residual([Conv2d(None, 4, **conv), BatchNorm2d(), ReLU(), Conv2d(None, 4, **conv)]),
        Residual([Conv2d(None, 6, stride=2, **conv), Tanh()], [Conv2d(None, 6, 1, stride=2)]),
        Concat([[Conv2d(None, 2, **conv), ReLU()], [], [Conv2d(None, 3, 1)]]),
        Repeat(2, [Conv2d(None, 5, **conv), Tanh()]),
        Concat([[ReLU()], [Tanh()]]),
        Flatten(),
        Linear(None, 3),
    ]
    same_as_pytorch(torch, Network(stack, (2, 7, 6)))
