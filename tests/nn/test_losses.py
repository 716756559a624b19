"""What every loss promises, over registry x examples, and the numbers and errors of each."""

from __future__ import annotations

import copy
import math
import pickle
from typing import Any

import numpy as np
import pytest
from registered import names, of, rows

from dlcli.core.errors import ConfigError, DataError, ShapeError
from dlcli.nn.loss import Loss, losses
from dlcli.nn.losses.bce import BCELoss, BCEWithLogitsLoss
from dlcli.nn.losses.cross_entropy import CrossEntropyLoss
from dlcli.nn.losses.focal import FocalLoss
from dlcli.nn.losses.huber import HuberLoss
from dlcli.nn.losses.kl_div import KLDivLoss
from dlcli.nn.losses.log_cosh import LogCoshLoss
from dlcli.nn.losses.mse import MSELoss
from dlcli.nn.losses.multi_margin import MultiMarginLoss
from dlcli.nn.losses.nll import NLLLoss
from dlcli.nn.losses.poisson import PoissonNLLLoss

BOUNDED = {"BCELoss", "PoissonNLLLoss"}
"""Losses of a probability, and of a rate or its logarithm, which are no numbers of any size."""

each_loss = pytest.mark.parametrize(("name", "example"), rows("losses"))


def pair(loss: Loss, shape: tuple[int, ...], n: int = 6, dtype: Any = np.float64) -> tuple[Any, Any]:
    """Predictions of that shape and targets that fit the loss."""
    y_pred, y_true = loss.draw(np.random.default_rng(0), (n, *shape))
    return y_pred.astype(dtype), y_true.astype(dtype) if y_true.dtype.kind == "f" else y_true


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
@each_loss
def test_value_is_a_float_and_gradient_is_shaped_like_the_prediction(name: str, example: Any, dtype: Any) -> None:
    loss = of("losses", name, example)
    y_pred, y_true = pair(loss, example.shape, dtype=dtype)
    assert type(loss.forward(y_pred, y_true)) is float
    dy = loss.backward()
    assert (dy.shape, dy.dtype) == (y_pred.shape, np.dtype(dtype))


@each_loss
def test_gradient_is_the_slope_of_the_value(name: str, example: Any) -> None:
    loss = of("losses", name, example)
    y_pred, y_true = pair(loss, example.shape)
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
    y_pred, y_true = pair(loss, example.shape)
    before = y_pred.copy(), y_true.copy()
    loss.forward(y_pred, y_true)
    dy = loss.backward()
    dy[:] = 9
    assert loss.backward().max() < 9
    np.testing.assert_array_equal(y_pred, before[0])
    np.testing.assert_array_equal(y_true, before[1])


@each_loss
def test_sums_of_batches_add_up_to_the_loss_of_all(name: str, example: Any) -> None:
    loss = of("losses", name, example)
    y_pred, y_true = pair(loss, example.shape)
    parts = [slice(0, 1), slice(1, 3), slice(3, 6)]
    each = [loss.sums(loss.forward(y_pred[i], y_true[i]), y_true[i]) for i in parts]
    total, count = loss.sums(loss.forward(y_pred, y_true), y_true)
    assert np.sum(each, axis=0) == pytest.approx((total, count), rel=1e-13)
    if example.options.get("reduction") != "sum":
        assert loss.forward(y_pred, y_true) == pytest.approx(total / count, rel=1e-13)


@each_loss
def test_sum_is_the_mean_times_what_it_divided_by(name: str, example: Any) -> None:
    mean, total = of("losses", name, example, reduction="mean"), of("losses", name, example, reduction="sum")
    y_pred, y_true = pair(mean, example.shape)
    divided = mean.count(y_true) if mean.task == "classification" else y_pred.size
    assert total.forward(y_pred, y_true) == pytest.approx(mean.forward(y_pred, y_true) * divided, rel=1e-13)
    np.testing.assert_allclose(total.backward(), mean.backward() * divided, rtol=1e-12)


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
@pytest.mark.parametrize("size", [1e4, -1e4])
@pytest.mark.parametrize(("name", "example"), [row for row in rows("losses") if row.values[0] not in BOUNDED])
def test_finite_for_large_predictions(name: str, example: Any, size: float, dtype: Any) -> None:
    loss = of("losses", name, example)
    y_pred, y_true = pair(loss, example.shape, dtype=dtype)
    y_pred[:, 0] = size
    y_pred[0] = size
    assert math.isfinite(loss.forward(y_pred, y_true))
    assert np.isfinite(loss.backward()).all()


@each_loss
def test_buffers_of_a_longer_batch_leave_no_trace(name: str, example: Any) -> None:
    used, fresh = of("losses", name, example), of("losses", name, example)
    used.scratch = {}
    for n in (8, 3):
        y_pred, y_true = pair(fresh, example.shape, n)
        value = used.forward(y_pred, y_true)
        dy = used.backward()
    assert value == fresh.forward(y_pred, y_true)
    np.testing.assert_array_equal(dy, fresh.backward())
    assert np.shares_memory(dy, used.backward())


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
    y_pred, y_true = pair(loss, example.shape)
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
    loss = of("losses", name, example)
    y_pred, y_true = pair(loss, example.shape)
    with pytest.raises(ShapeError, match=rf"^{name}: got y_pred of shape \(0, .*an empty batch"):
        loss.forward(y_pred[:0], y_true[:0])


@each_loss
def test_a_copy_goes_on_where_it_was_made(name: str, example: Any) -> None:
    loss = of("losses", name, example)
    loss.forward(*pair(loss, example.shape))
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


def test_two_classes_may_have_one_output() -> None:
    for name in ("BCELoss", "BCEWithLogitsLoss"):
        loss = losses.get(name)()
        loss.check((1,), 2, ())
        message = (
            r"got outputs of shape \(3,\) from the last layer, expected \(2,\) or \(1,\) for 2 classes; "
            r"end the stack with Linear: {out_features: 2 or 1}"
        )
        with pytest.raises(ShapeError, match=message):
            loss.check((3,), 2, ())
        with pytest.raises(ShapeError, match=r"expected \(3,\) for 3 classes"):
            loss.check((1,), 3, ())
        with pytest.raises(ShapeError, match=r"got classes 0 to 2, expected 0 to 1 for 1 logits"):
            loss.forward(np.full((2, 1), 0.5), np.array([0, 2]))
    with pytest.raises(
        ShapeError, match=r"expected \(2,\) for 2 classes; end the stack with Linear: .out_features: 2}"
    ):
        MSELoss().check((1,), 2, ())


ONE_HOT = [name for name in names("losses") if losses.get(name).one_hot]


@pytest.mark.parametrize(
    ("name", "k"), [(name, k) for name in ONE_HOT for k in (1, 2, 4) if k > 1 or losses.get(name).binary]
)
def test_classes_are_one_hot_rows(name: str, k: int) -> None:
    loss: Loss = losses.get(name)()
    rng = np.random.default_rng(0)
    targets = rng.integers(max(k, 2), size=5)
    rows = np.eye(k)[targets] if k > 1 else targets[:, None].astype(float)
    for dtype in (np.float32, np.float64):
        y_pred = loss.draw(rng, (5, k))[0].astype(dtype)
        expected = loss.forward(y_pred, rows), loss.backward()
        assert not loss.of_classes
        inside = losses.get(name)()
        inside.scratch, inside.dtype = {}, np.dtype(dtype)
        for tried in (loss, inside):
            assert tried.forward(y_pred, targets) == pytest.approx(expected[0], rel=1e-6)
            np.testing.assert_array_equal(tried.backward(), expected[1])
            assert tried.backward().dtype == dtype
            assert tried.of_classes


@pytest.mark.parametrize(
    ("loss", "outputs", "values"),
    [
        (MSELoss(), [[-1.0, 2.0]], [[-1.0, 2.0]]),
        (BCEWithLogitsLoss(), [[0.0, math.log(3)]], [[0.5, 0.75]]),
        (BCELoss(), [[0.5, 0.75]], [[0.5, 0.75]]),
        (KLDivLoss(), np.log([[0.25, 0.75]]), [[0.25, 0.75]]),
        (KLDivLoss(log_target=True), [[-1.0, -0.5]], [[-1.0, -0.5]]),
        (PoissonNLLLoss(), np.log([[3.0, 0.5]]), [[3.0, 0.5]]),
        (PoissonNLLLoss(log_input=False), [[3.0, 0.5]], [[3.0, 0.5]]),
    ],
)
def test_values_are_told_in_the_units_of_the_targets(loss: Any, outputs: Any, values: Any) -> None:
    np.testing.assert_allclose(loss.logits(np.array(outputs)), values, rtol=1e-14)


def softmax(z: Any) -> Any:
    return np.exp(z) / np.exp(z).sum(axis=1, keepdims=True)


@pytest.mark.parametrize("name", ["MSELoss", "L1Loss", "HuberLoss", "SmoothL1Loss", "LogCoshLoss"])
def test_scores_of_outputs_that_are_probabilities(name: str) -> None:
    loss = losses.get(name)()
    outputs = np.array([[0.7, 0.2, 0.1], [1.4, 0.4, 0.2], [-3.0, -2.0, -5.0], [0.0, 0.009, -1e3]])
    loss.forward(outputs, np.array([0, 1, 2, 1]))
    scores = loss.logits(outputs)
    np.testing.assert_allclose(softmax(scores)[:2], [[0.7, 0.2, 0.1]] * 2, rtol=1e-14)
    np.testing.assert_array_equal(np.argsort(scores), np.argsort(outputs))


def test_scores_of_one_output_are_its_log_odds() -> None:
    z, p, t = np.array([[-2.0], [0.5]]), 1 / (1 + np.exp([[2.0], [-0.5]])), np.array([0, 1])
    on_logits, on_probabilities = BCEWithLogitsLoss(), BCELoss()
    assert on_logits.forward(z, t) == pytest.approx(on_probabilities.forward(p, t), rel=1e-14)
    for loss, outputs in ((on_logits, z), (on_probabilities, p)):
        np.testing.assert_allclose(softmax(loss.logits(outputs)), np.hstack([1 - p, p]), rtol=1e-14)
    on_probabilities.forward(np.array([[0.0], [1.0]]), t)
    np.testing.assert_array_equal(on_probabilities.logits(np.array([[0.0], [1.0]])), [[0, -100], [0, 100]])


def test_probabilities_at_their_ends_cost_a_finite_loss() -> None:
    loss = BCELoss()
    for dtype in (np.float32, np.float64):
        p = np.array([[0.0, 1.0, 0.0, 1.0]], dtype)
        assert loss.forward(p, np.array([[0.0, 1.0, 1.0, 0.0]])) == 50.0
        np.testing.assert_allclose(loss.backward(), [[0, 0, -0.25e12, 0.25e12]], rtol=1e-6)


@pytest.mark.parametrize(
    ("loss", "outputs", "message"),
    [
        (
            BCELoss(),
            [[-0.25, 1.5]],
            "BCELoss: got outputs from -0.25 to 1.5, expected probabilities from 0 to 1; end the stack with Sigmoid, "
            "or use BCEWithLogitsLoss",
        ),
        (
            PoissonNLLLoss(log_input=False),
            [[0.5, -1.0]],
            "PoissonNLLLoss: got an output of -1, expected rates of 0 or more; end the stack with Softplus, or set "
            "log_input: true",
        ),
        (
            BCEWithLogitsLoss(pos_weight=[1, 2, 3]),
            [[0.5, -1.0]],
            "BCEWithLogitsLoss: got 3 numbers as pos_weight and logits of shape (1, 2), expected a number for each "
            "output",
        ),
    ],
)
def test_outputs_that_a_loss_cannot_take(loss: Loss, outputs: Any, message: str) -> None:
    with pytest.raises(ShapeError) as caught:
        loss.forward(np.array(outputs), np.array([[0.0, 1.0]]))
    assert str(caught.value) == message


@pytest.mark.parametrize(
    ("loss", "message"),
    [
        (BCELoss(), "BCELoss: got targets from -1 to 2, expected 0 to 1; scale them, or use a loss on any values "),
        (BCEWithLogitsLoss(), "BCEWithLogitsLoss: got targets from -1 to 2, expected 0 to 1; scale them, "),
        (PoissonNLLLoss(), "PoissonNLLLoss: got targets from -1 to 2, expected 0 or more; scale them, "),
    ],
)
def test_targets_that_a_loss_cannot_take(loss: Loss, message: str) -> None:
    with pytest.raises(DataError) as caught:
        loss.forward(np.array([[0.5, 0.5]]), np.array([[-1.0, 2.0]]))
    assert str(caught.value).startswith(message)


WEIGHTS = [CrossEntropyLoss(weight=[1, 2, 0]), NLLLoss(weight=[1, 2, 0]), FocalLoss(alpha=[1, 2, 0])]
WEIGHTS += [MultiMarginLoss(weight=[1, 2, 0]), CrossEntropyLoss(weight=[1, 2, 0], label_smoothing=0.1)]


@pytest.mark.parametrize("loss", WEIGHTS, ids=repr)
def test_a_batch_without_weight_counts_nothing(loss: Loss) -> None:
    z, t = np.random.default_rng(0).normal(size=(4, 3)), np.full(4, 2)
    value = loss.forward(z, t)
    assert math.isfinite(value)
    assert np.isfinite(loss.backward()).all()
    assert loss.sums(value, t)[0] == 0
    smoothed = isinstance(loss, CrossEntropyLoss) and loss.label_smoothing
    assert smoothed or (value == 0 and not loss.backward().any())


@pytest.mark.parametrize("loss", WEIGHTS[:4], ids=repr)
def test_a_weight_for_each_class(loss: Loss) -> None:
    loss.check((3,), 3, ())
    with pytest.raises(ConfigError, match=r"^got factors of 3 classes, expected 4: one for each class$"):
        loss.check((4,), 4, ())
    with pytest.raises(ShapeError, match=r": got factors of 3 classes and y_pred of shape \(1, 2\), expected one for"):
        loss.forward(np.zeros((1, 2)), np.array([0]))
    name = "alpha" if isinstance(loss, FocalLoss) else "weight"
    with pytest.raises(ConfigError, match=r"^got \[0.0, 0.0\] as factors of the classes, expected one above 0$"):
        type(loss)(**{name: [0, 0]})
    got = rf"^{type(loss).__name__}: got {name} = \[1, -1\], expected null or a list, each a"
    with pytest.raises(ConfigError, match=got):
        type(loss)(**{name: [1, -1]})


@pytest.mark.parametrize("name", names("losses"))
def test_an_unknown_reduction_is_refused(name: str) -> None:
    with pytest.raises(
        ConfigError, match=rf"^{name}: got reduction = 'none', expected ('batchmean', )?'mean' or 'sum'$"
    ):
        losses.get(name)(reduction="none")


def test_focal_loss_against_the_paper() -> None:
    rng = np.random.default_rng(0)
    z, t, alpha = 3 * rng.normal(size=(6, 3)), rng.integers(3, size=6), [0.5, 1.0, 2.0]
    p = softmax(z)[np.arange(6), t]
    expected = np.mean(-np.array(alpha)[t] * (1 - p) ** 1.5 * np.log(p))
    assert FocalLoss(gamma=1.5, alpha=alpha).forward(z, t) == pytest.approx(expected, rel=1e-13)
    plain, cross = FocalLoss(gamma=0.0), CrossEntropyLoss()
    assert plain.forward(z, t) == pytest.approx(cross.forward(z, t), rel=1e-14)
    np.testing.assert_allclose(plain.backward(), cross.backward(), rtol=1e-12, atol=1e-16)


def test_focal_loss_where_the_class_is_certain() -> None:
    for gamma in (0.0, 0.5, 2.0):
        loss = FocalLoss(gamma=gamma)
        assert loss.forward(np.array([[800.0, 0.0], [30.0, 0.0]]), np.array([0, 0])) < 1e-12
        assert np.isfinite(loss.backward()).all()
    miss = math.exp(-30) / (1 + math.exp(-30))  # here 1 - p_t as a difference would hold three digits
    assert FocalLoss(gamma=1.0).forward(np.array([[30.0, 0.0]]), np.array([0])) == pytest.approx(miss**2, rel=1e-12)


def test_log_cosh_against_its_formula() -> None:
    d = np.random.default_rng(0).normal(size=(5, 3)) * 3
    loss = LogCoshLoss()
    assert loss.forward(d, np.zeros_like(d)) == pytest.approx(np.mean(np.log(np.cosh(d))), rel=1e-14)
    np.testing.assert_allclose(loss.backward(), np.tanh(d) / 15, rtol=1e-14)
    assert loss.forward(np.array([[1e5]]), np.array([[0.0]])) == pytest.approx(1e5 - math.log(2), rel=1e-15)
