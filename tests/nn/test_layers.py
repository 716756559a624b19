"""What every layer promises inside a network, over registry x examples."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from registered import names, of, rows

from dlcli.core.errors import ShapeError
from dlcli.nn.layer import Layer, layers
from dlcli.nn.layers.flatten import Flatten
from dlcli.nn.layers.linear import Linear
from dlcli.nn.layers.softmax import Softmax
from dlcli.nn.network import Network

each_layer = pytest.mark.parametrize(("name", "example"), rows("layers"))


def alone(name: str, example: Any, dtype: Any = np.float64) -> Network:
    """A network of this one layer that also computes dx."""
    return Network([of("layers", name, example)], example.shape, dtype=dtype, seed=3).cast(dtype, needs_input_grad=True)


def batch(shape: tuple[int, ...], n: int, dtype: Any = np.float64, seed: int = 0) -> Any:
    x = np.random.default_rng(seed).normal(size=(n, *shape))
    return x.astype(dtype)


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
@each_layer
def test_shapes_and_dtypes_are_as_declared(name: str, example: Any, dtype: Any) -> None:
    check_declared(name, example, dtype)


@pytest.mark.parametrize(("name", "example"), [row for row in rows("layers") if layers.get(row.values[0]).complex_step])
def test_complex_numbers_pass_through(name: str, example: Any) -> None:
    check_declared(name, example, np.complex128)


def check_declared(name: str, example: Any, dtype: Any) -> None:
    network = alone(name, example, dtype)
    x = batch(example.shape, 4, dtype)
    for training in (False, True):
        y = network.forward(x, training)
        assert (y.shape, y.dtype) == ((4, *network.out_shape), np.dtype(dtype))
        dx = network.backward(batch(network.out_shape, 4, dtype))
        assert dx is not None
        assert (dx.shape, dx.dtype) == (x.shape, np.dtype(dtype))
    for grad in network.grads.values():
        assert grad.dtype == np.dtype(dtype)


@each_layer
def test_input_is_never_written(name: str, example: Any) -> None:
    network = alone(name, example)
    x = batch(example.shape, 4)
    before = x.copy()
    x.flags.writeable = False
    for training in (False, True):
        y = network.forward(x, training)
        network.backward(batch(y.shape[1:], 4))
    np.testing.assert_array_equal(x, before)


@each_layer
def test_rows_of_a_batch_are_independent_in_evaluation(name: str, example: Any) -> None:
    if example.options.get("track_running_stats") is False:
        return  # normalises by the batch in evaluation too
    network = alone(name, example)
    x = batch(example.shape, 6)
    together = network.forward(x).copy()
    for i in range(6):
        np.testing.assert_allclose(network.forward(x[i : i + 1])[0], together[i], rtol=1e-13, atol=1e-14)


def passes(network: Network, x: Any) -> list[Any]:
    """y, dx and every gradient of one training pass, copied."""
    y = network.forward(x, training=True).copy()
    dx = network.backward(batch(y.shape[1:], len(x), seed=1))
    return [y, dx.copy(), *(g.copy() for g in network.grads.values())]


@each_layer
def test_no_trace_of_an_earlier_batch_of_another_size(name: str, example: Any) -> None:
    used, fresh = alone(name, example), alone(name, example)
    for n in (7, 2, 9):
        passes(used, batch(example.shape, n, seed=2))
    for got, wanted in zip(passes(used, batch(example.shape, 3)), passes(fresh, batch(example.shape, 3)), strict=True):
        np.testing.assert_array_equal(got, wanted)


@each_layer
def test_buffers_are_kept_from_step_to_step(name: str, example: Any) -> None:
    network = alone(name, example)
    x = batch(example.shape, 5)
    for training in (False, True):
        first = network.forward(x, training)
        again = network.forward(x, training)
        assert np.shares_memory(first, again)


@each_layer
def test_backward_sets_the_gradients(name: str, example: Any) -> None:
    network = alone(name, example)
    x = batch(example.shape, 4)
    once = passes(network, x)
    network.arena.grads[:] = 7
    for got, wanted in zip(passes(network, x), once, strict=True):
        np.testing.assert_array_equal(got, wanted)


@each_layer
def test_input_gradient_may_be_left_out(name: str, example: Any) -> None:
    network = Network([of("layers", name, example)], example.shape, dtype=np.float64, seed=3)
    full = passes(alone(name, example), batch(example.shape, 4))
    network.forward(batch(example.shape, 4), training=True)
    network.backward(batch(network.out_shape, 4, seed=1))
    for got, wanted in zip(network.grads.values(), full[2:], strict=True):
        np.testing.assert_allclose(got, wanted, rtol=1e-12, atol=1e-14)  # a layer may go another way


@each_layer
def test_draws_depend_on_seed_and_step_only(name: str, example: Any) -> None:
    def run(seed: int, step: int) -> Any:
        network = Network([of("layers", name, example)], example.shape, dtype=np.float64, seed=seed)
        network.arena.values[:] = 0.1
        network.draws.step = step
        return network.forward(np.ones((50, *example.shape)), training=True).copy()

    np.testing.assert_array_equal(run(1, 4), run(1, 4))
    drawn = np.ptp(run(1, 4)) > 0
    if layers.get(name).stochastic and drawn:
        assert not np.array_equal(run(1, 4), run(1, 5))
        assert not np.array_equal(run(1, 4), run(2, 4))
    else:
        np.testing.assert_array_equal(run(1, 4), run(2, 5))


@each_layer
@pytest.mark.parametrize("shape", [(), (1,), (4,), (2, 3), (3, 4, 4), (2, 3, 4, 4)], ids=str)
def test_any_shape_works_as_declared_or_is_refused(name: str, example: Any, shape: tuple[int, ...]) -> None:
    layer = of("layers", name, example)
    try:
        network = Network([layer], shape, dtype=np.float64)
    except ShapeError:
        return
    y = network.forward(batch(shape, 2))
    assert y.shape == (2, *network.out_shape)


@pytest.mark.parametrize(
    ("layer", "shape", "message"),
    [
        (
            Linear(None, 3),
            (2, 3),
            "got samples of shape (2, 3), expected one axis of features; put a Flatten before it",
        ),
        (Linear(None, 3), (), "got samples of shape (), expected one axis of features; put a Flatten before it"),
        (Linear(4, 3), (5,), "got 5 features, expected in_features = 4; leave in_features out to infer it"),
        (Softmax(), (), "got samples of shape (), expected at least one axis of scores"),
    ],
)
def test_wrong_shapes_are_named_with_the_way_out(layer: Layer, shape: tuple[int, ...], message: str) -> None:
    with pytest.raises(ShapeError) as caught:
        layer.setup(shape)
    assert str(caught.value) == message


@pytest.mark.parametrize("name", names("layers"))
def test_documented(name: str) -> None:
    cls = layers.get(name)
    for needed in ("y = ", "(N", "dx ", "Source: "):
        assert needed in (cls.__doc__ or ""), needed
    assert cls.examples


@each_layer
def test_flops_are_counted(name: str, example: Any) -> None:
    layer = alone(name, example).layers[0]
    assert isinstance(layer.flops(), int)
    assert layer.flops() >= 0
    if layer.specs:
        assert layer.flops() >= 2 * max(np.prod(s.shape) for s in layer.specs)


def test_flatten_keeps_row_major_order() -> None:
    x = np.arange(24.0).reshape(2, 3, 2, 2)
    np.testing.assert_array_equal(Flatten().forward(x), np.arange(24.0).reshape(2, 12))
