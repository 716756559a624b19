"""Layers, initializers and checkpoints' layout against PyTorch, on random shapes and options."""

from __future__ import annotations

import math
from types import ModuleType
from typing import Any, Literal, get_args, get_origin

import numpy as np
import pytest
from hypothesis import assume, given, settings
from hypothesis import strategies as st
from registered import build, names, rows

from dlcli.core.errors import ConfigError
from dlcli.core.options import Option, options
from dlcli.core.registry import Registry
from dlcli.core.rng import stream
from dlcli.nn.initializers import fans
from dlcli.nn.layers.flatten import Flatten
from dlcli.nn.layers.linear import Linear
from dlcli.nn.layers.relu import ReLU
from dlcli.nn.network import Network

pytestmark = pytest.mark.torch
few = settings(max_examples=15, deadline=None, derandomize=True, database=None)

PLAIN = {"Softmax": {"dim": 1}, "LogSoftmax": {"dim": 1}}
"""Options that PyTorch's class needs beside ours."""

LOOSE = {"CELU": 1e-6, "Hardsigmoid": 1e-6}
"""Where PyTorch itself computes with a constant in float32 (1 / alpha, 1 / 6), whatever the tensor's type."""


def values(option: Option) -> Any:
    """A strategy for other values of an option, where its type tells them; None elsewhere."""
    kind = get_args(option.type)[0] if hasattr(option.type, "__metadata__") else option.type
    if kind is bool:
        return st.booleans()
    if kind is int and not option.common:
        return st.integers(1, 6)
    if kind is float and not option.common:
        return st.floats(0.05, 0.95)
    return st.sampled_from(get_args(kind)) if get_origin(kind) is Literal else None


@st.composite
def varied(draw: Any, plural: str, name: str) -> tuple[tuple[int, ...], dict[str, Any]]:
    """An example's shape and options, with other sizes and other values."""
    cls = Registry.all[plural].get(name)
    shown = draw(st.sampled_from(cls.examples))
    shape = tuple(draw(st.integers(2, 6)) for _ in shown.shape)
    chosen = dict(shown.options)
    for option in options(cls, Registry.all[plural].base):
        strategy = None if option.name == "trainable" else values(option)
        if strategy is not None and draw(st.booleans()):
            chosen[option.name] = draw(strategy)
    return shape, chosen


def twin(torch: ModuleType, spec: Any, in_shape: tuple[int, ...], layer: Any) -> Any:
    """PyTorch's module of the same name and options."""
    name, chosen = (spec, {}) if isinstance(spec, str) else next(iter(spec.items()))
    if name == "Sequential":
        parts, shape = [], in_shape
        for inner_spec, inner in zip(chosen["layers"], layer.layers, strict=True):
            parts.append(twin(torch, inner_spec, shape, inner))
            shape = inner.out_shape
        return torch.nn.Sequential(*parts)
    inferred = {"in_features": in_shape[0]} if name == "Linear" else {}
    return getattr(torch.nn, name)(**inferred, **PLAIN.get(name, {}), **chosen).double()


def close(got: Any, wanted: Any, rtol: float = 1e-10) -> None:
    np.testing.assert_allclose(got, wanted.detach().numpy(), rtol=rtol, atol=1e-12)


@pytest.mark.parametrize("name", names("layers"))
def test_layers(torch: ModuleType, name: str) -> None:
    if not hasattr(torch.nn, name):
        pytest.skip(f"PyTorch has no {name}")

    @few
    @given(case=varied("layers", name), n=st.integers(1, 6), seed=st.integers(0, 99))
    def compare(case: Any, n: int, seed: int) -> None:
        shape, chosen = case
        try:
            base = Network([build("layers", name, chosen)], shape, dtype=np.float64, seed=seed)
        except ConfigError:  # these options or this shape do not go together
            assume(False)
        network = base.cast(np.float64, needs_input_grad=True)
        training = not network.layers[0].stochastic
        module = twin(torch, {name: chosen}, shape, network.layers[0]).train(training)
        module.load_state_dict({k.removeprefix("0."): torch.tensor(v) for k, v in network.params.items()})
        rng = np.random.default_rng(seed)
        x, rtol = rng.normal(size=(n, *shape)), LOOSE.get(name, 1e-10)
        x_torch = torch.tensor(x, requires_grad=True)
        y_torch = module(x_torch)
        y = network.forward(x, training)
        close(y, y_torch, rtol)
        dy = rng.normal(size=y.shape)
        y_torch.backward(torch.tensor(dy))
        close(network.backward(dy), x_torch.grad, rtol)
        for key, parameter in module.named_parameters():
            close(network.grads[f"0.{key}"], parameter.grad, rtol)

    compare()


def test_dropout_keeps_as_many_as_pytorch(torch: ModuleType) -> None:
    for p in (0.1, 0.5, 0.9):
        layer, x = build("layers", "Dropout", {"p": p}), np.ones((200, 500))
        y, y_torch = layer.forward(x, training=True), torch.nn.Dropout(p)(torch.ones(200, 500, dtype=torch.float64))
        assert np.mean(y == 0) == pytest.approx(float((y_torch == 0).double().mean()), abs=0.01)
        np.testing.assert_allclose(y.max(), float(y_torch.max()), rtol=1e-3)
        assert y.mean() == pytest.approx(1.0, abs=0.05)


INIT_TWINS = {
    "constant": lambda init, w, value: init.constant_(w, value),
    "torch_default": lambda init, w: init.kaiming_uniform_(w, a=math.sqrt(5)),
    "lecun_uniform": lambda init, w: init.uniform_(w, -math.sqrt(3 / w.shape[1]), math.sqrt(3 / w.shape[1])),
    "lecun_normal": lambda init, w: init.trunc_normal_(w).div_(0.87962566103423978 * math.sqrt(w.shape[1])),
}
"""What PyTorch spells otherwise, or has the parts of: (torch.nn.init, w, options) -> w."""


@pytest.mark.parametrize(("name", "example"), rows("initializers"))
def test_initializers(torch: ModuleType, name: str, example: Any) -> None:
    shape = (400, 300)
    ours = build("initializers", name, example.options).draw(shape, *fans(shape), stream(0, "init", 0))
    torch.manual_seed(0)
    empty = torch.empty(shape, dtype=torch.float64)
    if name in INIT_TWINS:
        theirs = INIT_TWINS[name](torch.nn.init, empty, **example.options)
    else:
        theirs = getattr(torch.nn.init, f"{name}_")(empty, **example.options)
    theirs = theirs.numpy()
    spread = max(float(np.ptp(theirs)), 1e-12)
    assert ours.mean() == pytest.approx(theirs.mean(), abs=0.005 * spread)
    assert ours.std() == pytest.approx(theirs.std(), rel=0.01)
    for share in (0.0, 0.01, 0.25, 0.5, 0.75, 0.99, 1.0):
        loose = 0.1 if share in (0.0, 1.0) else 0.01  # the extremes of a normal vary
        assert np.quantile(ours, share) == pytest.approx(np.quantile(theirs, share), abs=loose * spread)


def test_bias_of_a_linear_starts_as_in_pytorch(torch: ModuleType) -> None:
    bias = Network([Linear(None, 20_000)], (25,)).params["0.bias"]
    theirs = torch.nn.Linear(25, 20_000).bias.detach().numpy()
    assert np.abs(bias).max() == pytest.approx(np.abs(theirs).max(), rel=1e-3)
    assert bias.std() == pytest.approx(theirs.std(), rel=0.03)


def test_parameters_load_into_the_same_pytorch_stack(torch: ModuleType) -> None:
    network = Network([Flatten(), Linear(None, 128), ReLU(), Linear(None, 10)], (1, 28, 28), seed=3)
    nn = torch.nn
    module = nn.Sequential(nn.Flatten(), nn.Linear(784, 128), nn.ReLU(), nn.Linear(128, 10))
    module.load_state_dict({name: torch.tensor(value) for name, value in network.params.items()})
    x = np.random.default_rng(0).normal(size=(32, 1, 28, 28)).astype(np.float32)
    np.testing.assert_allclose(network.forward(x), module(torch.tensor(x)).detach().numpy(), rtol=1e-5, atol=1e-5)
