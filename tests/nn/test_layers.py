"""What every layer promises inside a network, over registry x examples."""

from __future__ import annotations

import math
import tracemalloc
from itertools import product
from typing import Any

import numpy as np
import pytest
from registered import build, of, rows

from dlcli.core.errors import ConfigError, ShapeError
from dlcli.nn.layer import Layer, layers
from dlcli.nn.layers.avg_pool2d import AvgPool2d
from dlcli.nn.layers.batch_norm import BatchNorm1d, BatchNorm2d
from dlcli.nn.layers.conv2d import Conv2d
from dlcli.nn.layers.flatten import Flatten
from dlcli.nn.layers.gelu import erfc
from dlcli.nn.layers.global_pool2d import AdaptiveAvgPool2d, GlobalAvgPool2d
from dlcli.nn.layers.group_norm import GroupNorm
from dlcli.nn.layers.layer_norm import LayerNorm
from dlcli.nn.layers.linear import Linear
from dlcli.nn.layers.max_pool2d import MaxPool2d
from dlcli.nn.layers.maxout import Maxout
from dlcli.nn.layers.pooling import FEW
from dlcli.nn.layers.prelu import PReLU
from dlcli.nn.layers.reshape import Reshape
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
        if name == "Conv2d":  # without dx it adds up the patches of x, with it those of dy
            np.testing.assert_allclose(got, wanted, rtol=1e-12, atol=1e-14)
        else:
            np.testing.assert_array_equal(got, wanted)


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
            MaxPool2d(5),
            (1, 4, 6),
            "got kernel_size (5, 5) for images of 4 x 6 with their padding, expected at most that; use a smaller "
            "kernel, or pad",
        ),
        (
            Conv2d(None, 2, 3, dilation=3),
            (1, 4, 8),
            "got kernel_size (3, 3) with dilation (3, 3), over 7 x 7 pixels, for images of 4 x 8 with their padding, "
            "expected at most that; use a smaller kernel, or pad",
        ),
        (
            MaxPool2d(2, padding=1, dilation=3),
            (1, 2, 4),
            "got dilation (3, 3) with padding (1, 1) for images of 2 x 4, which leaves a window nothing but padding; "
            "use a smaller dilation",
        ),
        (
            AvgPool2d(2, padding=2),
            (1, 4, 6),
            "got padding (2, 2) for kernel_size (2, 2), expected at most half of that",
        ),
        (
            BatchNorm2d(4),
            (3, 2, 2),
            "got 3 channels, expected num_features = 4; leave num_features out to infer it",
        ),
        (
            BatchNorm1d(),
            (3, 2, 2),
            "got samples of shape (3, 2, 2), expected (features,) or (channels, length); BatchNorm2d takes images",
        ),
        (
            GlobalAvgPool2d(),
            (4,),
            "got samples of shape (4,), expected (channels, height, width); put a Reshape before it",
        ),
        (
            GroupNorm(2),
            (3, 2, 2),
            "got num_groups = 2 for samples of shape (3, 2, 2), expected a divisor of the channels, the first axis",
        ),
        (
            LayerNorm([3, 2]),
            (3, 4),
            "got samples of shape (3, 4), expected them to end with normalized_shape = [3, 2]; leave normalized_shape "
            "out to infer it",
        ),
        (
            Maxout(2),
            (5,),
            "got num_pieces = 2 for samples of shape (5,), expected a divisor of the features, the first axis",
        ),
        (
            PReLU(2),
            (5,),
            "got num_parameters = 2 for samples of shape (5,), expected 1, or 5, one for each channel",
        ),
        (
            Reshape([2, -1]),
            (5,),
            "got samples of shape (5,), 5 numbers, expected as many as shape [2, -1] holds",
        ),
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
    with pytest.raises(ConfigError) as caught:
        layer.setup(shape)
    assert str(caught.value) == message


@pytest.mark.parametrize(
    "layer",
    [
        AdaptiveAvgPool2d(10**6),
        AvgPool2d([10**6, 1], padding=[10**6 // 2, 0]),
        Conv2d(None, 10**6, 3),
        MaxPool2d([10**6, 1], padding=[10**6 // 2, 0]),
    ],
    ids=lambda layer: type(layer).__name__,
)
def test_setup_takes_no_memory_whatever_the_sizes(layer: Layer) -> None:
    tracemalloc.start()
    layer.setup((1, 8, 8))
    _, peak = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    assert peak < 100_000


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


def test_erfc_is_that_of_the_standard_library() -> None:
    x = np.concatenate([np.linspace(-6, 6, 4001), np.logspace(-300, 1, 500)])
    wanted = np.array([math.erfc(v) for v in x])
    np.testing.assert_allclose(erfc(x), wanted, rtol=3e-14)
    central = np.abs(x) < 2
    np.testing.assert_allclose(erfc(x)[central], wanted[central], rtol=3e-15)
    np.testing.assert_allclose(erfc(x.astype(np.float32)), wanted, rtol=2e-5, atol=1e-30)
    slope = erfc(x + 1e-30j).imag / 1e-30
    np.testing.assert_allclose(slope, -2 / math.sqrt(math.pi) * np.exp(-x * x), rtol=1e-12)


def naive_windows(x: Any, kernel: int, stride: int, padding: int, fill: float) -> Any:
    """Every window of a padded image as (place, window), with a loop over them."""
    padded = np.pad(x, padding, constant_values=fill)
    places = range(0, padded.shape[0] - kernel + 1, stride), range(0, padded.shape[1] - kernel + 1, stride)
    for i, j in product(*places):
        yield (i, j), padded[i : i + kernel, j : j + kernel]


@pytest.mark.parametrize(("kernel", "stride", "padding"), [(2, 2, 0), (3, 1, 1), (3, 2, 1), (2, 3, 0)])
@pytest.mark.parametrize("channels", [1, 2, FEW])
@pytest.mark.parametrize("name", ["MaxPool2d", "AvgPool2d"])
def test_pooling_equals_a_loop_over_windows(name: str, channels: int, kernel: int, stride: int, padding: int) -> None:
    rng = np.random.default_rng(0)
    x = rng.integers(-2, 3, size=(3, channels, 7, 6)).astype(np.float64)
    layer = build("layers", name, {"kernel_size": kernel, "stride": stride, "padding": padding})
    y = layer.forward(x)
    dy = rng.normal(size=y.shape)
    wanted_y, wanted_dx = np.zeros_like(y), np.zeros((3, channels, 7 + 2 * padding, 6 + 2 * padding))
    for n, c in product(range(3), range(channels)):
        fill = -np.inf if name == "MaxPool2d" else 0.0
        for (i, j), window in naive_windows(x[n, c], kernel, stride, padding, fill):
            at = n, c, i // stride, j // stride
            if name == "MaxPool2d":
                wanted_y[at] = window.max()
                row, column = divmod(int(window.argmax()), kernel)  # of equal numbers the first, row by row
                wanted_dx[n, c, i + row, j + column] += dy[at]
            else:
                wanted_y[at] = window.mean()
                wanted_dx[n, c, i : i + kernel, j : j + kernel] += dy[at] / kernel**2
    np.testing.assert_allclose(y, wanted_y, rtol=1e-13, atol=1e-14)
    inside = slice(padding, padding + 7), slice(padding, padding + 6)
    np.testing.assert_allclose(layer.backward(dy), wanted_dx[:, :, *inside], rtol=1e-13, atol=1e-14)


def test_maxout_takes_the_first_of_equal_features() -> None:
    layer = Maxout(3)
    assert layer.forward([[1.0, 5.0, 5.0, 2.0, 2.0, 0.0]]).tolist() == [[5.0, 2.0]]
    assert layer.backward([[7.0, 8.0]]).tolist() == [[0.0, 7.0, 0.0, 8.0, 0.0, 0.0]]


def test_dropout2d_drops_whole_channels() -> None:
    y = build("layers", "Dropout2d", {}).forward(np.ones((20, 30, 3, 4)), training=True)
    assert set(np.unique(y)) == {0.0, 2.0}
    np.testing.assert_array_equal(y, np.broadcast_to(y[:, :, :1, :1], y.shape))


def test_gaussian_noise_has_its_deviation() -> None:
    y = build("layers", "GaussianNoise", {"std": 0.3}).forward(np.ones((200, 500)), training=True)
    assert y.mean() == pytest.approx(1.0, abs=0.005)
    assert y.std() == pytest.approx(0.3, rel=0.01)


@pytest.mark.parametrize("shape", [[2, 0], [-1, -1], [-2], []])
def test_reshape_refuses_what_is_no_shape(shape: list[int]) -> None:
    with pytest.raises(ConfigError, match=r"shape"):
        Reshape(shape)


@each_layer
def test_the_layout_of_x_and_dy_changes_nothing(name: str, example: Any) -> None:
    network, x = alone(name, example), batch(example.shape, 4)
    wanted = passes(network, x)
    other = np.asfortranarray(x)
    y = network.forward(other, training=True).copy()
    dx = network.backward(np.asfortranarray(batch(y.shape[1:], 4, seed=1)))
    for got, one in zip([y, dx, *network.grads.values()], wanted, strict=True):
        np.testing.assert_allclose(got, one, rtol=1e-12, atol=1e-13)
