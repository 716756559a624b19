"""MixUp: what is mixed, its loss and gradient for targets of every kind, and how the shares are spread."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from registered import of, rows

from dlcli.nn.losses.cross_entropy import CrossEntropyLoss
from dlcli.nn.losses.mse import MSELoss
from dlcli.training.mixup import MixUp

N, FEATURES, CLASSES = 8, 5, 3


def made(loss: Any, alpha: float = 0.4, seed: int = 3) -> MixUp:
    loss.scratch, loss.dtype = {}, np.dtype(np.float64)
    return MixUp(loss, alpha, seed)


def batch(seed: int = 0) -> tuple[Any, Any, Any]:
    """Inputs, outputs and classes."""
    rng = np.random.default_rng(seed)
    return rng.normal(size=(N, FEATURES)), rng.normal(size=(N, CLASSES)), rng.integers(0, CLASSES, N)


def test_inputs_are_mixed_with_the_permuted_batch() -> None:
    mixup, (x, _, _) = made(CrossEntropyLoss()), batch()
    before = x.copy()
    mixed = mixup.inputs(x, 17)
    np.testing.assert_array_equal(x, before)
    assert sorted(mixup.order) == list(range(N))
    assert 0.5 <= mixup.share <= 1
    np.testing.assert_allclose(mixed, mixup.share * x + (1 - mixup.share) * x[mixup.order], rtol=1e-12, atol=1e-15)


@pytest.mark.parametrize(("name", "example"), rows("losses"))
def test_loss_and_gradient_are_mixed_alike(name: str, example: Any) -> None:
    mixup = made(of("losses", name, example))
    outputs, y = mixup.loss.draw(np.random.default_rng(0), (N, *example.shape))
    mixup.inputs(batch()[0], 4)
    share, order = mixup.share, mixup.order
    value, dy = mixup.forward(outputs, y), mixup.backward().copy()
    losses, slopes = [], []
    for wanted in (y, y[order]):
        alone = of("losses", name, example)
        losses.append(alone.forward(outputs, wanted))
        slopes.append(alone.backward())
    assert value == pytest.approx(share * losses[0] + (1 - share) * losses[1], rel=1e-12)
    np.testing.assert_allclose(dy, share * slopes[0] + (1 - share) * slopes[1], rtol=1e-12, atol=1e-15)


def test_mixed_cross_entropy_is_that_of_mixed_targets() -> None:
    mixup, (x, z, y) = made(CrossEntropyLoss()), batch()
    mixup.inputs(x, 4)
    hot = np.eye(CLASSES)
    soft = mixup.share * hot[y] + (1 - mixup.share) * hot[y[mixup.order]]
    log_p = z - np.log(np.exp(z).sum(axis=1, keepdims=True))
    assert mixup.forward(z, y) == pytest.approx(-(soft * log_p).sum(axis=1).mean(), rel=1e-12)
    np.testing.assert_allclose(mixup.backward(), (np.exp(log_p) - soft) / N, rtol=1e-10, atol=1e-15)


def drawn(mixup: MixUp, number: int) -> tuple[float, list[int]]:
    mixup.inputs(batch()[0], number)
    return mixup.share, list(mixup.order)


def test_draws_follow_from_seed_and_batch_alone() -> None:
    first, second = made(MSELoss()), made(MSELoss())
    forward = [drawn(first, i) for i in range(6)]
    assert [drawn(second, i) for i in reversed(range(6))] == forward[::-1]
    assert len({share for share, _ in forward}) == 6
    assert drawn(made(MSELoss(), seed=4), 0) != forward[0]


@pytest.mark.parametrize("alpha", [0.1, 1.0, 8.0])
def test_shares_are_spread_as_the_beta_distribution(alpha: float) -> None:
    """The variance of Beta(alpha, alpha) is 1 / (4 (2 alpha + 1)), and is not changed by taking the larger part."""
    mixup = made(MSELoss(), alpha)
    shares = np.array([drawn(mixup, i)[0] for i in range(4000)])
    assert np.mean((shares - 0.5) ** 2) == pytest.approx(1 / (4 * (2 * alpha + 1)), rel=0.08)
