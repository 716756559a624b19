"""The two-layer classifier: its step against the formula, what it accepts, and what it refuses in which words."""

from __future__ import annotations

import re

import numpy as np
import pytest

from dlcli import TwoLayerMLP, manual_seed
from dlcli.core.errors import ConfigError, DivergedError, ShapeError


def batch(n: int = 16) -> tuple[np.ndarray, np.ndarray]:
    rng = np.random.default_rng(7)
    return rng.standard_normal((n, 6)), rng.integers(0, 3, n)


def small(**options: object) -> TwoLayerMLP:
    return TwoLayerMLP(6, 5, 3, seed=1, **options)


def test_default_is_784_128_10():
    shapes = {name: p.shape for name, p in TwoLayerMLP().network.params.items()}
    assert shapes == {"0.weight": (128, 784), "0.bias": (128,), "2.weight": (10, 128), "2.bias": (10,)}


def test_one_step_is_the_formula():
    model, (x, y), lr = small(dtype=np.float64), batch(), 0.3
    w1, b1, w2, b2 = (model.network.params[name].copy() for name in ("0.weight", "0.bias", "2.weight", "2.bias"))
    h = np.maximum(0, x @ w1.T + b1)
    z = h @ w2.T + b2
    p = np.exp(z) / np.exp(z).sum(axis=1, keepdims=True)
    dz = (p - np.eye(3)[y]) / len(y)
    dh = dz @ w2 * (h > 0)
    expected = {"0.weight": dh.T @ x, "0.bias": dh.sum(0), "2.weight": dz.T @ h, "2.bias": dz.sum(0)}
    before = {"0.weight": w1, "0.bias": b1, "2.weight": w2, "2.bias": b2}

    loss = model.train_step(x, y, lr)

    assert type(loss) is float
    assert loss == pytest.approx(-np.log(p[np.arange(len(y)), y]).mean(), rel=1e-12)
    for name, gradient in expected.items():
        np.testing.assert_allclose(model.network.params[name], before[name] - lr * gradient, rtol=1e-10, atol=1e-12)


def test_learns_and_answers_in_classes_and_fractions():
    model, (x, y) = small(), batch()
    losses = [model.train_step(x, y, lr=0.5) for _ in range(200)]
    assert losses[-1] < 0.1 * losses[0]
    assert model.predict(x).dtype.kind == "i"
    assert model.predict(x).tolist() == y.tolist()
    assert model.evaluate(x, y) == 1.0
    assert model.evaluate(x, (y + (np.arange(16) < 4)) % 3) == 0.75


def test_input_types_give_the_same_step_and_are_left_alone():
    x, y = (4 * batch()[0]).round(), batch()[1]
    kept = x.copy()
    losses = {
        small().train_step(given, labels, 0.1)
        for given in (x, x.astype(np.float32), x.astype(int), x.tolist())
        for labels in (y, y.astype(np.uint8), y.tolist())
    }
    assert len(losses) == 1
    np.testing.assert_array_equal(x, kept)


def test_models_differ_and_manual_seed_repeats_them():
    def weight() -> np.ndarray:
        return TwoLayerMLP(6, 5, 3).network.params["0.weight"].copy()

    manual_seed(42)
    first, second = weight(), weight()
    manual_seed(42)
    np.testing.assert_array_equal(weight(), first)
    assert not np.array_equal(first, second)


X, Y = batch()
REFUSED = [
    (lambda m: m.train_step(X[0], Y, 0.1), ShapeError, "got x of shape (6,), expected (N, 6)"),
    (lambda m: m.train_step(X.reshape(-1, 2, 3), Y, 0.1), ShapeError, "x.reshape(len(x), -1)"),
    (lambda m: m.train_step(X[:0], Y[:0], 0.1), ShapeError, "expected (N, 6) with N >= 1"),
    (lambda m: m.train_step(X.astype(str), Y, 0.1), ShapeError, "expected real numbers"),
    (lambda m: m.train_step(X, Y[:3], 0.1), ShapeError, "targets of shape (3,)"),
    (lambda m: m.train_step(X, Y + 1, 0.1), ShapeError, "got classes 1 to 3, expected 0 to 2"),
    (lambda m: m.train_step(X, Y * 1.0, 0.1), ShapeError, "targets of type float64, expected integers"),
    (lambda m: m.train_step(X, Y, 0.0), ConfigError, "got lr = 0.0, expected a number above 0"),
    (lambda m: m.train_step(X * np.nan, Y, 0.1), DivergedError, "the loss is nan"),
    (lambda m: m.evaluate(X, Y[:, None]), ShapeError, "got y of shape (16, 1), expected (16,)"),
    (lambda m: TwoLayerMLP(6, 0, 3), ConfigError, "got hidden_features = 0, expected an integer >= 1"),
    (lambda m: TwoLayerMLP(6, 2.5, 3), ConfigError, "got hidden_features = 2.5, expected an integer >= 1"),
]


@pytest.mark.parametrize(("call", "error", "words"), REFUSED, ids=[words for *_, words in REFUSED])
def test_refuses_in_words_and_keeps_the_parameters(call, error, words):
    model = small()
    before = model.network.arena.values.copy()
    with pytest.raises(error, match=re.escape(words)):
        call(model)
    np.testing.assert_array_equal(model.network.arena.values, before)


def test_a_step_that_diverges_says_so_without_warnings():
    model = small()
    model.train_step(X, Y, lr=1e60)
    with pytest.raises(DivergedError, match="lower lr"):
        model.train_step(X, Y, lr=0.1)
