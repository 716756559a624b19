"""Large products are cut into lanes, which changes neither what they are nor, by the threads, any bit."""

from __future__ import annotations

import numpy as np
import pytest

from dlcli.core.workers import Lane, Workers
from dlcli.nn.layers.linear import Linear
from dlcli.nn.network import Network


class Counting(Workers):
    """Notes how many lanes it is given."""

    def __init__(self, threads: int) -> None:
        super().__init__(threads)
        self.lanes: list[int] = []

    def each(self, work: object, parts: list[Lane]) -> None:  # type: ignore[override]
        self.lanes.append(len(parts))
        super().each(work, parts)  # type: ignore[arg-type]


@pytest.mark.parametrize(("rows", "ins", "outs"), [(128, 777, 513), (500, 784, 200), (50, 4000, 140)])
def test_lanes_of_a_large_product_give_the_product(rows: int, ins: int, outs: int) -> None:
    rng = np.random.default_rng(0)
    x, dy = (rng.normal(size=(rows, n)).astype(np.float32) for n in (ins, outs))
    results = []
    for threads in (1, 2, 4):
        net = Network([Linear(ins, outs)], (ins,)).cast(np.float32, needs_input_grad=True)
        workers = Counting(threads)
        net.use(workers)
        y = net.forward(x).copy()
        dx = net.backward(dy.copy())
        assert dx is not None
        assert min(workers.lanes) > 1
        weight, bias = net.params.values()
        for got, wanted in [
            (y, x @ weight.T + bias),
            (net.grads["0.weight"], dy.T @ x),
            (net.grads["0.bias"], dy.sum(axis=0)),
            (dx, dy @ weight),
        ]:
            np.testing.assert_allclose(got, wanted, rtol=1e-4, atol=1e-3)
        results.append([y, dx.copy(), *net.grads.values()])
    for one, *others in zip(*results, strict=True):
        for other in others:
            np.testing.assert_array_equal(one, other)


def test_a_small_product_is_not_cut() -> None:
    net = Network([Linear(784, 128)], (784,))
    workers = Counting(2)
    net.use(workers)
    net.backward(net.forward(np.ones((64, 784), np.float32), training=True))
    assert workers.lanes == []
