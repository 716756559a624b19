"""The gradient checker passes what is right, on every registered component, and names what is wrong."""

from __future__ import annotations

import json
import time
from typing import Any

import numpy as np
import pytest
from registered import build, of, rows

from dlcli.core.arena import Array, Views
from dlcli.core.errors import ShapeError
from dlcli.nn.gradcheck import Report, Row, check_layer, check_loss, check_network, verdict
from dlcli.nn.gradcheck.settings import COMPLEX_THRESHOLD
from dlcli.nn.gradcheck.slopes import bent
from dlcli.nn.layers.dropout import Dropout
from dlcli.nn.layers.flatten import Flatten
from dlcli.nn.layers.linear import Linear
from dlcli.nn.layers.relu import ReLU
from dlcli.nn.layers.residual import Residual
from dlcli.nn.layers.sequential import Sequential
from dlcli.nn.layers.tanh import Tanh
from dlcli.nn.losses.cross_entropy import CrossEntropyLoss
from dlcli.nn.losses.huber import HuberLoss
from dlcli.nn.losses.mse import MSELoss
from dlcli.nn.network import Network


def failures(rows: list[Row]) -> list[tuple[str, str]]:
    return [(row.layer, row.tensor) for row in rows if not row.passed]


def batch(seed: int, shape: tuple[int, ...], classes: int = 10) -> tuple[Array, Array]:
    rng = np.random.default_rng(seed)
    return rng.normal(size=(4, *shape)), rng.integers(classes, size=4)


def stack(*layers: Any, features: int = 12, seed: int = 0) -> Network:
    return Network(list(layers), (features,), seed=seed)


@pytest.mark.parametrize(("name", "example"), rows("layers"))
def test_every_layer_passes(name: str, example: Any) -> None:
    found = check_layer(of("layers", name, example), example.shape, seed=1)
    assert found
    assert failures(found) == []


@pytest.mark.parametrize(("name", "example"), rows("losses"))
def test_every_loss_passes(name: str, example: Any) -> None:
    found = check_loss(of("losses", name, example), example.shape, seed=1)
    assert found
    assert failures(found) == []


@pytest.mark.parametrize("method", ["complex", "differences"])
def test_no_false_alarm_in_20_seeds(method: str, monkeypatch: pytest.MonkeyPatch) -> None:
    if method == "differences":
        monkeypatch.setattr(ReLU, "complex_step", False)
    for seed in range(20):
        network = stack(Linear(None, 16), ReLU(), Dropout(0.3), Linear(None, 10), features=30, seed=seed)
        report = check_network(network, CrossEntropyLoss(), *batch(seed, (30,)), seed=seed)
        assert failures(report.rows) == []
        methods = {row.method for row in report.rows if row.layer == "end to end"}
        assert methods == ({"complex", "directional"} if method == "complex" else {"directional"})
        assert max(row.error for row in report.rows if row.method == "directional") < 1e-5


def test_mnist_network_is_checked_in_seconds_and_held_to_the_complex_step() -> None:
    network = Network([Flatten(), Linear(None, 128), ReLU(), Linear(None, 10)], (28, 28), seed=0)
    values = network.arena.values.copy()
    start = time.process_time()
    report = check_network(network, CrossEntropyLoss(), *batch(0, (28, 28)), seed=0)
    assert time.process_time() - start < 2
    assert report.passed
    assert max(row.error for row in report.rows if row.method == "complex") < 1e-12
    assert {row.tensor for row in report.rows if row.layer == "end to end"} == {
        "1.weight",
        "1.bias",
        "3.weight",
        "3.bias",
        "input",
    }
    assert np.array_equal(network.arena.values, values)


class TooLarge(Linear):
    """Every entry of the weight's gradient is 1 % too large."""

    def backward(self, dy: Array) -> Array | None:
        dx = super().backward(dy)
        self.grads["weight"] *= 1.01
        return dx


class OneEntry(Linear):
    """One entry of the weight's gradient is 0.1 % too large."""

    def backward(self, dy: Array) -> Array | None:
        dx = super().backward(dy)
        self.grads["weight"][3, 2] *= 1.001
        return dx


class Sign(Linear):
    """The bias's gradient has the wrong sign."""

    def backward(self, dy: Array) -> Array | None:
        dx = super().backward(dy)
        np.negative(self.grads["bias"], out=self.grads["bias"])
        return dx


class Transposed(Linear):
    """dx is made with the weight instead of its transpose."""

    def backward(self, dy: Array) -> Array | None:
        dx = super().backward(dy)
        return None if dx is None else dy @ self.params["weight"].T


class Swapped(Linear):
    """The weight's gradient is transposed."""

    def backward(self, dy: Array) -> Array | None:
        dx = super().backward(dy)
        self.grads["weight"] = self.grads["weight"].T.copy()
        return dx


class Forgotten(Linear):
    """The bias's gradient is never set."""

    def backward(self, dy: Array) -> Array | None:
        kept = self.grads["bias"].copy()
        dx = super().backward(dy)
        self.grads["bias"] = kept
        return dx


class Added(Linear):
    """Gradients are added to, not set."""

    def backward(self, dy: Array) -> Array | None:
        before = self.grads["bias"].copy()
        dx = super().backward(dy)
        self.grads["bias"] += before
        return dx


class Unscaled(CrossEntropyLoss):
    """The mean over the batch is missing."""

    def backward(self) -> Array:
        return super().backward() * len(self.p)


class Doubled(MSELoss):
    """The factor 2 stands there twice."""

    def backward(self) -> Array:
        return 2 * super().backward()


@pytest.mark.parametrize("complex_step", [True, False])
@pytest.mark.parametrize(
    ("wrong", "tensor", "hint"),
    [
        (TooLarge, "weight", "every entry is 1.01 times"),
        (OneEntry, "weight", "1 of "),
        (Sign, "bias", "the sign is wrong"),
        (Transposed, "input", "entries differ"),
        (Swapped, "weight", "the gradient is transposed"),
    ],
)
def test_a_wrong_gradient_is_named(
    wrong: type[Linear], tensor: str, hint: str, complex_step: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(wrong, "complex_step", complex_step)
    failed = [row for row in check_layer(wrong(6, 6), (6,), seed=0) if not row.passed]
    assert [row.method for row in failed] == (["complex", "directional"] if complex_step else ["directional"])
    for row in failed:
        assert (row.layer, row.tensor) == (wrong.__name__, tensor)
        assert row.hint is not None
        assert hint in row.hint
        assert row.verdict in ("suspicious", "bug")
        if wrong is OneEntry:
            assert row.worst == (3, 2)
            assert row.ratio == pytest.approx(1.001, rel=1e-6)


def test_a_wrong_entry_of_a_large_weight_is_found() -> None:
    found = check_layer(OneEntry(784, 128), (784,), seed=0)
    row, *others = [row for row in found if not row.passed]
    assert (row.tensor, row.worst) == ("weight", (3, 2))
    assert all(other.tensor == "weight" for other in others)


@pytest.mark.parametrize("wrong", [Forgotten, Added])
def test_a_gradient_that_is_not_set_is_named(wrong: type[Linear]) -> None:
    (row,) = check_layer(wrong(5, 3), (5,), seed=0)
    assert (row.tensor, row.method, row.verdict) == ("bias", "contract", "bug")
    assert "set it (do not add to it)" in str(row.hint)


@pytest.mark.parametrize(
    ("loss", "tensor", "hint"),
    [(Unscaled(), "logits", "the mean over the batch is missing"), (Doubled(), "y_pred", "a factor 2 too many")],
)
def test_a_wrong_loss_is_named(loss: Any, tensor: str, hint: str) -> None:
    for row in check_loss(loss, (5,), seed=0):
        assert (row.passed, row.tensor) == (False, tensor)
        assert hint in str(row.hint)


def test_a_tensor_of_fewer_entries_than_samples_is_described() -> None:
    row = next(row for row in check_layer(TooLarge(5, 2), (5,), batch=16) if not row.passed)
    assert row.hint == "every entry is 1.01 times what it should be"


def test_in_a_network_the_guilty_layer_stands_first() -> None:
    network = stack(Linear(None, 8), Tanh(), TooLarge(None, 8), Tanh(), Linear(None, 10))
    report = check_network(network, CrossEntropyLoss(), *batch(0, (12,)), seed=0)
    failed = [row for row in report.rows if not row.passed]
    assert {(row.layer, row.tensor) for row in failed} == {("2 TooLarge", "weight"), ("end to end", "2.weight")}
    assert failed[0].layer == "2 TooLarge"
    assert {row.hint for row in failed if row.layer == "end to end"} == {"see 2 TooLarge"}


def test_a_layer_inside_a_container_is_named() -> None:
    network = stack(Sequential([Linear(None, 8), Sign(None, 8)]), Linear(None, 10))
    report = check_network(network, CrossEntropyLoss(), *batch(0, (12,)), seed=0)
    assert failures(report.rows)[0] == ("0.1 Sign", "bias")


def test_the_lists_inside_a_container_have_no_rows() -> None:
    network = stack(Residual([Sign(None, 12)]), Linear(None, 10))
    report = check_network(network, CrossEntropyLoss(), *batch(0, (12,)), seed=0)
    layers = list(dict.fromkeys(row.layer for row in report.rows))
    assert layers == ["0 Residual", "0.body.0 Sign", "1 Linear", "CrossEntropyLoss", "end to end"]
    assert failures(report.rows)[0] == ("0.body.0 Sign", "bias")


def test_parameters_that_start_on_a_kink_are_no_failure() -> None:
    # A block that begins as the identity hands zeros of the ReLU before it to the one behind it.
    zero = build("initializers", "zeros", {})
    body = [Linear(None, 6), Tanh(), Linear(None, 6, init={"weight": zero, "bias": zero})]
    network = Network([Linear(None, 6), ReLU(), Residual(body), ReLU()], (4,), dtype=np.float64)
    values, x = network.arena.values.copy(), np.random.default_rng(0).normal(size=(5, 4))
    report = check_network(network, MSELoss(), x, np.zeros((5, 6)), seed=0)
    assert failures(report.rows) == []
    np.testing.assert_array_equal(network.arena.values, values)


def test_relu_at_zero_is_no_failure(monkeypatch: pytest.MonkeyPatch) -> None:
    x, y = batch(0, (12,))
    x[:, ::2] = 0
    for complex_step in (True, False):
        monkeypatch.setattr(ReLU, "complex_step", complex_step)
        report = check_network(stack(ReLU(), Linear(None, 10)), CrossEntropyLoss(), x, y, seed=0)
        assert failures(report.rows) == []


@pytest.mark.parametrize("complex_step", [True, False])
def test_huber_at_its_corner_is_no_failure(complex_step: bool, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(HuberLoss, "complex_step", complex_step)
    x, _ = batch(0, (3,))
    identity = Network([Flatten()], (3,), seed=0)
    for gap in (1.0, -1.0):
        assert failures(check_network(identity, HuberLoss(), x, x - gap, seed=0).rows) == []


def test_wrong_slope_beside_a_kink_is_found() -> None:
    class Half(ReLU):
        def backward(self, dy: Array) -> Array:
            return super().backward(dy) * 0.5

    for complex_step in (True, False):
        Half.complex_step = complex_step
        x, y = batch(0, (12,))
        x[:, ::2] = 0
        report = check_network(stack(Half(), Linear(None, 10)), CrossEntropyLoss(), x, y, seed=0)
        first = next(row for row in report.rows if not row.passed)
        assert (first.layer, first.tensor) == ("0 Half", "input")
        assert first.hint == "a factor 2 is missing"


def test_a_forward_that_is_not_analytic_is_checked_by_differences() -> None:
    class Modulus(Tanh):
        complex_step = True

        def forward(self, x: Array, training: bool) -> Array:
            self.sign = np.sign(x.real)
            return np.abs(x)

        def backward(self, dy: Array) -> Array:
            return dy * self.sign

        def branch(self) -> Array:
            return self.sign

    (row,) = check_layer(Modulus(), (4,), seed=0)
    assert (row.passed, row.method) == (True, "directional")


def test_dropout_is_checked_in_both_modes() -> None:
    found = check_layer(Dropout(0.5), (20,), seed=0)
    assert [(row.mode, row.passed) for row in found] == 2 * [("training", True)] + 2 * [("evaluation", True)]


class Centred(Tanh):
    """y = x - mean, of the batch in training, of the past in evaluation; counts every pass in its state."""

    def setup(self, in_shape: tuple[int, ...]) -> tuple[int, ...]:
        self.state = Views({"mean": np.full(in_shape, 2.0)})
        return in_shape

    def forward(self, x: Array, training: bool) -> Array:
        self.training = training
        if training:
            self.state["mean"] = self.state["mean"] + x.mean(axis=0)
        return x - (x.mean(axis=0) if training else self.state["mean"] ** 2)

    def backward(self, dy: Array) -> Array:
        return dy - dy.mean(axis=0) if self.training else dy


def test_state_is_put_back_between_passes_and_modes() -> None:
    layer = Centred()
    found = check_layer(layer, (5,), seed=0)
    assert [(row.mode, row.method, row.passed) for row in found] == [
        (mode, method, True) for mode in ("training", "evaluation") for method in ("complex", "directional")
    ]
    network = stack(Centred(), Linear(None, 10))
    assert check_network(network, CrossEntropyLoss(), *batch(0, (12,)), seed=0).passed
    assert (network.layers[0].state["mean"] == 2).all()


def test_zero_gradients_pass() -> None:
    class Constant(Tanh):
        complex_step = False

        def forward(self, x: Array, training: bool) -> Array:
            return np.ones_like(x)

        def backward(self, dy: Array) -> Array:
            return np.zeros_like(dy)

    (row,) = check_layer(Constant(), (4,), seed=0)
    assert row.error == 0


def test_a_shape_that_does_not_fit_is_an_error() -> None:
    with pytest.raises(ShapeError, match="Flatten"):
        check_layer(Linear(None, 3), (2, 2), seed=0)


def test_the_same_seed_gives_the_same_figures() -> None:
    first, second = (check_layer(Linear(5, 3), (5,), seed=3) for _ in range(2))
    assert len(first) == 6
    assert [row.error for row in first] == [row.error for row in second]


@pytest.mark.parametrize(
    ("error", "word"),
    [(0.0, "excellent"), (9e-8, "excellent"), (2e-7, "good"), (2e-5, "suspicious"), (2e-2, "bug"), (np.nan, "bug")],
)
def test_verdicts(error: float, word: str) -> None:
    assert verdict(error) == word


def test_a_row_above_the_bound_of_the_complex_step_is_suspicious() -> None:
    row = Row("0 Linear", "weight", 1e-9, "complex", COMPLEX_THRESHOLD)
    assert (row.passed, row.verdict) == (False, "suspicious")


def test_reports_are_json() -> None:
    rows = [
        Row("0 Linear", "weight", 1e-13, "complex", COMPLEX_THRESHOLD),
        Row("1 X", "forward", np.inf, "contract", 0.0, hint="forward raised ValueError: no"),
    ]
    text = json.loads(json.dumps(Report(rows).to_dict(), allow_nan=False))
    assert (text["passed"], text["threshold"]) == (False, 1e-5)
    assert text["rows"][0].items() >= {"layer": "0 Linear", "tensor": "weight", "verdict": "excellent"}.items()
    assert (text["rows"][1]["error"], text["rows"][1]["hint"]) == (None, "forward raised ValueError: no")


@pytest.mark.parametrize("corner", [-0.99, -0.5, 0.0, 0.5, 0.99])
def test_five_points_tell_a_corner_from_a_curve(corner: float) -> None:
    at = np.arange(-2.0, 3.0)

    def off(values: Array, slope: float) -> float:
        return abs((values[3] - values[1]) / 2 - slope)

    kinked = np.maximum(0, at - corner)
    assert bent(list(kinked), off(kinked, float(corner < 0)))
    for smooth in (100 * at**2, np.exp(1e-3 * at), 3 * at):
        assert not bent(list(smooth), 1e-3 * float(np.ptp(smooth)))


def test_a_wrong_slope_on_a_strong_curve_is_no_kink() -> None:
    class Steep(Tanh):
        """y = exp(20 x), whose slope changes by more within a step than the error is."""

        complex_step = False

        def forward(self, x: Array, training: bool) -> Array:
            self.slopes = 20 * np.exp(20 * x)
            return self.slopes / 20

        def backward(self, dy: Array) -> Array:
            return dy * self.slopes * 1.0001

    (row,) = check_layer(Steep(), (4,), seed=0)
    assert (row.passed, row.kinks, row.hint) == (False, 0, "every entry is 1.0001 times what it should be")


def test_kinks_that_made_the_point_move_are_counted() -> None:
    x, y = batch(0, (12,))
    x[:, ::2] = 0
    report = check_network(stack(ReLU(), Linear(None, 10)), CrossEntropyLoss(), x, y, seed=0)
    assert report.passed
    assert sum(row.kinks for row in report.rows if row.layer == "0 ReLU") >= 4


def test_a_network_is_checked_in_evaluation_where_that_differs() -> None:
    network = stack(Linear(None, 8), Dropout(0.3), Linear(None, 10))
    report = check_network(network, CrossEntropyLoss(), *batch(0, (12,)), seed=0)
    assert {row.layer for row in report.rows if row.mode == "evaluation"} == {"1 Dropout", "end to end"}
    assert report.passed


def test_a_forward_that_raises_in_evaluation_only_is_named() -> None:
    class Fragile(Tanh):
        def forward(self, x: Array, training: bool) -> Array:
            if not training:
                raise ValueError("not like this")
            return super().forward(x, training)

    last = check_layer(Fragile(), (4,), seed=0)[-1]
    assert (last.method, last.mode, last.hint) == (
        "contract",
        "evaluation",
        "forward raised ValueError: not like this",
    )


@pytest.mark.parametrize("complex_step", [True, False])
def test_every_entry_finds_what_directions_hardly_see(complex_step: bool, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(OneEntry, "complex_step", complex_step)
    found = check_layer(OneEntry(8, 6), (8,), seed=0, full=True)
    assert {(row.tensor, row.worst) for row in found if not row.passed} == {("weight", (3, 2))}
    assert {row.tensor: row.entries for row in found} == {"weight": 48, "bias": 6, "input": 32}


def test_planted_errors_are_found_and_what_has_no_gradient_is_told() -> None:
    class Half(Linear):
        """The bias has no effect."""

        def forward(self, x: Array, training: bool) -> Array:
            self.x = x
            return x @ self.params["weight"].T

        def backward(self, dy: Array) -> Array | None:
            dx = super().backward(dy)
            self.grads["bias"][:] = 0
            return dx

    found = check_layer(Half(5, 3), (5,), seed=0, prove=True)
    assert {(row.tensor, row.proof) for row in found} == {("weight", "found"), ("bias", "zero"), ("input", "found")}


def test_an_error_that_the_threshold_lets_through_is_missed() -> None:
    found = check_layer(Tanh(), (5,), seed=0, prove=True, threshold=1e-2)
    assert [(row.method, row.proof, row.passed) for row in found] == [
        ("complex", "found", True),
        ("directional", "missed", False),
    ]
    assert found[1].hint == "an error of 0.1 % planted in this gradient passes a threshold of 0.01"


def test_a_gradient_below_the_round_off_of_the_loss_is_told() -> None:
    class Faint(Tanh):
        def forward(self, x: Array, training: bool) -> Array:
            return 1e6 + 1e-9 * x

        def backward(self, dy: Array) -> Array:
            return 1e-9 * dy

    found = check_layer(Faint(), (5,), seed=0, prove=True)
    assert [(row.method, row.proof) for row in found] == [("complex", "found"), ("directional", "small")]


def test_what_backward_leaves_in_a_buffer_is_found() -> None:
    class Stale(ReLU):
        def backward(self, dy: Array) -> Array:
            dx = self.buffer("dx", dy.shape)
            np.copyto(dx, dy, where=self.mask)  # and leaves the rest as it was
            return dx

    (row,) = check_layer(Stale(), (5,), seed=0)
    assert (row.tensor, row.method) == ("input", "contract")
    assert "not finite" in str(row.hint)


def test_a_gradient_that_is_wrong_without_dx_is_found() -> None:
    class Lazy(Linear):
        def backward(self, dy: Array) -> Array | None:
            dx = super().backward(dy)
            if not self.needs_input_grad:
                self.grads["weight"] *= 2
            return dx

    (row,) = check_layer(Lazy(5, 3), (5,), seed=0)
    assert (row.tensor, row.hint) == ("weight", "without needs_input_grad backward gives another gradient")


def test_images_lie_in_memory_as_in_a_network() -> None:
    class Strided(Tanh):
        """Right only where the channels do not lie innermost."""

        def forward(self, x: Array, training: bool) -> Array:
            self.wrong = 1.0 if x.flags.c_contiguous else 2.0
            return x.copy()

        def backward(self, dy: Array) -> Array:
            return self.wrong * dy

    assert not any(row.passed for row in check_layer(Strided(), (2, 3, 3), seed=0))
    network = Network([Tanh(), Strided(), Flatten(), Linear(None, 10)], (2, 3, 3), seed=0)
    report = check_network(network, CrossEntropyLoss(), *batch(0, (2, 3, 3)), seed=0)
    assert failures(report.rows)[0] == ("1 Strided", "input")
