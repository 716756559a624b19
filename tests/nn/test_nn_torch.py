"""Layers, initializers and checkpoints' layout against PyTorch, on random shapes and options."""

from __future__ import annotations

import math
from types import ModuleType
from typing import Any, Literal, get_args, get_origin

import numpy as np
import pytest
from annotated_types import Ge
from hypothesis import HealthCheck, assume, given, settings
from hypothesis import strategies as st
from registered import build, names, rows

from dlcli.core.annotations import members, split
from dlcli.core.component import constructor
from dlcli.core.errors import ConfigError
from dlcli.core.options import options
from dlcli.core.registry import Registry
from dlcli.core.rng import stream
from dlcli.nn.initializers import fans
from dlcli.nn.layers.flatten import Flatten
from dlcli.nn.layers.linear import Linear
from dlcli.nn.layers.relu import ReLU
from dlcli.nn.network import Network

pytestmark = pytest.mark.torch
few = settings(
    max_examples=15,
    deadline=None,
    derandomize=True,
    database=None,
    suppress_health_check=[HealthCheck.filter_too_much],  # many kernels are too large for small images
)

PLAIN = {"Softmax": {"dim": 1}, "LogSoftmax": {"dim": 1}}
"""Options that PyTorch's class needs beside ours."""

OURS = {"init", "algorithm"}
"""Options that PyTorch's classes lack: what comes of them is handed over, or the same."""

LOOSE = {"CELU": 1e-6, "Hardsigmoid": 1e-6}
"""Where PyTorch itself computes with a constant in float32 (1 / alpha, 1 / 6), whatever the tensor's type."""


def values(kind: Any) -> Any:
    """A strategy for other values of an option of that type, where the type tells them; None elsewhere."""
    found = []
    for member in members(kind):
        inner, limits = split(member)
        if inner is bool:
            found.append(st.booleans())
        elif inner is int:
            found.append(st.integers(0 if Ge(0) in limits else 1, 4))
        elif inner is float:
            found.append(st.floats(0.05, 0.95))
        elif get_origin(inner) is tuple and ... not in get_args(inner):
            found.append(st.tuples(*map(values, get_args(inner))))
        elif get_origin(inner) is Literal:
            found.append(st.sampled_from(get_args(inner)))
        elif inner is type(None):
            found.append(st.none())
    return st.one_of(found) if found else None


@st.composite
def varied(draw: Any, plural: str, name: str) -> tuple[tuple[int, ...], dict[str, Any]]:
    """An example's shape and options, or other sizes and other values."""
    cls = Registry.all[plural].get(name)
    shown = draw(st.sampled_from(cls.examples))
    shape = tuple(draw(st.integers(2, 6)) for _ in shown.shape) if draw(st.booleans()) else shown.shape
    chosen = dict(shown.options)
    for option in options(cls, Registry.all[plural].base):
        fixed = option.common or option.name in constructor(cls).inferred
        strategy = None if fixed else values(option.type)
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
    taken = {name: getattr(layer, name) for name in constructor(type(layer)).inferred}
    given = {key: tuple(v) if isinstance(v, list) else v for key, v in chosen.items() if key not in OURS}
    return getattr(torch.nn, name)(**PLAIN.get(name, {}), **(taken | given)).double()


def close(got: Any, wanted: Any, rtol: float = 1e-10) -> None:
    np.testing.assert_allclose(got, wanted.detach().numpy(), rtol=rtol, atol=1e-12)


@pytest.mark.filterwarnings("ignore:Using padding='same'")  # which tells that PyTorch makes a copy
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
        module = twin(torch, {name: chosen}, shape, network.layers[0])
        module.load_state_dict(
            {k.removeprefix("0."): torch.tensor(v) for k, v in (network.params | network.state).items()}
        )
        rng, rtol = np.random.default_rng(seed), LOOSE.get(name, 1e-10)
        stochastic = network.layers[0].stochastic
        for training in (False,) if stochastic else (True, True, True, False):
            x = rng.normal(size=(n, *shape))
            x_torch = torch.tensor(x, requires_grad=True)
            try:
                y = network.forward(x, training)
            except ConfigError:  # one value for each channel has no variance
                with pytest.raises(ValueError, match="Expected more than 1 value per channel"):
                    module.train(training)(x_torch)
                return
            y_torch = module.train(training)(x_torch)
            close(y, y_torch, rtol)
            dy = rng.normal(size=y.shape)
            y_torch.backward(torch.tensor(dy))
            close(network.backward(dy), x_torch.grad, rtol)
            for key, parameter in module.named_parameters():
                close(network.grads[f"0.{key}"], parameter.grad, rtol)
            module.zero_grad()
            theirs = dict(module.named_buffers())
            for key, array in network.state.items():
                close(array, theirs[key.removeprefix("0.")])

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
    if isinstance(example.options.get("value"), list):
        pytest.skip("torch.nn.init.constant_ takes one number")
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


def test_global_pools(torch: ModuleType) -> None:
    x = np.random.default_rng(0).normal(size=(3, 4, 5, 2))
    for name, theirs in (
        ("GlobalAvgPool2d", torch.nn.AdaptiveAvgPool2d(1)),
        ("GlobalMaxPool2d", torch.nn.AdaptiveMaxPool2d(1)),
    ):
        layer, x_torch = build("layers", name, {}), torch.tensor(x, requires_grad=True)
        y_torch = theirs(x_torch).flatten(1)
        close(layer.forward(x), y_torch)
        dy = np.random.default_rng(1).normal(size=(3, 4))
        y_torch.backward(torch.tensor(dy))
        close(layer.backward(dy), x_torch.grad)


@pytest.mark.parametrize(
    "options", [{"kernel_size": 2}, {"kernel_size": 3, "stride": 1}, {"kernel_size": 3, "stride": 2, "padding": 1}]
)
def test_of_equal_numbers_the_same_one_wins_as_in_pytorch(torch: ModuleType, options: dict[str, Any]) -> None:
    x = np.random.default_rng(0).integers(0, 3, size=(5, 2, 6, 6)).astype(np.float64)
    layer, x_torch = build("layers", "MaxPool2d", options), torch.tensor(x, requires_grad=True)
    y_torch = torch.nn.MaxPool2d(**options)(x_torch)
    close(layer.forward(x), y_torch)
    dy = np.random.default_rng(1).normal(size=y_torch.shape)
    y_torch.backward(torch.tensor(dy))
    close(layer.backward(dy), x_torch.grad)


def test_running_statistics_load_into_the_same_pytorch_stack(torch: ModuleType) -> None:
    network = Network([build("layers", "BatchNorm2d", {}), Flatten(), Linear(None, 3)], (2, 4, 4), seed=3)
    rng = np.random.default_rng(0)
    for _ in range(5):
        network.forward(rng.normal(1.0, 2.0, size=(16, 2, 4, 4)).astype(np.float32), training=True)
    nn = torch.nn
    module = nn.Sequential(nn.BatchNorm2d(2), nn.Flatten(), nn.Linear(32, 3)).eval()
    module.load_state_dict({name: torch.tensor(value) for name, value in (network.params | network.state).items()})
    x = rng.normal(size=(8, 2, 4, 4)).astype(np.float32)
    np.testing.assert_allclose(network.forward(x), module(torch.tensor(x)).detach().numpy(), rtol=1e-5, atol=1e-5)
