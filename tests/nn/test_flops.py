"""Floating-point operations of a network's two passes."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from dlcli.nn.layer import Layer
from dlcli.nn.layers.concat import Concat
from dlcli.nn.layers.conv2d import Conv2d
from dlcli.nn.layers.flatten import Flatten
from dlcli.nn.layers.linear import Linear
from dlcli.nn.layers.relu import ReLU
from dlcli.nn.layers.repeat import Repeat
from dlcli.nn.layers.residual import Residual
from dlcli.nn.layers.sequential import Sequential
from dlcli.nn.network import Network

WIDE = 2 * 4 * 4
"""Of a Linear from 4 to 4 features."""


@pytest.mark.parametrize(
    ("layers", "shape", "expected"),
    [
        ([Linear(4, 3)], (4,), [2 * 4 * 3]),  # dweight alone
        ([Linear(4, 3), Linear(3, 2)], (4,), [2 * 4 * 3, 2 * 2 * 3 * 2]),  # and dx from the second on
        ([ReLU(), Linear(4, 3)], (4,), [0, 2 * 4 * 3]),
        ([Linear(4, 4), ReLU(), Linear(4, 3)], (4,), [2 * 16, 4, 2 * 2 * 12]),
        ([Linear(4, 4, trainable=False), ReLU(), Linear(4, 3)], (4,), [0, 0, 2 * 12]),
        ([Linear(4, 4), Linear(4, 4, trainable=False), Linear(4, 3)], (4,), [2 * 16, 2 * 2 * 16, 2 * 2 * 12]),
        ([Conv2d(1, 2, 3), Conv2d(2, 3, 2, stride=2)], (1, 8, 8), [2 * 36 * 2 * 9, 2 * 2 * 9 * 3 * 8]),
        ([Conv2d(2, 4, 3, groups=2), Flatten()], (2, 5, 5), [2 * 9 * 4 * 9, 0]),
        ([Linear(4, 4), Sequential([Linear(4, 4), ReLU()])], (4,), [WIDE, 2 * WIDE + 4]),
        ([Linear(4, 4), Repeat(2, [Linear(4, 4)])], (4,), [WIDE, 4 * WIDE]),
        ([Linear(4, 4), Residual([Linear(4, 4)])], (4,), [WIDE, 2 * WIDE + 4]),  # dx of both ways is added up
        ([Residual([Linear(4, 4)])], (4,), [WIDE]),
        ([ReLU(), Linear(4, 4), Concat([[], [ReLU()], [Linear(4, 2)]])], (4,), [0, WIDE, 4 + WIDE + 2 * 4]),
    ],
)
def test_backward(layers: list[Layer], shape: tuple[int, ...], expected: list[int]) -> None:
    network = Network(layers, shape)
    assert [layer.backward_flops() for layer in layers] == expected
    assert network.root.backward_flops() == sum(expected)


@pytest.mark.parametrize(
    "layer", [Linear(6, 5, bias=False), Conv2d(2, 4, 2, groups=2, bias=False)]
)  # one pixel at a time
def test_products_are_those_that_the_passes_make(layer: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    shape = (6,) if isinstance(layer, Linear) else (2, 5, 4)
    network = Network([Flatten() if isinstance(layer, Linear) else ReLU(), layer], shape, dtype=np.float64)
    layer.needs_input_grad = True
    made = 0
    matmul = np.matmul

    def counted(a: Any, b: Any, **options: Any) -> Any:
        nonlocal made
        y = matmul(a, b, **options)
        made += 2 * y.size * a.shape[-1]
        return y

    monkeypatch.setattr(np, "matmul", counted)
    y = network.forward(np.ones((3, *shape)), training=True)
    assert made == 3 * layer.flops()
    made = 0
    network.backward(np.ones_like(y))
    if isinstance(layer, Conv2d):  # by the patches of dy, which reach beyond it: padding is multiplied too
        assert layer.backward_flops() * 3 <= made <= 3.5 * layer.backward_flops() * 3
    else:
        assert made == 3 * layer.backward_flops()
