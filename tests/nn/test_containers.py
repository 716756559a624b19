"""Containers: the names, the shapes, the costs and the refusals of nested layers."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from dlcli.core.errors import ConfigError, ShapeError
from dlcli.nn.constraints import NonNeg
from dlcli.nn.layer import Layer
from dlcli.nn.layers.concat import Concat
from dlcli.nn.layers.conv2d import Conv2d
from dlcli.nn.layers.linear import Linear
from dlcli.nn.layers.relu import ReLU
from dlcli.nn.layers.repeat import Repeat
from dlcli.nn.layers.residual import Residual
from dlcli.nn.layers.sequential import Sequential
from dlcli.nn.layers.tanh import Tanh
from dlcli.nn.network import Network, walk


def every() -> Network:
    """A network with each container, and one inside another."""
    return Network(
        [
            Linear(None, 4),
            Residual([Linear(None, 3), Tanh()], [Linear(None, 3, bias=False)]),
            Sequential([Linear(None, 5), ReLU()]),
            Concat([[Linear(None, 2)], [], [Residual([Linear(None, 5)]), Tanh()]]),
            Repeat(2, [Linear(None, 6), Repeat(2, [Linear(None, 4)])]),
        ],
        (3,),
        dtype=np.float64,
        seed=2,
    )


def test_names_in_checkpoints() -> None:
    weights = [name.removesuffix(".weight") for name in every().params if name.endswith("weight")]
    assert weights == [
        *("0", "1.body.0", "1.shortcut.0", "2.0", "3.0.0", "3.2.0.body.0"),
        *("4.0.0", "4.0.1.0.0", "4.0.1.1.0", "4.1.0", "4.1.1.0.0", "4.1.1.1.0"),
    ]
    assert [layer.out_shape for layer in every().layers] == [(4,), (3,), (5,), (12,), (4,)]


def test_a_container_on_raw_images() -> None:
    """x comes in row-major order, buffers have the channels innermost: the shapes are what counts."""
    x = np.random.default_rng(0).normal(size=(4, 2, 3, 5))
    network = Network([Concat([[], [Tanh()]]), Residual([Tanh()])], (2, 3, 5), dtype=np.float64)
    joined = np.concatenate([x, np.tanh(x)], axis=1)
    np.testing.assert_allclose(network.forward(x), joined + np.tanh(joined), rtol=1e-14)


def test_containers_outside_a_network() -> None:
    x = np.random.default_rng(0).normal(size=(4, 3))
    layer = Residual([Linear(3, 3)])
    y = layer.forward(x)
    inner = layer.body[0]
    np.testing.assert_allclose(y, x @ inner.params["weight"].T + inner.params["bias"] + x, rtol=1e-14)
    np.testing.assert_allclose(layer.backward(np.ones((4, 3))), np.ones((4, 3)) @ inner.params["weight"] + 1)
    assert Concat([[], [Tanh()]]).forward(x).shape == (4, 6)


@pytest.mark.parametrize(
    "first",
    [
        lambda: Residual([Linear(None, 4), Tanh()], [Linear(None, 4)]),
        lambda: Residual([Linear(None, 3)]),
        lambda: Residual([Tanh()], [Linear(None, 3), ReLU(), Linear(None, 3)]),
        lambda: Concat([[], [Tanh()], [Linear(None, 2), Linear(None, 2)]]),
        lambda: Repeat(2, [Residual([Linear(None, 3)])]),
    ],
)
def test_a_first_container_skips_the_input_gradient(first: Any) -> None:
    network = Network([first(), Linear(None, 2)], (3,), dtype=np.float64, seed=1)
    full = network.cast(np.float64, needs_input_grad=True)
    x, dy = np.random.default_rng(0).normal(size=(5, 3)), np.ones((5, 2))
    for net in (network, full):
        net.forward(x, training=True)
        net.arena.grads[:] = np.nan
    assert network.backward(dy.copy()) is None
    assert full.backward(dy.copy()) is not None
    np.testing.assert_array_equal(network.arena.grads, full.arena.grads)


def test_what_needs_an_input_gradient() -> None:
    network = Network([Residual([Tanh(), Linear(None, 3), Tanh()], [Linear(None, 3)]), Concat([[Tanh()]])], (3,))
    needed = [name for name, layer in walk(network.root) if layer.needs_input_grad]
    assert needed == ["0.body.2", "1", "1.0", "1.0.0"]


def test_copies_are_independent() -> None:
    layer = Linear(None, 3)
    network = Network([Repeat(3, [layer])], (5,))
    assert [p.shape for n, p in network.params.items() if n.endswith("weight")] == [(3, 5), (3, 3), (3, 3)]
    assert not np.array_equal(network.params["0.1.0.weight"], network.params["0.2.0.weight"])
    assert layer.in_features is None
    assert not layer.params


def test_options_of_a_container_act_on_all_inside() -> None:
    body = [Linear(None, 3, lr_mult=3.0), Linear(None, 3, trainable=False)]
    network = Network(
        [Residual(body, lr_mult=2.0, weight_decay_mult=0.5), Repeat(2, [Linear(None, 3)], trainable=False)], (3,)
    )
    found = {p.name: (p.trainable, p.lr_mult, p.decay) for p in network.arena.parameters if p.trainable}
    assert found == {"0.body.0.weight": (True, 6.0, 0.5), "0.body.0.bias": (True, 6.0, 0.0)}
    assert not network.layers[1].learns()


def test_what_a_container_freezes_is_not_projected() -> None:
    network = Network([Residual([Linear(None, 3, constraint=NonNeg())], trainable=on) for on in (False, True)], (3,))
    network.constrain()
    assert (network.params["0.body.0.weight"] < 0).any()
    assert (network.params["1.body.0.weight"] >= 0).all()


def test_costs() -> None:
    network = every()
    first = network.layers[1]
    assert first.flops() == 2 * 4 * 3 + 3 + 2 * 4 * 3 + 3
    assert network.root.flops() == sum(layer.flops() for layer in network.layers)
    owned = {name: layer.activations() for name, layer in walk(network.root) if layer.children()}
    assert {name: count for name, count in owned.items() if count} == {"1": 3, "3": 12, "3.2.0": 5}


@pytest.mark.parametrize(
    ("stack", "shape", "message"),
    [
        (
            [Residual([Linear(None, 3)])],
            (4,),
            "layer 0 (Residual): body gives (3,), the identity shortcut gives (4,); let the body keep the shape of x, "
            "or put layers in the shortcut",
        ),
        (
            [Tanh(), Residual([Conv2d(None, 2, 3)], [Conv2d(None, 2, 1)])],
            (1, 8, 8),
            "layer 1 (Residual): body gives (2, 6, 6), shortcut gives (2, 8, 8); let both end in the same shape",
        ),
        (
            [Concat([[Conv2d(None, 2, 3)], [Conv2d(None, 3, 1)]])],
            (1, 8, 8),
            "layer 0 (Concat): branch 0 gives (2, 6, 6), branch 1 gives (3, 8, 8); only the first axis, which they are "
            "joined along, may differ",
        ),
        ([Concat([[], []])], (), "layer 0 (Concat): branch 0 gives (), expected features or channels to join"),
        (
            [Residual([Tanh(), Linear(7, 4)])],
            (4,),
            "layer 0.body.1 (Linear): got 4 features, expected in_features = 7; leave in_features out to infer it",
        ),
        (
            [Concat([[], [Residual([Tanh()], [Linear(7, 4)])]])],
            (4,),
            "layer 0.1.0.shortcut.0 (Linear): got 4 features, expected in_features = 7; leave in_features out to "
            "infer it",
        ),
        (
            [Repeat(3, [Tanh(), Linear(4, 5)])],
            (4,),
            "layer 0.1.1 (Linear): got 5 features, expected in_features = 4; leave in_features out to infer it",
        ),
    ],
)
def test_wrong_shapes_name_the_layer_and_both_shapes(stack: list[Layer], shape: tuple[int, ...], message: str) -> None:
    with pytest.raises(ShapeError) as caught:
        Network(stack, shape)
    assert str(caught.value) == message


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (lambda: Repeat(0, [Tanh()]), "Repeat: got times = 0, expected an integer >= 1"),
        (lambda: Repeat(501, [Tanh(), Tanh()]), "got 501 times 2 layers, expected at most 1,000 in all"),
        (lambda: Repeat(50, [Repeat(10, [Residual([Tanh()])])]), "got 50 times 21 layers, expected at most"),
        (lambda: Residual([]), "Residual: got body = [], expected a list, each a layer"),
        (lambda: Concat([]), "Concat: got branches = [], expected a list, each a list, each a layer"),
    ],
)
def test_refused(make: Any, message: str) -> None:
    with pytest.raises(ConfigError) as caught:
        make()
    assert str(caught.value).startswith(message)


def test_depth_is_bounded() -> None:
    def nested(depth: int) -> Network:
        layer: Layer = Tanh()
        for _ in range(depth):
            layer = Residual([layer])
        return Network([layer], (2,))

    assert nested(24).cast(np.float64).replica().forward(np.ones((1, 2))).shape == (1, 2)
    for depth in (25, 500):
        with pytest.raises(ConfigError, match=r"^layer '0\.body\.0.*': more than 50 levels inside each other"):
            nested(depth)
