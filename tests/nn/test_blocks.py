"""A batch in several lanes of several blocks gives what it gives in one piece, on any number of threads."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from pieces import in_pieces
from registered import of, rows

from dlcli.core.workers import Workers
from dlcli.nn.network import Network

BATCH = 13


def passes(name: str, example: Any, threads: int) -> list[Any]:
    """y, dx and every gradient of the second of two training passes."""
    network = Network([of("layers", name, example)], example.shape, seed=3).cast(np.float64, needs_input_grad=True)
    network.use(Workers(threads))
    rng = np.random.default_rng(0)
    for _ in range(2):  # the second time in buffers that are used already
        y = network.forward(rng.normal(size=(BATCH, *example.shape)), training=True)
        dx = network.backward(rng.normal(size=y.shape))
    return [y.copy(), np.array(dx), *(grad.copy() for grad in network.grads.values())]


@pytest.mark.parametrize(("name", "example"), rows("layers"))
def test_pieces_change_nothing(name: str, example: Any) -> None:
    whole = passes(name, example, 1)
    with in_pieces(4):
        one, *others = (passes(name, example, threads) for threads in (1, 2, 4))
    for got, wanted in zip(one, whole, strict=True):
        np.testing.assert_allclose(got, wanted, rtol=1e-11, atol=1e-12)
    for other in others:
        for got, wanted in zip(other, one, strict=True):
            np.testing.assert_array_equal(got, wanted)
