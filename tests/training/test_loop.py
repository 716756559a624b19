"""The training loop: it learns, repeats to the bit, goes on from any step, and stops before it does harm."""

from __future__ import annotations

import copy
import math
from itertools import islice
from typing import Any

import numpy as np
import pytest
from small_training import CLASSES, N, constrained, dropping, samples, trainer

from dlcli.core.errors import DivergedError
from dlcli.nn.layers.linear import Linear
from dlcli.nn.layers.relu import ReLU
from dlcli.nn.layers.tanh import Tanh
from dlcli.nn.losses.cross_entropy import CrossEntropyLoss
from dlcli.training.loop import EpochDone, StepDone, Trainer

SETUPS: dict[str, dict[str, Any]] = {
    "sgd": {},
    "momentum": {"optimizer": ("SGD", {"lr": 0.1, "momentum": 0.9, "nesterov": True, "weight_decay": 0.01})},
    "adam": {"optimizer": ("Adam", {"lr": 0.01})},
    "dropout": {"stack": dropping, "optimizer": ("AdamW", {"lr": 0.01})},
    "schedule": {"optimizer": ("SGDMomentum", {}), "schedule": ("OneCycleLR", {"warmup": "10%"})},
    "accumulate": {"stack": dropping, "accumulate": 2, "optimizer": ("Adam", {})},
    "clipped": {"clip_grad_norm": 0.1, "clip_grad_value": 0.02},
    "ema": {"ema": {"decay": 0.9}, "stack": dropping, "optimizer": ("Adam", {"lr": 0.01})},
    "mixup": {"mixup": 0.4, "stack": dropping, "optimizer": ("Adam", {"lr": 0.01})},
    "constrained": {"stack": constrained, "mixup": 1.0, "accumulate": 2, "ema": {"decay": 0.99, "warmup": False}},
    "drop_last": {"drop_last": True, "schedule": ("StepLR", {"step_size": "1 epoch"})},
}

each_setup = pytest.mark.parametrize("setup", SETUPS.values(), ids=SETUPS)


def everything(t: Trainer) -> dict[str, Any]:
    """All that a checkpoint holds, copied."""
    return {
        "values": t.network.arena.values.copy(),
        "averages": t.ema.averaged.arena.values.copy() if t.ema is not None else np.zeros(0),
        "t": t.optimizer.t,
        "slots": {name: array.copy() for name, array in t.optimizer.arrays().items()},
        "state": copy.deepcopy(t.state),
    }


def restore(t: Trainer, saved: dict[str, Any]) -> Trainer:
    t.network.arena.values[:] = saved["values"]
    if t.ema is not None:
        t.ema.averaged.arena.values[:] = saved["averages"]
    t.optimizer.load(saved["t"], saved["slots"])
    t.state = copy.deepcopy(saved["state"])
    return t


def bits(t: Trainer) -> bytes:
    saved = everything(t)
    vectors = [saved["values"].tobytes(), saved["averages"].tobytes()]
    return b"".join([*vectors, *(a.tobytes() for a in saved["slots"].values())])


@each_setup
def test_two_runs_give_the_same_facts_and_bits(setup: dict[str, Any]) -> None:
    first, second = trainer(**setup), trainer(**setup)
    assert list(first.run()) == list(second.run())
    assert bits(first) == bits(second)


@each_setup
def test_going_on_from_any_fact_gives_the_same_bits(setup: dict[str, Any]) -> None:
    whole = trainer(**setup)
    facts, saved = [], []
    for fact in whole.run():
        facts.append(fact)
        saved.append(everything(whole))
    for i, state in enumerate(saved):
        rest = restore(trainer(**setup), state)
        assert list(rest.run()) == facts[i + 1 :]
        assert bits(rest) == bits(whole)


def test_leaving_in_the_middle_and_running_again_loses_nothing() -> None:
    whole, parts = trainer(), trainer()
    facts = list(whole.run())
    assert list(islice(parts.run(), 4)) + list(parts.run()) == facts
    assert bits(parts) == bits(whole)


def test_another_seed_is_another_run() -> None:
    first, second = trainer(seed=1), trainer(seed=2)
    assert list(first.run()) != list(second.run())


def test_facts_count_steps_epochs_and_samples() -> None:
    facts = list(trainer(epochs=2).run())
    steps = [f for f in facts if isinstance(f, StepDone)]
    epochs = [f for f in facts if isinstance(f, EpochDone)]
    assert [f.step for f in steps] == list(range(1, 11))
    assert [f.epoch for f in steps] == [1] * 5 + [2] * 5
    assert [f.samples for f in steps] == [5, 5, 5, 5, 2] * 2
    assert [f.ends_epoch for f in steps] == [False, False, False, False, True] * 2
    assert [(f.step, f.epoch) for f in epochs] == [(5, 1), (10, 2)]
    assert facts.index(epochs[0]) == 5
    dropped = [f.samples for f in trainer(epochs=1, drop_last=True).run() if isinstance(f, StepDone)]
    assert dropped == [5, 5, 5, 5]


def test_epoch_figures_are_means_over_the_samples_and_steps() -> None:
    t = trainer(epochs=1)
    *steps, epoch = t.run()
    assert isinstance(epoch, EpochDone)
    weighted = sum(f.loss * f.samples for f in steps) / sum(f.samples for f in steps)
    assert epoch.figures["train.loss"] == pytest.approx(weighted, rel=1e-14)
    assert epoch.figures["grad_norm"] == pytest.approx(np.mean([f.grad_norm for f in steps]), rel=1e-14)
    assert (epoch.figures["train.accuracy"] * N) == pytest.approx(round(epoch.figures["train.accuracy"] * N))
    assert set(epoch.figures) == {"train.loss", "train.accuracy", "grad_norm"}


def test_validation_figures_join_the_epoch() -> None:
    t = trainer(epochs=2)
    t.validate = lambda: {"val.loss": float(t.state.step)}
    assert [f.figures["val.loss"] for f in t.run() if isinstance(f, EpochDone)] == [5.0, 10.0]


def test_learns_32_random_samples_by_heart() -> None:
    t = trainer(
        stack=lambda: [Linear(None, 64), ReLU(), Linear(None, CLASSES)],
        data=samples(32),
        optimizer=("Adam", {"lr": 0.02}),
        batch_size=8,
        epochs=100,
    )
    *_, last = t.run()
    assert isinstance(last, EpochDone)
    assert last.figures["train.loss"] < 0.002
    assert last.figures["train.accuracy"] == 1.0


GOLDEN = [1.307371, 1.170403, 1.288426, 1.507566, 1.136515, 1.405292, 1.097293, 2.75633, 1.481145, 1.338748]
"""The losses of the first ten steps of the dropout setup below."""


def test_ten_golden_losses() -> None:
    t = trainer(stack=dropping, optimizer=("SGD", {"lr": 0.5, "momentum": 0.9}), data=samples(50), batch_size=7)
    losses = [f.loss for f in islice(t.run(), 11) if isinstance(f, StepDone)][:10]
    assert losses == pytest.approx(GOLDEN, rel=1e-4)


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_accumulation_equals_the_big_batch(dtype: Any) -> None:
    """Also where the last micro-batch is short, because each is weighted by its samples."""
    big, small = trainer(batch_size=10, dtype=dtype), trainer(batch_size=5, accumulate=2, dtype=dtype)
    tolerance = {"rtol": 1e-12, "atol": 1e-14} if dtype is np.float64 else {"rtol": 1e-4, "atol": 1e-6}
    for one, other in zip(big.run(), small.run(), strict=True):
        assert (one.step, one.epoch, one.lr) == (other.step, other.epoch, other.lr)
        if isinstance(one, StepDone):
            assert isinstance(other, StepDone)
            assert one.samples == other.samples
            np.testing.assert_allclose([one.loss, one.grad_norm], [other.loss, other.grad_norm], **tolerance)
    np.testing.assert_allclose(big.network.arena.values, small.network.arena.values, **tolerance)


def moved(t: Trainer) -> tuple[Any, StepDone]:
    """What the first step added to the parameters, with its fact."""
    before = t.network.arena.values.copy()
    fact = next(iter(t.run()))
    assert isinstance(fact, StepDone)
    return t.network.arena.values - before, fact


def test_clipping_by_norm_keeps_the_direction() -> None:
    free, fact = moved(trainer(optimizer=("SGD", {"lr": 1.0}), dtype=np.float64))
    clipped, same = moved(trainer(optimizer=("SGD", {"lr": 1.0}), dtype=np.float64, clip_grad_norm=0.01))
    assert same.grad_norm == fact.grad_norm == pytest.approx(np.linalg.norm(free), rel=1e-12)
    np.testing.assert_allclose(clipped, free * 0.01 / (fact.grad_norm + 1e-6), rtol=1e-10, atol=1e-15)
    loose, _ = moved(trainer(optimizer=("SGD", {"lr": 1.0}), dtype=np.float64, clip_grad_norm=100.0))
    np.testing.assert_array_equal(loose, free)


def test_clipping_by_value_cuts_every_element() -> None:
    free, _ = moved(trainer(optimizer=("SGD", {"lr": 1.0}), dtype=np.float64))
    clipped, _ = moved(trainer(optimizer=("SGD", {"lr": 1.0}), dtype=np.float64, clip_grad_value=0.01))
    assert np.abs(free).max() > 0.01
    np.testing.assert_allclose(clipped, np.clip(free, -0.01, 0.01), rtol=1e-10, atol=1e-15)


def test_the_schedule_spans_the_whole_run() -> None:
    t = trainer(schedule=("CosineAnnealingLR", {}), epochs=2)
    facts = list(t.run())
    rates = [f.lr for f in facts if isinstance(f, StepDone)]
    assert rates == pytest.approx([0.1 * (1 + math.cos(math.pi * s / 10)) for s in range(10)], rel=1e-13)
    assert [f.lr for f in facts if isinstance(f, EpochDone)] == [rates[4], rates[9]]


def test_steps_are_counted_after_accumulation() -> None:
    t = trainer(accumulate=2, epochs=2)
    assert (t.per_epoch, t.span.steps) == (3, 6)
    assert [f.samples for f in t.run() if isinstance(f, StepDone)] == [10, 10, 2] * 2


class Broken(CrossEntropyLoss):
    """A loss whose gradient is infinite."""

    def backward(self) -> Any:
        return np.full_like(super().backward(), np.inf)


@pytest.mark.parametrize("momentum", [0.0, 0.9])
@pytest.mark.parametrize("accumulate", [1, 2])
def test_nothing_moves_where_the_loss_or_a_gradient_is_not_finite(accumulate: int, momentum: float) -> None:
    poisoned = samples()
    poisoned.inputs[3, 2] = np.nan
    options = {"optimizer": ("SGD", {"lr": 0.1, "momentum": momentum}), "accumulate": accumulate}
    for t, what in (
        (trainer(data=poisoned, **options), "the loss is nan"),
        (trainer(**options), "a gradient is not finite"),
    ):
        if "gradient" in what:
            t.loss = Broken()
            t.loss.scratch, t.loss.dtype = {}, t.network.dtype
        seen = [everything(t)]
        with pytest.raises(DivergedError) as caught:
            seen.extend(everything(t) for _ in t.run())
        before, after = seen[-1], everything(t)
        later = f"{what} with lr 0.1; lower optimizer.lr, add a warmup, or set train.clip_grad_norm"
        first = (
            f"{what} before any update: inputs, targets or first values are too large for float32; "
            "scale them, or set dtype: float64"
        )
        assert str(caught.value) == f"training diverged at step {t.state.step + 1}: {later if t.state.step else first}"
        assert after["values"].tobytes() == before["values"].tobytes()
        assert after["t"] == before["t"]


def test_a_huge_learning_rate_ends_with_finite_parameters() -> None:
    t = trainer(
        stack=lambda: [Linear(None, 8), ReLU(), Linear(None, 8), ReLU(), Linear(None, CLASSES)],
        optimizer=("SGD", {"lr": 1e9}),
        epochs=50,
    )
    with pytest.raises(DivergedError):
        list(t.run())
    assert np.isfinite(t.network.arena.values).all()


def test_a_large_finite_gradient_is_no_divergence() -> None:
    """Its squared norm overflows float32, its elements do not."""

    class Steep(CrossEntropyLoss):
        def backward(self) -> Any:
            return super().backward() * np.float32(1e25)

    for options, size in (({}, 1e25), ({"clip_grad_norm": 2.0}, 2.0)):
        t = trainer(optimizer=("SGD", {"lr": 1e-30}), epochs=1, **options)
        t.loss = Steep()
        t.loss.scratch, t.loss.dtype = {}, t.network.dtype
        fact = next(iter(t.run()))
        assert isinstance(fact, StepDone)
        assert 1e24 < fact.grad_norm < 1e26
        assert size / 10 < np.linalg.norm(t.network.arena.grads.astype(np.float64)) < size * 10


def test_a_validation_loss_that_is_not_finite_is_divergence() -> None:
    t = trainer(epochs=1)
    t.validate = lambda: {"val.loss": math.inf}
    with pytest.raises(DivergedError, match=r"training diverged: val\.loss is inf after epoch 1; lower optimizer\.lr"):
        list(t.run())


def test_frozen_layers_stay_and_do_not_count_in_the_norm() -> None:
    t = trainer(
        stack=lambda: [Linear(None, 8, trainable=False), Tanh(), Linear(None, CLASSES)],
        optimizer=("SGD", {"lr": 0.1, "momentum": 0.9}),  # which leaves the gradients as they are
        epochs=1,
    )
    before = t.network.params["0.weight"].copy()
    fact = next(iter(t.run()))
    norm = np.sqrt(sum((t.network.grads[name] ** 2).sum() for name in ("2.weight", "2.bias")))
    assert isinstance(fact, StepDone)
    assert fact.grad_norm == pytest.approx(norm, rel=1e-6)
    np.testing.assert_array_equal(t.network.params["0.weight"], before)


def test_constraints_hold_after_every_step() -> None:
    t = trainer(stack=constrained)
    for _ in t.run():
        assert np.linalg.norm(t.network.params["0.weight"], axis=1).max() < 0.3 * (1 + 1e-6)
        assert t.network.params["2.bias"].min() >= 0


def test_averages_leave_training_as_it_is() -> None:
    plain, averaged = trainer(), trainer(ema={"decay": 0.9})
    assert list(plain.run()) == list(averaged.run())
    assert plain.network.arena.values.tobytes() == averaged.network.arena.values.tobytes()
    assert averaged.ema is not None
    assert averaged.ema.averaged.arena.values.tobytes() != averaged.network.arena.values.tobytes()


def test_averages_take_in_every_step_once() -> None:
    t = trainer(ema={"decay": 0.5, "warmup": False}, accumulate=2, dtype=np.float64)
    assert t.ema is not None
    expected = t.network.arena.values.copy()
    for fact in t.run():
        if isinstance(fact, StepDone):
            expected = 0.5 * expected + 0.5 * t.network.arena.values
            np.testing.assert_allclose(t.ema.averaged.arena.values, expected, rtol=1e-12)


def test_mixtures_change_what_is_learned_and_are_measured_by_the_larger_share() -> None:
    plain, mixed = trainer(epochs=1), trainer(epochs=1, mixup=0.4)
    assert next(iter(plain.run())).loss != next(iter(mixed.run())).loss  # type: ignore[union-attr]
    t = trainer(
        stack=lambda: [Linear(None, 64), ReLU(), Linear(None, CLASSES)],
        data=samples(32),
        optimizer=("Adam", {"lr": 0.02}),
        batch_size=8,
        epochs=60,
        mixup=0.2,
    )
    *_, last = t.run()
    assert isinstance(last, EpochDone)
    assert last.figures["train.accuracy"] > 0.8
    assert last.figures["train.loss"] > 0.02  # no network gives two classes their shares at once by heart
