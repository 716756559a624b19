"""A layer outside a network: it sets itself up, takes what it is given, and leaves the caller's arrays alone."""

from __future__ import annotations

import subprocess
import sys
from contextlib import suppress
from typing import Any

import numpy as np
import pytest
from registered import of, rows

from dlcli.core.errors import ShapeError
from dlcli.nn.layers.batch_norm import BatchNorm2d
from dlcli.nn.layers.dropout import Dropout
from dlcli.nn.layers.linear import Linear
from dlcli.nn.layers.relu import ReLU
from dlcli.nn.layers.sequential import Sequential
from dlcli.nn.layers.tanh import Tanh
from dlcli.nn.standalone import manual_seed

each_layer = pytest.mark.parametrize(("name", "example"), rows("layers"))


def batch(shape: tuple[int, ...], n: int = 4, seed: int = 0) -> Any:
    return np.random.default_rng(seed).normal(size=(n, *shape))


@each_layer
@pytest.mark.parametrize("training", [False, True], ids=["evaluation", "training"])
def test_arrays_are_fresh_and_the_callers_untouched(name: str, example: Any, training: bool) -> None:
    layer, x = of("layers", name, example), batch(example.shape)
    x_before = x.copy()
    y = layer.forward(x, training)
    assert not np.shares_memory(x, y)
    dy = batch(y.shape[1:], seed=1)
    dy_before = dy.copy()
    dx = layer.backward(dy)
    kept = y.copy(), dx.copy()
    layer.forward(-x, training)
    layer.backward(-dy)
    for array, before in ((x, x_before), (dy, dy_before), (y, kept[0]), (dx, kept[1])):
        np.testing.assert_array_equal(array, before)


@each_layer
def test_writing_into_x_or_y_does_not_change_backward(name: str, example: Any) -> None:
    layer, x = of("layers", name, example), batch(example.shape)
    y = layer.forward(x)
    dy = batch(y.shape[1:], seed=1)
    wanted = layer.backward(dy)
    layer.forward(x)[:] = 5.0
    np.testing.assert_array_equal(layer.backward(dy), wanted)
    y = layer.forward(x)
    x[:] = 5.0
    np.testing.assert_array_equal(layer.backward(dy), wanted)


@each_layer
def test_integers_are_taken_as_numbers(name: str, example: Any) -> None:
    layer = of("layers", name, example)
    whole = np.random.default_rng(0).integers(-3, 4, (4, *example.shape))
    y = layer.forward(whole)
    assert y.dtype == np.float64
    np.testing.assert_array_equal(y, layer.forward(whole.astype(np.float64)))
    assert layer.backward(np.ones(y.shape, int)).dtype == np.float64


@each_layer
def test_backward_before_forward_is_refused(name: str, example: Any) -> None:
    with pytest.raises(RuntimeError, match=f"^{name}: backward before forward; call forward"):
        of("layers", name, example).backward(np.ones((1, 3)))


@each_layer
@pytest.mark.parametrize("x", [np.ones(5), np.ones((0, 5))], ids=["one axis", "no sample"])
def test_what_is_no_batch_is_refused(name: str, example: Any, x: Any) -> None:
    wanted = r"expected a batch \(N, ...\) with N >= 1$"
    with pytest.raises(ShapeError, match=rf"^{name}: got x of shape \({len(x)},.*\), {wanted}"):
        of("layers", name, example).forward(x)


@each_layer
def test_what_are_no_numbers_is_refused(name: str, example: Any) -> None:
    with pytest.raises(ShapeError, match=rf"^{name}: got x of type <U1, expected numbers$"):
        of("layers", name, example).forward(np.full((2, *example.shape), "a"))


@each_layer
def test_a_refused_batch_changes_nothing(name: str, example: Any) -> None:
    layer, x = of("layers", name, example), batch(example.shape)
    y = layer.forward(x)
    for shape in ((2,), (7, 2), (9, 3, 5), (2, 2, 2, 2), (5, 1, 1, 1, 1)):
        with suppress(ShapeError):
            layer.forward(np.ones((2, *shape)))
    np.testing.assert_array_equal(layer.forward(x), y)


@each_layer
def test_wrong_dy_is_refused(name: str, example: Any) -> None:
    layer = of("layers", name, example)
    y = layer.forward(batch(example.shape))
    for wrong in ((4, 99), (5, *y.shape[1:])):
        with pytest.raises(ShapeError, match=rf"^{name}: got dy of shape "):
            layer.backward(np.ones(wrong))


def test_lists_are_arrays() -> None:
    assert ReLU().forward([[1, -2]]).tolist() == [[1.0, 0.0]]


def test_parameters_are_written_through_by_name() -> None:
    layer, x = Linear(in_features=784, out_features=128), batch((784,))
    y = layer.forward(x)
    layer.backward(np.ones(y.shape))
    assert layer.grads["weight"].shape == (128, 784)
    assert layer.grads["bias"].shape == (128,)
    before = layer.params["weight"].copy()
    layer.params["weight"] -= 0.5 * layer.grads["weight"]
    np.testing.assert_array_equal(layer.params["weight"], before - 0.5 * layer.grads["weight"])
    np.testing.assert_array_equal(layer.forward(x), np.matmul(x, layer.params["weight"].T) + layer.params["bias"])


def test_an_assignment_of_another_shape_or_name_is_refused() -> None:
    layer = Linear(4, 3)
    layer.forward(batch((4,)))
    with pytest.raises(ValueError, match=r"^weight: got shape \(4, 3\), expected \(3, 4\)$"):
        layer.params["weight"] = np.zeros((4, 3))
    with pytest.raises(KeyError, match="no array named 'wieght'; there are weight, bias"):
        layer.params["wieght"] = np.zeros((3, 4))


def test_other_features_after_the_first_batch_are_refused() -> None:
    layer = Linear(None, 3)
    layer.forward(batch((4,)))
    with pytest.raises(ShapeError, match="got 5 features, expected in_features = 4"):
        layer.forward(batch((5,)))
    assert layer.forward(batch((4,), 9)).shape == (9, 3)


def test_running_statistics_outlive_another_shape() -> None:
    norm = BatchNorm2d()
    stack = Sequential([norm, ReLU()])
    stack.forward(batch((3, 4, 4)), training=True)
    means = norm.state["running_mean"].copy()
    stack.forward(batch((3, 2, 5)))
    with pytest.raises(ShapeError):
        stack.forward(batch((2, 4, 4)))
    np.testing.assert_array_equal(norm.state["running_mean"], means)


def test_layers_without_parameters_take_any_shape() -> None:
    layer = Tanh()
    assert layer.forward(batch((4,))).shape == (4, 4)
    assert layer.forward(batch((2, 3))).shape == (4, 2, 3)
    assert layer.backward(batch((2, 3))).shape == (4, 2, 3)


def drawn(layer: Linear) -> Any:
    layer.forward(np.ones((1, 4)))
    return layer.params["weight"]


def test_two_layers_never_draw_the_same_and_manual_seed_repeats_them() -> None:
    manual_seed(42)
    first, second = drawn(Linear(4, 3)), drawn(Linear(4, 3))
    assert not np.array_equal(first, second)
    manual_seed(42)
    np.testing.assert_array_equal(drawn(Linear(4, 3)), first)
    manual_seed(43)
    assert not np.array_equal(drawn(Linear(4, 3)), first)


def test_without_manual_seed_every_process_draws_its_own() -> None:
    code = (
        "import numpy as np; from dlcli.nn.layers.linear import Linear; a = Linear(4, 3); a.forward(np.ones((1, 4)))\n"
        "print(a.params['weight'].tobytes().hex())"
    )
    outs = {subprocess.run([sys.executable, "-c", code], capture_output=True, text=True).stdout for _ in range(2)}
    assert len(outs) == 2
    assert "" not in outs


def test_dropout_draws_anew_at_every_training_pass() -> None:
    layer, x = Dropout(p=0.5), np.ones((10, 10))
    first, second = layer.forward(x, training=True), layer.forward(x, training=True)
    assert not np.array_equal(first, second)
    np.testing.assert_array_equal(layer.forward(x), x)
    assert set(np.unique(first)) == {0.0, 2.0}


def test_a_stack_works_alone() -> None:
    stack, x = Sequential(layers=[Linear(None, 4), ReLU(), Linear(None, 2)]), batch((3,))
    y = stack.forward(x)
    first, _, last = stack.layers
    hidden = np.maximum(x @ first.params["weight"].T + first.params["bias"], 0)
    np.testing.assert_allclose(y, hidden @ last.params["weight"].T + last.params["bias"], rtol=1e-13)
    dy = batch((2,), seed=1)
    dx = stack.backward(dy)
    wanted = ((dy @ last.params["weight"]) * (hidden > 0)) @ first.params["weight"]
    np.testing.assert_allclose(dx, wanted, rtol=1e-13)
