"""What every loss promises, over registry x examples, and the numbers and errors of each."""

from __future__ import annotations

import copy
import math
import pickle
from typing import Any

import numpy as np
import pytest
from registered import names, of, rows

from dlcli.core.errors import ShapeError
from dlcli.nn.loss import losses
from dlcli.nn.losses.cross_entropy import CrossEntropyLoss
from dlcli.nn.losses.huber import HuberLoss
from dlcli.nn.losses.mse import MSELoss

each_loss = pytest.mark.parametrize(("name", "example"), rows("losses"))


def pair(name: str, shape: tuple[int, ...], n: int = 6, dtype: Any = np.float64) -> tuple[Any, Any]:
    """Predictions of that shape and targets that fit the loss."""
    rng = np.random.default_rng(0)
    y_pred = (2 * rng.normal(size=(n, *shape))).astype(dtype)
    if losses.get(name).task == "classification":
        return y_pred, rng.integers(0, shape[0], n)
    return y_pred, rng.normal(size=(n, *shape)).astype(y_pred.real.dtype)


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
@each_loss
def test_value_is_a_float_and_gradient_is_shaped_like_the_prediction(name: str, example: Any, dtype: Any) -> None:
    loss = of("losses", name, example)
    y_pred, y_true = pair(name, example.shape, dtype=dtype)
    assert type(loss.forward(y_pred, y_true)) is float
    dy = loss.backward()
    assert (dy.shape, dy.dtype) == (y_pred.shape, np.dtype(dtype))


@each_loss
def test_gradient_is_the_slope_of_the_value(name: str, example: Any) -> None:
    loss = of("losses", name, example)
    y_pred, y_true = pair(name, example.shape)
    loss.forward(y_pred, y_true)
    dy, h = loss.backward(), 1e-6
    for place in np.ndindex(y_pred.shape):
        step = np.zeros_like(y_pred)
        step[place] = h
        slope = (loss.forward(y_pred + step, y_true) - loss.forward(y_pred - step, y_true)) / (2 * h)
        assert dy[place] == pytest.approx(slope, rel=1e-6, abs=1e-9)


@each_loss
def test_arguments_are_left_alone_and_the_gradient_is_fresh(name: str, example: Any) -> None:
    loss = of("losses", name, example)
    y_pred, y_true = pair(name, example.shape)
    before = y_pred.copy(), y_true.copy()
    loss.forward(y_pred, y_true)
    dy = loss.backward()
    dy[:] = 9
    assert loss.backward().max() < 9
    np.testing.assert_array_equal(y_pred, before[0])
    np.testing.assert_array_equal(y_true, before[1])


@each_loss
def test_value_is_the_mean_over_the_batch(name: str, example: Any) -> None:
    loss = of("losses", name, example)
    y_pred, y_true = pair(name, example.shape)
    each = [loss.forward(y_pred[i : i + 1], y_true[i : i + 1]) for i in range(len(y_pred))]
    assert loss.forward(y_pred, y_true) == pytest.approx(np.mean(each), rel=1e-13)


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
@pytest.mark.parametrize("size", [1e4, -1e4])
@each_loss
def test_finite_for_large_predictions(name: str, example: Any, size: float, dtype: Any) -> None:
    loss = of("losses", name, example)
    y_pred, y_true = pair(name, example.shape, dtype=dtype)
    y_pred[:, 0] = size
    y_pred[0] = size
    assert math.isfinite(loss.forward(y_pred, y_true))
    assert np.isfinite(loss.backward()).all()


@each_loss
def test_buffers_of_a_longer_batch_leave_no_trace(name: str, example: Any) -> None:
    used, fresh = of("losses", name, example), of("losses", name, example)
    used.scratch = {}
    for n in (8, 3):
        y_pred, y_true = pair(name, example.shape, n)
        value = used.forward(y_pred, y_true)
        dy = used.backward()
    assert value == fresh.forward(y_pred, y_true)
    np.testing.assert_array_equal(dy, fresh.backward())
    assert np.shares_memory(dy, used.backward())


@pytest.mark.parametrize("name", names("losses"))
def test_documented(name: str) -> None:
    cls = losses.get(name)
    for needed in ("L = mean", "(N", "dL/d", "Source: "):
        assert needed in (cls.__doc__ or ""), needed
    assert cls.examples


@pytest.mark.parametrize("classes", [2, 10, 1000])
def test_cross_entropy_of_equal_scores_is_log_of_the_classes(classes: int) -> None:
    targets = np.arange(7) % classes
    assert CrossEntropyLoss().forward(np.zeros((7, classes)), targets) == pytest.approx(math.log(classes), rel=1e-15)


def test_cross_entropy_gradient_is_softmax_minus_one_hot() -> None:
    z = np.random.default_rng(0).normal(size=(5, 4))
    t = np.array([0, 3, 1, 1, 2])
    loss = CrossEntropyLoss()
    softmax = np.exp(z) / np.exp(z).sum(1, keepdims=True)
    assert loss.forward(z, t) == pytest.approx(-np.mean(np.log(softmax[np.arange(5), t])), rel=1e-14)
    np.testing.assert_allclose(loss.backward(), (softmax - np.eye(4)[t]) / 5, rtol=1e-13, atol=1e-16)


def test_cross_entropy_of_extreme_scores() -> None:
    loss = CrossEntropyLoss()
    assert loss.forward(np.array([[1e4, -1e4]]), np.array([0])) == 0.0
    assert loss.forward(np.array([[1e4, -1e4]]), np.array([1])) == 2e4
    np.testing.assert_array_equal(loss.backward(), [[1.0, -1.0]])


def test_mean_squared_error_by_hand() -> None:
    loss = MSELoss()
    assert loss.forward(np.array([[1.5, 1.5]]), np.array([[1.0, 2.0]])) == 0.25
    assert loss.backward().tolist() == [[0.5, -0.5]]
    assert MSELoss().forward([[1, 2]], [[3, 2]]) == 2.0


def test_huber_by_hand() -> None:
    loss = HuberLoss(delta=1.0)
    assert loss.forward(np.array([[0.5, 3.0, -3.0, 1.0]]), np.zeros((1, 4))) == (0.125 + 2.5 + 2.5 + 0.5) / 4
    assert loss.backward().tolist() == [[0.125, 0.25, -0.25, 0.25]]


@each_loss
def test_backward_needs_a_forward_that_came_to_its_end(name: str, example: Any) -> None:
    loss = of("losses", name, example)
    y_pred, y_true = pair(name, example.shape)
    message = rf"^{name}: backward before forward; call forward\(y_pred, y_true\) first$"
    with pytest.raises(RuntimeError, match=message):
        loss.backward()
    loss.forward(y_pred, y_true)
    loss.backward()
    with pytest.raises(ShapeError):
        loss.forward(y_pred, y_true[:-1])
    with pytest.raises(RuntimeError, match=message):
        loss.backward()


@each_loss
def test_an_empty_batch_is_refused(name: str, example: Any) -> None:
    y_pred, y_true = pair(name, example.shape)
    with pytest.raises(ShapeError, match=rf"^{name}: got y_pred of shape \(0, .*an empty batch"):
        of("losses", name, example).forward(y_pred[:0], y_true[:0])


@each_loss
def test_a_copy_goes_on_where_it_was_made(name: str, example: Any) -> None:
    loss = of("losses", name, example)
    loss.forward(*pair(name, example.shape))
    for twin in (copy.deepcopy(loss), pickle.loads(pickle.dumps(loss))):
        np.testing.assert_array_equal(twin.backward(), loss.backward())


REGRESSION = [name for name in names("losses") if losses.get(name).task == "regression"]


@pytest.mark.parametrize("name", REGRESSION)
def test_a_column_against_a_vector_is_refused(name: str) -> None:
    loss = losses.get(name)()
    with pytest.raises(ShapeError) as caught:
        loss.forward(np.zeros((4, 1)), np.zeros(4))
    assert str(caught.value) == (
        f"{name}: got y_pred of shape (4, 1) and y_true of shape (4,), expected the same; "
        "reshape one, for example y_true[:, None]"
    )


@pytest.mark.parametrize(
    ("logits", "targets", "message"),
    [
        (np.array([0, 1]), np.zeros((2, 3)), "expected (N, K) and (N,); swap the arguments"),
        (np.zeros((2, 3)), np.zeros((2, 1), int), "expected (N, K) and class indices (N,)"),
        (np.zeros((2, 3)), np.zeros((2, 3), int), "expected (N, K) and class indices (N,)"),
        (np.zeros((2, 3)), np.zeros(3, int), "expected (N, K) and class indices (N,)"),
        (np.zeros((2, 3)), np.zeros(2), "got targets of type float64, expected integers, a class each"),
        (np.zeros((2, 3)), np.array([0, 3]), "got classes 0 to 3, expected 0 to 2 for 3 logits"),
        (np.zeros((2, 3)), np.array([-1, 2]), "got classes -1 to 2, expected 0 to 2 for 3 logits"),
    ],
)
def test_cross_entropy_refuses_what_does_not_fit(logits: Any, targets: Any, message: str) -> None:
    with pytest.raises(ShapeError) as caught:
        CrossEntropyLoss().forward(logits, targets)
    assert message in str(caught.value)
    assert str(caught.value).startswith("CrossEntropyLoss: got ")


@pytest.mark.parametrize("name", names("losses"))
def test_outputs_are_checked_against_the_targets(name: str) -> None:
    loss = losses.get(name)()
    loss.check((3,), 3, ())
    loss.check((2,), None, (2,))
    with pytest.raises(ShapeError, match=r"expected \(3,\) for 3 classes; end the stack with Linear: .out_features: 3"):
        loss.check((4,), 3, ())
    with pytest.raises(ShapeError, match=r"got outputs of shape \(1,\) .* expected \(2,\) for targets of shape \(2,\)"):
        loss.check((1,), None, (2,))
