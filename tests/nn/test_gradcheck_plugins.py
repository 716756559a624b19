"""Users' layers and losses under the gradient checker: plain classes, broken ones, and the tutorial's two functions."""

from __future__ import annotations

import re
from typing import Any

import numpy as np
import pytest

from dlcli.core.arena import Array
from dlcli.core.errors import ConfigError
from dlcli.nn.gradcheck import check_layer, check_loss, check_network, gradient_check, gradient_check_weights
from dlcli.nn.layer import plain_layer as as_layer
from dlcli.nn.layers.linear import Linear
from dlcli.nn.layers.relu import ReLU
from dlcli.nn.loss import plain_loss as as_loss
from dlcli.nn.losses.mse import MSELoss
from dlcli.nn.network import Network


class Leaky:
    """A plain class with a kink that it does not tell of."""

    def __init__(self, alpha: float = 0.1) -> None:
        self.alpha = alpha

    def forward(self, x: Array) -> Array:
        self.x = x
        return np.where(x > 0, x, self.alpha * x)

    def backward(self, dy: Array) -> Array:
        return np.where(self.x > 0, dy, self.alpha * dy)


class WrongLeaky(Leaky):
    """dx has the slopes swapped."""

    def backward(self, dy: Array) -> Array:
        return np.where(self.x > 0, self.alpha * dy, dy)


class Noisy:
    """Draws from NumPy's global numbers."""

    def forward(self, x: Array, training: bool) -> Array:
        self.mask = np.random.rand(*x.shape) < 0.5 if training else 1.0
        return x * self.mask

    def backward(self, dy: Array) -> Array:
        return dy * self.mask


class Raises:
    def forward(self, x: Array) -> Array:
        raise ValueError("no\nway")

    def backward(self, dy: Array) -> Array:
        return dy


class WrongShape:
    def forward(self, x: Array) -> Array:
        return x[:, :2]

    def backward(self, dy: Array) -> Array:
        return dy


class WrongDx:
    def forward(self, x: Array) -> Array:
        return x * 2

    def backward(self, dy: Array) -> Array:
        return dy[:, :2]


class Single:
    def forward(self, x: Array) -> Array:
        return x.astype(np.float32)

    def backward(self, dy: Array) -> Array:
        return dy


class Writes:
    def forward(self, x: Array) -> Array:
        x *= 2
        return x

    def backward(self, dy: Array) -> Array:
        return dy


class Unfrozen:
    def __init__(self) -> None:
        self.rng = np.random.default_rng(0)

    def forward(self, x: Array) -> Array:
        self.mask = self.rng.random(x.shape) < 0.5
        return x * self.mask

    def backward(self, dy: Array) -> Array:
        return dy * self.mask


class Overflows:
    def forward(self, x: Array) -> Array:
        return np.exp(1000 + x)

    def backward(self, dy: Array) -> Array:
        return dy


BROKEN: list[tuple[type, str, str]] = [
    (Raises, "forward", "forward raised ValueError: no\\nway"),
    (WrongShape, "forward", "forward gave shape (4, 2), expected (4, 5)"),
    (WrongDx, "input", "backward gave shape (4, 2), expected dx of shape (4, 5)"),
    (Single, "forward", "forward gave float32 for float64; keep the type of x"),
    (Writes, "forward", "forward writes its input x; work on a copy"),
    (Unfrozen, "forward", "a second run gives another result; draw random numbers from self.rng()"),
    (Overflows, "forward", "the result is not finite (inf)"),
]


@pytest.mark.parametrize(("cls", "tensor", "reason"), BROKEN, ids=[cls.__name__ for cls, _, _ in BROKEN])
def test_a_broken_layer_is_one_row_with_the_reason(cls: type, tensor: str, reason: str) -> None:
    (row,) = check_layer(as_layer(cls)(), (5,), seed=0)
    assert (row.layer, row.tensor, row.error, row.verdict) == (cls.__name__, tensor, np.inf, "bug")
    assert row.hint is not None
    assert row.hint.startswith(reason.split("(inf)")[0])


@pytest.mark.parametrize("cls", [Raises, WrongShape, WrongDx, Single, Writes, Unfrozen])
def test_a_broken_layer_in_a_network_is_named(cls: type) -> None:
    network = Network([Linear(None, 5), as_layer(cls)(), Linear(None, 3)], (4,), seed=0)
    rng = np.random.default_rng(0)
    report = check_network(network, MSELoss(), rng.normal(size=(4, 4)), rng.normal(size=(4, 3)), seed=0)
    first = next(row for row in report.rows if not row.passed)
    assert first.layer == f"1 {cls.__name__}"


def test_a_constructor_or_setup_that_raises_is_one_row() -> None:
    class Clumsy(ReLU):
        def setup(self, in_shape: tuple[int, ...]) -> tuple[int, ...]:
            return (in_shape[7],)

    (row,) = check_layer(Clumsy(), (5,), seed=0)
    assert (row.tensor, row.hint) == ("setup", "setup raised IndexError: tuple index out of range")


def test_a_plain_layer_passes_and_a_wrong_one_fails() -> None:
    (row,) = check_layer(as_layer(Leaky)(alpha=0.2), (5,), seed=0)
    assert (row.passed, row.method) == (True, "directional")
    (row,) = check_layer(as_layer(WrongLeaky)(), (5,), seed=0)
    assert (row.passed, row.tensor, row.verdict) == (False, "input", "bug")


@pytest.mark.parametrize(("cls", "passes"), [(Leaky, True), (WrongLeaky, False)])
def test_a_plain_layer_on_its_kink(cls: type, passes: bool) -> None:
    rng = np.random.default_rng(0)
    network = Network([Linear(None, 8), ReLU(), as_layer(cls)(), Linear(None, 3)], (6,), seed=0)
    x, y = rng.normal(size=(4, 6)), rng.normal(size=(4, 3))
    report = check_network(network, MSELoss(), x, y, seed=0)
    assert report.passed == passes
    assert passes or next(row.layer for row in report.rows if not row.passed) == "2 WrongLeaky"


def test_global_random_numbers_are_frozen_and_put_back() -> None:
    np.random.seed(3)
    before = np.random.get_state()[1].copy()
    found = check_layer(as_layer(Noisy)(), (20,), seed=0)
    assert [(row.mode, row.passed) for row in found] == [("training", True), ("evaluation", True)]
    assert np.array_equal(before, np.random.get_state()[1])


class Cubic:
    """A plain loss on values."""

    scale = 1.0

    def forward(self, y_pred: Array, y_true: Array) -> float:
        self.d = y_pred - y_true
        return float(np.mean(self.d**3))

    def backward(self) -> Array:
        return self.scale * 3 * self.d**2 / self.d.size


class WrongCubic(Cubic):
    scale = 1.001


class Chosen:
    """A plain loss on class indices."""

    def forward(self, y_pred: Array, y_true: Array) -> float:
        self.rows, self.at, self.shape = np.arange(len(y_true)), y_true, y_pred.shape
        return float(-y_pred[self.rows, y_true].mean())

    def backward(self) -> Array:
        dy = np.zeros(self.shape)
        dy[self.rows, self.at] = -1 / len(self.rows)
        return dy


class Tupled(Cubic):
    def forward(self, y_pred: Array, y_true: Array) -> Any:
        return (y_pred - y_true) ** 2


@pytest.mark.parametrize(("cls", "passes"), [(Cubic, True), (WrongCubic, False), (Chosen, True), (Tupled, False)])
def test_plain_losses(cls: type, passes: bool) -> None:
    (row,) = check_loss(as_loss(cls)(), (5,), seed=0)
    assert row.passed == passes
    assert row.layer == cls.__name__
    assert (row.method == "contract") == (cls is Tupled)


LINE = re.compile(r"Max Relative Error: \d\.\de[-+]\d\d \((excellent|good|suspicious|bug)\)\n")


@pytest.mark.parametrize("layer", [Linear(10, 5), ReLU(), Leaky()])
def test_the_tutorial_s_check_of_the_input(layer: Any, capsys: pytest.CaptureFixture[str]) -> None:
    x = np.random.default_rng(42).normal(size=(4, 10))
    before = x.copy()
    assert gradient_check(layer, x) is True
    found = LINE.fullmatch(capsys.readouterr().out)
    assert found is not None
    assert found[1] == "excellent"
    assert np.array_equal(x, before)


@pytest.mark.parametrize("layer", [Linear(3, 2), ReLU(), Leaky()])
def test_the_tutorial_s_check_takes_integers_and_kinks(layer: Any, capsys: pytest.CaptureFixture[str]) -> None:
    assert gradient_check(layer, np.array([[0, 1, -2], [3, 0, 0]]))
    assert "(excellent)" in capsys.readouterr().out


def test_the_tutorial_s_check_of_the_weights(capsys: pytest.CaptureFixture[str]) -> None:
    class Wrong(Linear):
        def backward(self, dy: Array) -> Array | None:
            dx = super().backward(dy)
            self.grads["bias"] *= 1.001
            return dx

    x = np.random.default_rng(42).normal(size=(4, 10))
    layer = Linear(10, 5)
    layer.forward(x)
    weight = layer.params["weight"].copy()
    assert gradient_check_weights(layer, x) is True
    assert LINE.fullmatch(capsys.readouterr().out)
    assert np.array_equal(layer.params["weight"], weight)
    assert gradient_check(Wrong(10, 5), x) is True
    capsys.readouterr()
    assert gradient_check_weights(Wrong(10, 5), x) is False
    assert "(suspicious)" in capsys.readouterr().out


def test_the_tutorial_s_check_finds_a_bug(capsys: pytest.CaptureFixture[str]) -> None:
    assert gradient_check(WrongLeaky(), np.random.default_rng(0).normal(size=(4, 5))) is False
    assert "(bug)" in capsys.readouterr().out
    assert gradient_check(WrongDx(), np.ones((2, 5))) is False


def test_a_layer_without_parameters_has_no_weights_to_check() -> None:
    with pytest.raises(ConfigError, match="ReLU: got a layer without parameters"):
        gradient_check_weights(ReLU(), np.ones((2, 3)))
