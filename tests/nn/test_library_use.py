"""dlcli as a library: copies, reprs, and what goes wrong at a prompt, in words."""

from __future__ import annotations

import copy
import pickle
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np
import pytest
from registered import of, rows

from dlcli import (
    SGD,
    Adam,
    Dropout,
    Layer,
    LeakyReLU,
    Linear,
    Network,
    ReLU,
    Sequential,
    TwoLayerMLP,
    layers,
    manual_seed,
)
from dlcli.core.arena import Views
from dlcli.core.errors import ConfigError, ShapeError

each_way = pytest.mark.parametrize(
    "copied", [copy.deepcopy, lambda thing: pickle.loads(pickle.dumps(thing))], ids=["deepcopy", "pickle"]
)
each_layer = pytest.mark.parametrize(("name", "example"), rows("layers"))


def batch(shape: tuple[int, ...], n: int = 4, seed: int = 0) -> Any:
    return np.random.default_rng(seed).normal(size=(n, *shape))


def network(**options: Any) -> Network:
    body = Sequential(layers=[Linear(None, 4), ReLU()])
    return Network([Linear(3, 4), body, Dropout(0.3), Linear(4, 2)], (3,), **options)


@each_way
@each_layer
def test_a_layer_is_copied_with_what_it_holds(copied: Callable[[Any], Any], name: str, example: Any) -> None:
    layer, x = of("layers", name, example), batch(example.shape)
    y = layer.forward(x)
    twin = copied(layer)
    np.testing.assert_array_equal(twin.backward(np.ones(y.shape)), layer.backward(np.ones(y.shape)))
    np.testing.assert_array_equal(twin.forward(x), y)
    for key, values in twin.params.items():
        assert not np.shares_memory(values, layer.params[key])
    assert repr(twin) == repr(layer)
    assert copied(of("layers", name, example)).forward(x).shape == y.shape


@each_way
def test_a_copied_network_has_views_into_a_vector_of_its_own(copied: Callable[[Any], Any]) -> None:
    first, x, dy = network(dtype=np.float64, seed=2), batch((3,)), batch((2,), seed=1)
    first.draws.step = 7
    y = first.forward(x, training=True).copy()
    first.backward(dy.copy())
    twin = copied(first)
    np.testing.assert_array_equal(twin.arena.grads, first.arena.grads)
    np.testing.assert_array_equal(twin.forward(x, training=True), y)
    twin.backward(dy.copy())
    np.testing.assert_array_equal(twin.arena.grads, first.arena.grads)
    twin.arena.values[:] = 0
    assert not twin.layers[0].params["weight"].any()
    assert not twin.forward(x).any()
    np.testing.assert_array_equal(first.forward(x, training=True), y)


@each_way
def test_backward_goes_on_where_the_copy_was_made(copied: Callable[[Any], Any]) -> None:
    first, dy = network(dtype=np.float64), batch((2,), seed=1)
    first.forward(batch((3,)), training=True)
    twin = copied(first)
    first.backward(dy.copy())
    twin.backward(dy.copy())
    np.testing.assert_array_equal(twin.arena.grads, first.arena.grads)


@each_way
def test_an_optimizer_copied_beside_its_network_stays_tied_to_it(copied: Callable[[Any], Any]) -> None:
    first, optimizer = network(dtype=np.float64), Adam(lr=0.1)
    optimizer.bind(first.arena)

    def train(net: Network, by: Any) -> None:
        net.arena.grads[:] = np.linspace(-1, 1, net.arena.grads.size)
        by.step()

    train(first, optimizer)
    twin, other = copied((first, optimizer))
    train(first, optimizer)
    train(twin, other)
    np.testing.assert_array_equal(twin.arena.values, first.arena.values)
    assert other.arena is twin.arena
    np.testing.assert_array_equal(twin.forward(batch((3,))), first.forward(batch((3,))))


@dataclass(eq=False)
class Counter(Layer):
    """Adds the number of training passes so far, which is kept in its state."""

    def setup(self, in_shape: Any) -> Any:
        self.state = Views({"passes": np.zeros(())})
        return in_shape

    def forward(self, x: Any, training: bool) -> Any:
        self.state["passes"] = self.state["passes"] + training
        return x + self.state["passes"]

    def backward(self, dy: Any) -> Any:
        return dy


def test_state_is_shared_by_replicas_and_by_no_other_copy() -> None:
    first, x = Network([Counter()], (2,), dtype=np.float64), np.zeros((1, 2))
    first.forward(x, training=True)
    replica, others = first.replica(), [first.cast(np.float64), copy.deepcopy(first), pickle.loads(pickle.dumps(first))]
    first.forward(x, training=True)
    assert first.forward(x)[0, 0] == replica.forward(x)[0, 0] == 2
    assert [other.forward(x)[0, 0] for other in others] == [1, 1, 1]
    assert first.cast(np.float32).forward(x)[0, 0] == 2


@each_way
def test_a_model_is_copied_whole(copied: Callable[[Any], Any]) -> None:
    model, x, y = TwoLayerMLP(3, 4, 2, seed=0), batch((3,)), np.array([0, 1, 0, 1])
    twin = copied(model)
    assert twin.train_step(x, y, lr=0.1) == model.train_step(x, y, lr=0.1)
    np.testing.assert_array_equal(twin.network.arena.values, model.network.arena.values)


def test_names_of_arrays_are_fixed_and_every_assignment_writes_through() -> None:
    net = network()
    weight = net.params["0.weight"]
    net.params.update({"0.weight": np.ones((4, 3))})

    assert (weight == 1).all()
    assert np.shares_memory(weight, net.arena.values)
    changes: list[Callable[[Any], Any]] = [
        lambda p: p.pop("0.weight"),
        lambda p: p.__delitem__("0.weight"),
        lambda p: p.clear(),
        lambda p: p.setdefault("0.weight", weight),
    ]
    for change in changes:
        with pytest.raises(TypeError, match="names of these arrays are fixed"):
            change(net.params)
    with pytest.raises(KeyError, match="no array named 'extra'"):
        net.params.update(extra=weight)


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (lambda: Dropout(1.5), "Dropout: got p = 1.5, expected a number >= 0 and < 1"),
        (lambda: Linear(2, -1), "Linear: got out_features = -1, expected an integer >= 1"),
        (lambda: Linear(2, 2.5), "Linear: got out_features = 2.5, expected an integer >= 1"),
        (lambda: SGD(lr=-1), "SGD: got lr = -1, expected a number > 0"),
        (lambda: LeakyReLU("a"), "LeakyReLU: got negative_slope = 'a', expected a number >= 0"),
        (lambda: Adam(betas=(0.9, 1)), "Adam: got betas = (0.9, 1), expected a list of 2, each a number >= 0 and < 1"),
        (
            lambda: Network([Linear(2, 3)], 2),
            "Network: got in_shape = 2, expected a list, each an integer >= 1; write (2,) for 2 features",
        ),
        (
            lambda: Network([Linear(2, 3)], (0,)),
            "Network: got in_shape = (0,), expected a list, each an integer >= 1; write (2,) for 2 features",
        ),
        (
            lambda: Network([Linear(2, 3)], (2,), seed=-1),
            f"Network: got seed = -1, expected an integer >= 0 and < {2**64}",
        ),
        (lambda: Network([Linear(2, 3)], (2,), dtype=int), "Network: got dtype = int64, expected float32 or float64"),
        (lambda: manual_seed(-1), f"manual_seed: got seed = -1, expected an integer >= 0 and < {2**64}"),
        (lambda: manual_seed(0.5), f"manual_seed: got seed = 0.5, expected an integer >= 0 and < {2**64}"),
    ],
)
def test_wrong_arguments_are_named(make: Callable[[], Any], message: str) -> None:
    with pytest.raises(ConfigError) as caught:
        make()
    assert str(caught.value) == message


class Shift:
    def __init__(self, by=1.0):
        self.by = by

    def forward(self, x):
        return x + self.by

    def backward(self, dy):
        return dy


def test_a_plain_class_is_free_in_what_it_does_not_annotate() -> None:
    made: Any = layers._adapt(Shift)
    assert repr(made(by=2, name="a")) == "Shift(by=2, name='a')"
    assert made(by=[1.0, 2.0]).forward(np.zeros((1, 2))).tolist() == [[1.0, 2.0]]
    with pytest.raises(ConfigError, match="Shift: got lr_mult = -1, expected a number >= 0"):
        made(lr_mult=-1)


@pytest.mark.parametrize("x", [np.ones((0, 3)), np.ones(3), np.ones((2, 4)), [[1.0, 2.0]]])
def test_a_network_refuses_batches_that_do_not_fit(x: Any) -> None:
    with pytest.raises(ShapeError, match=r"expected a batch \(N, 3\) with N >= 1$"):
        network().forward(x)


@pytest.mark.parametrize("x", [np.ones((2, 3), complex), np.array([["a", "b", "c"]])])
def test_a_network_refuses_what_is_no_number(x: Any) -> None:
    with pytest.raises(ShapeError, match=r"^network: got x of type .*, expected numbers that fit float32$"):
        network().forward(x)


@pytest.mark.parametrize("dtype", [np.uint8, np.int64, np.float64, bool])
def test_a_network_takes_other_numbers_in_its_own_type(dtype: Any) -> None:
    net, x = network(), np.array([[1, 0, 1], [0, 1, 1]])
    wanted = net.forward(x.astype(np.float32)).copy()
    np.testing.assert_array_equal(net.forward(x.astype(dtype)), wanted)
    np.testing.assert_array_equal(net.forward(x.tolist()), wanted)


def test_backward_needs_a_forward_and_its_shape() -> None:
    net = network()
    with pytest.raises(RuntimeError, match=r"^network: backward before forward; call forward\(x\) first$"):
        net.backward(np.ones((1, 2)))
    net.forward(np.ones((2, 3)))
    with pytest.raises(ShapeError, match=r"^network: got dy of shape \(1, 2\), expected \(2, 2\), as the outputs$"):
        net.backward(np.ones((1, 2)))


def test_reprs_show_stack_shapes_and_parameters() -> None:
    assert repr(ReLU()) == "ReLU()"
    assert repr(Linear(3, 2, bias=False)) == "Linear(in_features=3, out_features=2, bias=False)"
    assert repr(network()).splitlines() == [
        "Network (3,) -> (2,), 46 parameters, float32",
        "  0    Linear(in_features=3, out_features=4)  (3,) -> (4,)  16 parameters",
        "  1    Sequential                             (4,) -> (4,)",
        "  1.0  Linear(in_features=4, out_features=4)  (4,) -> (4,)  20 parameters",
        "  1.1  ReLU()                                 (4,) -> (4,)",
        "  2    Dropout(p=0.3)                         (4,) -> (4,)",
        "  3    Linear(in_features=4, out_features=2)  (4,) -> (2,)  10 parameters",
    ]
    assert repr(TwoLayerMLP()).startswith("TwoLayerMLP on Network (784,) -> (10,), 101,770 parameters, float32\n")


def test_a_kink_is_the_same_for_real_and_complex_numbers() -> None:
    """At exactly 0 ReLU's slope is 0, and an imaginary step must not see another one."""
    layer, x = ReLU(), np.array([[0.0, 1.0, -1.0, -0.0]])
    y = layer.forward(x + 1e-20j)
    np.testing.assert_array_equal(y.imag / 1e-20, layer.backward(np.ones(x.shape)).real)
    np.testing.assert_array_equal(y.real, np.maximum(x, 0))
