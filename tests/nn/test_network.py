"""A network: names, memory, seeds, casts and replicas of a stack."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from dlcli.core.errors import ConfigError, ShapeError
from dlcli.nn.initializers import Constant, Zeros
from dlcli.nn.layer import Layer
from dlcli.nn.layers.dropout import Dropout
from dlcli.nn.layers.flatten import Flatten
from dlcli.nn.layers.linear import Linear
from dlcli.nn.layers.relu import ReLU
from dlcli.nn.layers.sequential import Sequential
from dlcli.nn.layers.tanh import Tanh
from dlcli.nn.network import Network, walk


def mlp(**options: Any) -> Network:
    return Network([Flatten(), Linear(None, 5), Tanh(), Linear(None, 3)], (2, 3), **options)


def nested(**options: Any) -> Network:
    body = Sequential(layers=[Linear(None, 4), ReLU(), Sequential(layers=[Linear(None, 4)])])
    return Network([Linear(None, 4), body, Dropout(p=0.3), Linear(None, 2)], (3,), **options)


def inputs(shape: tuple[int, ...], n: int = 4) -> Any:
    return np.random.default_rng(0).normal(size=(n, *shape))


def test_parameters_are_named_by_place_and_shaped_as_in_pytorch() -> None:
    network = mlp()
    shapes = {name: p.shape for name, p in network.params.items()}
    assert shapes == {"1.weight": (5, 6), "1.bias": (5,), "3.weight": (3, 5), "3.bias": (3,)}
    assert list(network.params) == list(network.grads) == ["1.weight", "1.bias", "3.weight", "3.bias"]
    assert network.dtype == np.float32
    assert network.out_shape == (3,)


def test_nested_stacks_extend_the_names() -> None:
    network = nested()
    weights = [name for name in network.params if name.endswith("weight")]
    assert weights == ["0.weight", "1.0.weight", "1.2.0.weight", "3.weight"]
    assert [name for name, _ in walk(network.root)] == ["0", "1", "1.0", "1.1", "1.2", "1.2.0", "2", "3"]


def test_a_label_changes_no_name() -> None:
    assert list(Network([Linear(None, 2, name="head")], (3,)).params) == ["0.weight", "0.bias"]


def test_all_parameters_live_in_one_vector() -> None:
    network = nested()
    for name, values in network.params.items():
        assert np.shares_memory(values, network.arena.values), name
        assert np.shares_memory(network.grads[name], network.arena.grads), name
    assert network.arena.values.size == sum(p.size for p in network.params.values())
    assert network.layers[0].params["weight"] is not None
    assert np.shares_memory(network.layers[0].params["weight"], network.params["0.weight"])


def test_one_object_at_two_places_is_refused() -> None:
    layer = Linear(3, 3)
    with pytest.raises(ConfigError, match=r"layer 1\.0 is the same object as layer 0; make one for each place"):
        Network([layer, Sequential(layers=[layer])], (3,))


@pytest.mark.parametrize(
    ("stack", "message"),
    [
        ([Linear(None, 4), Linear(5, 2)], "layer 1 (Linear): got 4 features, expected in_features = 5; "),
        (
            [Flatten(), Sequential(layers=[ReLU(), Sequential(layers=[Tanh(), Linear(7, 1)])])],
            "layer 1.1.1 (Linear): got 6 features, expected in_features = 7; ",
        ),
    ],
)
def test_a_wrong_shape_names_the_layer(stack: list[Layer], message: str) -> None:
    with pytest.raises(ShapeError) as caught:
        Network(stack, (6,))
    assert str(caught.value).startswith(message)


def test_the_first_learning_layer_skips_its_input_gradient() -> None:
    network = nested()
    needed = {name: layer.needs_input_grad for name, layer in walk(network.root)}
    assert not needed["0"]
    assert all(needed[name] for name in ("1", "1.0", "1.1", "1.2", "1.2.0", "2", "3"))
    network.forward(inputs((3,)).astype(np.float32), training=True)
    assert network.backward(np.ones((4, 2), np.float32)) is None


def test_below_the_first_trained_layer_nothing_is_differentiated() -> None:
    network = Network([Linear(None, 4, trainable=False), Tanh(), Linear(None, 2), Linear(None, 2)], (3,))
    assert [layer.needs_input_grad for layer in network.layers] == [False, False, False, True]
    network.arena.grads[:] = 7
    network.forward(inputs((3,)).astype(np.float32), training=True)
    network.backward(np.ones((4, 2), np.float32))
    assert (network.grads["2.weight"] != 7).all()
    assert (network.grads["0.weight"] == 7).all()


def test_first_values_are_a_function_of_seed_and_place() -> None:
    np.testing.assert_array_equal(mlp(seed=3).arena.values, mlp(seed=3).arena.values)
    assert not np.array_equal(mlp(seed=3).arena.values, mlp(seed=4).arena.values)
    deeper = Network([Flatten(), Linear(None, 5), Tanh(), Linear(None, 3), Linear(None, 9)], (2, 3), seed=3)
    np.testing.assert_array_equal(deeper.params["1.weight"], mlp(seed=3).params["1.weight"])
    twins = Network([Linear(None, 3), Linear(None, 3)], (3,), seed=0).params
    assert not np.array_equal(twins["0.weight"], twins["1.weight"])


def test_float32_and_float64_start_alike() -> None:
    wide, narrow = nested(dtype=np.float64, seed=5), nested(dtype=np.float32, seed=5)
    np.testing.assert_array_equal(wide.arena.values.astype(np.float32), narrow.arena.values)


def test_init_option_sets_the_first_values() -> None:
    network = Network([Linear(None, 2, init=Constant(0.5)), Linear(None, 2, init={"bias": Zeros()})], (3,))
    assert (network.params["0.weight"] == 0.5).all()
    assert (network.params["1.bias"] == 0).all()
    assert network.params["0.bias"].any()
    assert network.params["1.weight"].any()


def test_multipliers_and_trainable_reach_the_arena() -> None:
    network = Network(
        [
            Linear(None, 4, lr_mult=2.0),
            Linear(None, 3, weight_decay_mult=0.5),
            Linear(None, 2, trainable=False),
        ],
        (3,),
    )
    arena = network.arena
    assert arena.trainable == 3 * 4 + 4 + 4 * 3 + 3
    found = {}
    for segment in arena.segments:
        for name, (where, _) in arena.slices.items():
            if segment.start <= where.start < segment.stop:
                found[name] = (segment.lr_mult, segment.decay)
    assert found == {"0.weight": (2.0, 1.0), "0.bias": (2.0, 0.0), "1.weight": (1.0, 0.5), "1.bias": (1.0, 0.5)}


def test_cast_has_the_same_values_and_memory_of_its_own() -> None:
    network, x = nested(seed=1), inputs((3,))
    twin = network.cast(np.float64, needs_input_grad=True)
    np.testing.assert_allclose(twin.forward(x), network.forward(x.astype(np.float32)), rtol=1e-5)
    twin.backward(np.ones((4, 2)))
    twin.arena.values[:] = 0
    assert network.arena.values.any()
    assert not network.arena.grads.any()
    assert not np.shares_memory(twin.layers[0].params["weight"], network.layers[0].params["weight"])
    assert network.dtype == np.float32


def test_cast_takes_no_complex_turn_in_real_numbers() -> None:
    network, x = mlp(dtype=np.float64), inputs((2, 3))
    np.testing.assert_allclose(network.cast(np.complex128).forward(x.astype(complex)), network.forward(x), rtol=1e-14)


def test_replica_shares_parameters_but_no_buffers() -> None:
    network, x = nested(dtype=np.float64, seed=1), inputs((3,))
    twin = network.replica()
    first, second = network.forward(x), twin.forward(x)
    np.testing.assert_array_equal(first, second)
    assert not np.shares_memory(first, second)
    network.params["0.weight"] = np.zeros((4, 3))
    assert not twin.params["0.weight"].any()
    assert not twin.layers[0].params["weight"].any()


def test_a_network_takes_the_outputs_of_its_own_layers_in_place() -> None:
    """The passes give what the layers give one by one, though every buffer is reused."""
    network, x = nested(dtype=np.float64, seed=1), inputs((3,))
    for _ in range(2):
        y = network.forward(x)
    p = network.params
    hidden = x @ p["0.weight"].T + p["0.bias"]
    hidden = np.maximum(hidden @ p["1.0.weight"].T + p["1.0.bias"], 0)
    hidden = hidden @ p["1.2.0.weight"].T + p["1.2.0.bias"]
    np.testing.assert_allclose(y, hidden @ p["3.weight"].T + p["3.bias"], rtol=1e-12)
