"""Winograd's convolution against the direct one, in values and gradients, and where it is chosen."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from dlcli.core.errors import ConfigError
from dlcli.core.workers import Workers
from dlcli.nn.layers.conv2d import Conv2d
from dlcli.nn.network import Network
from dlcli.nn.winograd import CONSTANT, TILE, A, B, G

SHAPES: dict[str, tuple[tuple[int, int, int], dict[str, Any]]] = {
    "whole tiles": ((16, 8, 12), {"out_channels": 20, "padding": 1}),
    "part of a tile": ((3, 5, 6), {"out_channels": 4, "padding": 1, "bias": False}),
    "one pixel": ((4, 3, 3), {"out_channels": 2}),
    "uneven padding": ((2, 9, 4), {"out_channels": 5, "padding": [2, 1]}),
    "more padding than image": ((2, 2, 3), {"out_channels": 3, "padding": 4}),
    "many blocks": ((32, 26, 26), {"out_channels": 48}),
}
BOUNDS = {"float32": 1e-5, "float64": 2e-14, "complex128": 2e-14}
"""Of the largest difference, as a share of the largest number."""


def passes(shape: tuple[int, int, int], given: dict[str, Any], dtype: str, threads: int = 1) -> list[Any]:
    """y, dx, dweight and dbias of a convolution, of a batch that fills several blocks."""
    network = Network([Conv2d(None, kernel_size=3, **given)], shape, seed=3).cast(dtype, needs_input_grad=True)
    network.use(Workers(threads))
    rng = np.random.default_rng(0)
    drawn = [rng.normal(size=(2, 19, *of)).astype(np.float64) for of in (shape, network.out_shape)]
    x, dy = (a + 1j * b if dtype == "complex128" else a.astype(dtype) for a, b in drawn)
    y = network.forward(x, training=True).copy()
    return [y, np.array(network.backward(dy)), *(np.array(g) for g in network.grads.values())]


@pytest.mark.parametrize("dtype", BOUNDS)
@pytest.mark.parametrize("name", SHAPES)
def test_the_same_as_direct(name: str, dtype: str) -> None:
    shape, given = SHAPES[name]
    direct = passes(shape, given | {"algorithm": "direct"}, dtype)
    for wanted, got in zip(direct, passes(shape, given | {"algorithm": "winograd"}, dtype), strict=True):
        assert np.abs(got - wanted).max() < BOUNDS[dtype] * np.abs(wanted).max()


def test_threads_change_no_bit() -> None:
    shape, given = SHAPES["many blocks"]
    one, *others = (passes(shape, given, "float32", threads) for threads in (1, 2, 4))
    for other in others:
        for wanted, got in zip(one, other, strict=True):
            np.testing.assert_array_equal(got, wanted)


def test_the_matrices_convolve() -> None:
    """Exactly, as all but G are whole numbers: y = A.T [(G w) * (B.T x)] in one dimension."""
    w, x = np.array([3, -5, 7]), np.array([2, -1, 4, 8, -6, 9])
    np.testing.assert_allclose(A.T @ ((G @ w) * (B.T @ x)), [w @ x[i : i + 3] for i in range(4)], rtol=1e-13)
    np.testing.assert_array_equal(np.outer(A[CONSTANT // TILE], A[CONSTANT % TILE]), np.ones((4, 4)))


@pytest.mark.parametrize(
    ("shape", "given", "chosen"),
    [
        ((32, 28, 28), {"out_channels": 32, "padding": "same"}, True),
        ((32, 14, 14), {"out_channels": 32, "padding": "same"}, False),  # a quarter of the tiles stands over
        ((16, 28, 28), {"out_channels": 16, "padding": "same"}, False),
        ((64, 7, 7), {"out_channels": 128, "padding": 1}, True),
        ((64, 7, 7), {"out_channels": 128, "padding": 1, "algorithm": "direct"}, False),
        ((1, 28, 28), {"out_channels": 32}, False),
        ((2, 4, 4), {"out_channels": 2, "algorithm": "winograd"}, True),
        ((64, 5, 5), {"out_channels": 64, "padding": 1}, False),
        ((64, 8, 8), {"out_channels": 64, "stride": 2}, False),
        ((64, 8, 8), {"out_channels": 64, "groups": 2}, False),
    ],
)
def test_where_it_is_chosen(shape: tuple[int, int, int], given: dict[str, Any], chosen: bool) -> None:
    layer = Conv2d(None, kernel_size=3, **given)
    layer.setup(shape)
    assert (layer.winograd is not None) == chosen


def test_refused_where_tiles_do_not_fit() -> None:
    layer = Conv2d(None, 4, 3, stride=2, algorithm="winograd")
    with pytest.raises(ConfigError, match=r"got algorithm: winograd with kernel_size \(3, 3\), stride \(2, 2\)"):
        layer.setup((3, 8, 8))
