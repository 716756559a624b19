"""What every optimizer promises, over registry x examples."""

from __future__ import annotations

import copy
import math
import pickle
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
from registered import names, of, rows

from dlcli.core.arena import Arena, Parameter
from dlcli.core.errors import ConfigError
from dlcli.core.workers import Workers
from dlcli.optim.optimizer import Optimizer, optimizers
from dlcli.optim.sgd import SGD

each_optimizer = pytest.mark.parametrize(("name", "example"), rows("optimizers"))

PARAMETERS = [
    Parameter("0.weight", (3, 4)),
    Parameter("0.bias", (3,), decay=0.0),
    Parameter("1.weight", (2, 3), lr_mult=2.0, decay=0.5),
    Parameter("2.weight", (2, 2), trainable=False),
    Parameter("3.weight", (5,), lr_mult=0.5, decay=1.0),
    Parameter("4.weight", (6, 2, 2, 3)),
    Parameter("5.weight", (7, 2)),
]


def arena(dtype: Any = np.float64) -> Arena:
    made = Arena(PARAMETERS, dtype)
    rng = np.random.default_rng(0)
    for p in PARAMETERS:
        made.params[p.name] = rng.normal(size=p.shape).astype(dtype)
    return made


def gradient(step: int, p: Parameter) -> Any:
    return np.random.default_rng([step, PARAMETERS.index(p)]).normal(size=p.shape)


def fill(made: Arena, step: int) -> None:
    for p in PARAMETERS:
        made.gradients[p.name] = gradient(step, p).astype(made.dtype)


def rate(base: float, step: int) -> float:
    return base * (0.5 + 0.1 * step)


def trained(optimizer: Any, steps: int, dtype: Any = np.float64) -> Arena:
    made = arena(dtype)
    optimizer.bind(made)
    for step in range(steps):
        fill(made, step)
        optimizer.step(rate(optimizer.lr, step))
    return made


@each_optimizer
def test_float32_stays_float32_and_close(name: str, example: Any) -> None:
    narrow, wide = (
        trained(of("optimizers", name, example), 20, np.float32),
        trained(of("optimizers", name, example), 20),
    )
    assert narrow.values.dtype == np.float32
    np.testing.assert_allclose(narrow.values, wide.values, rtol=1e-4, atol=1e-5)


@each_optimizer
def test_two_runs_give_the_same_bits(name: str, example: Any) -> None:
    first, second = (trained(of("optimizers", name, example), 20, np.float32) for _ in range(2))
    assert first.values.tobytes() == second.values.tobytes()


@pytest.mark.parametrize("stop", [0, 1, 7])
@each_optimizer
def test_saved_and_restored_goes_on_to_the_same_bits(name: str, example: Any, stop: int) -> None:
    whole = trained(of("optimizers", name, example), 12, np.float32)
    first = of("optimizers", name, example)
    half = trained(first, stop, np.float32)
    saved = {key: array.copy() for key, array in first.arrays().items()}
    second = of("optimizers", name, example)
    rest = trained(second, 9, np.float32)
    rest.load({key: array.copy() for key, array in half.params.items()})
    second.load(first.t, saved)
    for step in range(stop, 12):
        fill(rest, step)
        second.step(rate(second.lr, step))
    assert rest.values.tobytes() == whole.values.tobytes()
    assert {k: a.tobytes() for k, a in second.arrays().items()}.keys() == saved.keys()


@each_optimizer
def test_state_is_named_and_shaped_like_the_trained_parameters(name: str, example: Any) -> None:
    optimizer = of("optimizers", name, example)
    trained(optimizer, 1)
    wanted = {f"{slot}.{p.name}": p.shape for slot in optimizer.slots for p in PARAMETERS if p.trainable}
    assert {key: array.shape for key, array in optimizer.arrays().items()} == wanted


@each_optimizer
def test_what_is_not_trainable_stays(name: str, example: Any) -> None:
    np.testing.assert_array_equal(
        trained(of("optimizers", name, example), 5).params["2.weight"], arena().params["2.weight"]
    )


@pytest.mark.parametrize("name", [n for n in names("optimizers") if hasattr(optimizers.get(n), "weight_decay")])
def test_decay_skips_biases(name: str) -> None:
    def run(weight_decay: float) -> Arena:
        return trained(optimizers.get(name)(lr=0.1, weight_decay=weight_decay), 5)

    without, decayed = run(0.0), run(0.3)
    np.testing.assert_array_equal(without.params["0.bias"], decayed.params["0.bias"])
    for weight in ("0.weight", "1.weight", "3.weight"):
        assert not np.allclose(without.params[weight], decayed.params[weight])


@pytest.mark.parametrize("name", names("optimizers"))
def test_lr_mult_zero_moves_nothing(name: str) -> None:
    made = Arena([Parameter("w", (3, 2), lr_mult=0.0), Parameter("v", (3, 2))], np.float64)
    optimizer = optimizers.get(name)(lr=0.1)
    optimizer.bind(made)
    for _ in range(3):
        made.grads[:] = 1.0
        optimizer.step(0.1)
    assert not made.params["w"].any()
    assert made.params["v"].all()


def minimum(name: str, slope: Callable[[Any], Any], start: list[float], lr: float, steps: int) -> Any:
    """Where `steps` steps lead, with lr falling to 0 in a line; without weight decay, which moves the minimum."""
    made = Arena([Parameter("w", (1, len(start)))], np.float64)
    made.values[:] = start
    cls = optimizers.get(name)
    optimizer = cls(lr=lr, **({"weight_decay": 0.0} if hasattr(cls, "weight_decay") else {}))
    optimizer.bind(made)
    for step in range(steps):
        made.grads[:] = slope(made.values)
        optimizer.step(lr * (1 - step / steps))
    return made.values


PARABOLA_LR = {"Adadelta": 5.0, "Adagrad": 0.5, "Adamax": 0.5, "RAdam": 0.5}
ROSENBROCK_LR = {"SGD": 2e-3, "SGDMomentum": 1e-4, "Adadelta": 0.5, "Adagrad": 2.0, "RAdam": 0.01, "RMSprop": 0.01}
"""Plain gradient descent diverges beyond about 2 / 1000, the largest curvature at the minimum."""

LAST_STEP = {"LAMB": 5e-4, "Muon": 5e-5}
"""How close those come whose step has one length however small the gradient is."""


@pytest.mark.parametrize("name", names("optimizers"))
def test_finds_the_bottom_of_a_parabola(name: str) -> None:
    """f = (w0 - 1)**2 / 2 + 5 (w1 + 2)**2"""
    found = minimum(
        name, lambda w: np.array([w[0] - 1, 10 * (w[1] + 2)]), [-3.0, 3.0], PARABOLA_LR.get(name, 0.05), 1500
    )
    np.testing.assert_allclose(found, [1.0, -2.0], atol=LAST_STEP.get(name, 1e-6))


@pytest.mark.parametrize("name", names("optimizers"))
def test_goes_down_the_rosenbrock_valley(name: str) -> None:
    """f = (1 - w0)**2 + 100 (w1 - w0**2)**2, from (-1.5, 2)"""

    def slope(w: Any) -> Any:
        return np.array([-2 * (1 - w[0]) - 400 * w[0] * (w[1] - w[0] ** 2), 200 * (w[1] - w[0] ** 2)])

    found = minimum(name, slope, [-1.5, 2.0], ROSENBROCK_LR.get(name, 0.05), 20_000)
    np.testing.assert_allclose(found, [1.0, 1.0], atol=0.05)


@pytest.mark.parametrize("options", [{"momentum": 0.0}, {"momentum": 0.9, "dampening": 0.1}])
def test_nesterov_needs_momentum(options: dict[str, float]) -> None:
    with pytest.raises(ConfigError, match="nesterov: true, which needs momentum > 0 and dampening 0"):
        SGD(lr=0.1, nesterov=True, **options)


def test_first_adam_step_has_the_size_of_the_learning_rate() -> None:
    """Whatever the gradient, m / sqrt(v) is its sign after the bias correction."""
    made = Arena([Parameter("w", (3,))], np.float64)
    optimizer = optimizers.get("Adam")(lr=0.1)
    optimizer.bind(made)
    made.grads[:] = [1e-3, -5.0, 1e6]
    optimizer.step(0.1)
    np.testing.assert_allclose(made.values, [-0.1, 0.1, -0.1], rtol=1e-4)


def test_nothing_to_train_is_no_error() -> None:
    made = Arena([Parameter("w", (2,), trainable=False)], np.float64)
    optimizer = SGD(lr=0.1, momentum=0.9)
    optimizer.bind(made)
    optimizer.step(0.1)
    assert optimizer.arrays() == {}
    assert not math.isnan(made.values.sum())


@pytest.mark.parametrize("copied", [copy.deepcopy, lambda thing: pickle.loads(pickle.dumps(thing))])
@each_optimizer
def test_a_copy_works_on_the_vectors_of_its_own_arena(name: str, example: Any, copied: Any) -> None:
    first = of("optimizers", name, example)
    first.bind(arena())
    twin = copied(first)
    for optimizer in (first, twin):
        for step in range(3):
            optimizer.arena.grads[:] = np.linspace(-1, step, optimizer.arena.grads.size)
            optimizer.step()
    assert not np.shares_memory(first.arena.values, twin.arena.values)
    np.testing.assert_array_equal(first.arena.values, twin.arena.values)
    assert copied(of("optimizers", name, example)).arena is None


@each_optimizer
def test_the_learning_rate_is_by_default_the_option(name: str, example: Any) -> None:
    first, second = (of("optimizers", name, example) for _ in range(2))
    for optimizer in (first, second):
        optimizer.bind(arena())
        optimizer.arena.grads[:] = 1.0
    first.step()
    second.step(second.lr)
    np.testing.assert_array_equal(first.arena.values, second.arena.values)


def test_lamb_steps_are_in_proportion_to_the_weight() -> None:
    """Without decay, a weight a thousand times as large moves a thousand times as far; a bias takes Adam's step."""
    made = Arena([Parameter("w", (2, 2)), Parameter("v", (2, 2)), Parameter("b", (2,), decay=0.0)], np.float64)
    optimizer = optimizers.get("LAMB")(lr=0.1, weight_decay=0.0)
    optimizer.bind(made)
    made.params["w"], made.params["v"] = np.ones((2, 2)), np.full((2, 2), 1000.0)
    made.grads[:] = 1.0
    optimizer.step()
    np.testing.assert_allclose(made.params["w"], 0.9, rtol=1e-5)
    np.testing.assert_allclose(made.params["v"], 900.0, rtol=1e-5)
    np.testing.assert_allclose(made.params["b"], -0.1, rtol=1e-5)


@pytest.mark.parametrize("shape", [(6, 6), (4, 30), (30, 4), (8, 3, 3, 3), (40, 2, 3, 3)])
def test_muon_steps_are_nearly_orthogonal(shape: tuple[int, ...]) -> None:
    """All singular values of a step lie near lr * s, while those of the gradient span a factor of a thousand."""
    made, rng = Arena([Parameter("w", shape)], np.float64), np.random.default_rng(0)
    optimizer = optimizers.get("Muon")(lr=1.0, weight_decay=0.0)
    optimizer.bind(made)
    left, sigma, right = np.linalg.svd(rng.normal(size=(shape[0], made.values.size // shape[0])), full_matrices=False)
    sigma = np.geomspace(1e-2, 10, len(sigma))
    made.gradients["w"] = (left @ np.diag(sigma) @ right).reshape(shape)
    optimizer.step()
    out, rest = left.shape[0], right.shape[1]
    found = np.linalg.svd(made.params["w"].reshape(out, rest), compute_uv=False) / max(1, out / rest) ** 0.5
    assert 0.3 < found.min() <= found.max() < 1.3


def test_muon_makes_no_step_of_a_gradient_of_zeros() -> None:
    made = Arena([Parameter("w", (3, 2))], np.float64)
    optimizer = optimizers.get("Muon")(lr=1.0)
    optimizer.bind(made)
    optimizer.step()
    assert not made.values.any()


@pytest.mark.parametrize("use", [lambda o: o.step(), lambda o: o.arrays(), lambda o: o.load(1, {})])
def test_nothing_goes_before_bind(use: Callable[[Any], Any]) -> None:
    with pytest.raises(RuntimeError, match=r"^SGD: not bound to parameters; call bind\(network.arena\) first$"):
        use(SGD(lr=0.1))


def test_only_an_arena_is_bound() -> None:
    with pytest.raises(ConfigError, match=r"^SGD: got 'network' to bind, expected an Arena; call bind\(network.arena"):
        SGD(lr=0.1).bind("network")  # type: ignore[arg-type]


class Natural(Optimizer):
    """Momentum as one writes it first, with assignments to attributes and names."""

    slots = ("velocity",)

    def update(self, part: Any, lr: float) -> None:
        part.slots["velocity"] = 0.9 * part.slots["velocity"] - lr * part.g
        part.g *= 0
        part.w += part.slots["velocity"]
        part.w = part.w * 1.0


@each_optimizer
@pytest.mark.parametrize("threads", [1, 3])
def test_lanes_change_no_bit(name: str, example: Any, threads: int, monkeypatch: pytest.MonkeyPatch) -> None:
    whole = trained(of("optimizers", name, example), 4)
    cut = [slice(0, 10), slice(10, 11), slice(11, 60), slice(60, whole.trainable)]
    monkeypatch.setattr("dlcli.optim.optimizer.lanes", lambda rows, size: list(enumerate(cut)))
    optimizer = of("optimizers", name, example)
    optimizer.workers = Workers(threads)
    np.testing.assert_array_equal(trained(optimizer, 4).values, whole.values)
    assert len(optimizer.lanes) == (len(cut) if optimizer.elementwise else 1)


def test_assignments_in_update_write_through() -> None:
    made = arena()
    optimizer = Natural(lr=0.1)
    optimizer.bind(made)
    start, grads = made.values.copy(), np.linspace(-1, 1, made.grads.size)
    for _ in range(2):
        made.grads[:] = grads
        optimizer.step()
    trained = slice(0, made.trainable)
    mult = np.concatenate([np.full(s.stop - s.start, s.lr_mult) for s in made.segments])
    np.testing.assert_allclose(made.values[trained], start[trained] - 0.29 * mult * grads[trained], rtol=1e-13)
    with pytest.raises(ValueError, match=r"^w: got shape \(1,\), expected"):
        optimizer.parts[0].w = np.zeros(1)
