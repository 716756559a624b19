"""What the checks before training compare with, and what they measure."""

from __future__ import annotations

import math
from collections.abc import Iterator
from dataclasses import replace
from typing import Any

import numpy as np
import pytest

from dlcli import Linear, Network, ReLU, Sigmoid, Tanh
from dlcli.config.load import parse_config
from dlcli.data.dataset import Access, Samples
from dlcli.experiment.data import load_data
from dlcli.experiment.plugins import load_components
from dlcli.experiment.sanity.activations import measure
from dlcli.experiment.sanity.bench import HELD, ROWS, Bench
from dlcli.experiment.sanity.course import short_training
from dlcli.experiment.sanity.gradients import alike, gradients, matrices, symmetry
from dlcli.experiment.sanity.guesses import constant, perfect, unknowing
from dlcli.experiment.sanity.labels import SIGNAL, neighbours, shuffled, shuffled_training, told
from dlcli.nn.losses import losses

TEXT = """
data: {dataset: blobs, batch_size: 32}
model: [{Linear: {out_features: 16}}, ReLU, {Linear: {out_features: 3}}]
loss: CrossEntropyLoss
optimizer: {Adam: {lr: 0.01}}
train: {epochs: 2}
"""


@pytest.fixture(autouse=True)
def quiet() -> Iterator[None]:
    load_components([], lambda line: None)
    with np.errstate(all="ignore"):
        yield


def bench(*changes: str, text: str = TEXT) -> Bench:
    config = parse_config(text, "test", list(changes))
    return Bench(config, load_data(config, Access()), threads=1)


def made(name: str, **options: Any) -> Any:
    loss = losses.get(name)(**options)
    loss.scratch, loss.dtype = {}, np.dtype(np.float64)
    return loss


CLASSES = np.array([0, 0, 1, 2])
ENTROPY = -(0.5 * math.log(0.5) + 2 * 0.25 * math.log(0.25))


@pytest.mark.parametrize("options", [{}, {"reduction": "sum"}, {"weight": [1.0, 1.0, 1.0]}], ids=str)
def test_guesses_of_classes(options: dict[str, Any]) -> None:
    loss = made("CrossEntropyLoss", **options)
    assert perfect(loss, CLASSES, 3) == pytest.approx(0, abs=1e-9)
    assert constant(loss, CLASSES, 3) == pytest.approx(ENTROPY)
    assert unknowing(loss, CLASSES, 3) == pytest.approx(math.log(3))


def test_guesses_in_the_form_that_a_loss_takes() -> None:
    assert constant(made("NLLLoss"), CLASSES, 3) == pytest.approx(ENTROPY)
    assert unknowing(made("BCEWithLogitsLoss"), CLASSES, 3) == pytest.approx(math.log(2))
    assert unknowing(made("BCELoss"), np.array([0, 1, 1]), 1) == pytest.approx(math.log(2))
    assert perfect(made("BCELoss"), np.array([0, 1, 1]), 1) == pytest.approx(0, abs=1e-9)
    counts = np.array([[0.0], [2.0], [4.0]])
    assert constant(made("PoissonNLLLoss"), counts, 1) == pytest.approx(2 - 2 * math.log(2))
    assert constant(made("PoissonNLLLoss", log_input=False), counts, 1) == pytest.approx(2 - 2 * math.log(2))


def test_guesses_of_values() -> None:
    values = np.array([[1.0], [2.0], [6.0]])
    assert constant(made("MSELoss"), values, 1) == pytest.approx(values.var())
    assert perfect(made("MSELoss"), values, 1) == 0


def test_samples_are_few_and_the_test_split_stays_closed() -> None:
    found = bench("data.dataset={blobs: {samples: 5000, test_samples: 100}}")
    assert (len(found.train.targets), len(found.splits.val.targets)) == (ROWS, HELD)
    assert found.splits.test is None


def test_some_samples_are_held_out_where_the_config_holds_out_none() -> None:
    found = bench("data.validation=0", "data.dataset={blobs: {samples: 40}}")
    assert (len(found.train.targets), len(found.splits.val.targets)) == (30, 10)
    rows = {row.tobytes() for row in np.asarray(found.train.inputs)}
    assert not rows & {row.tobytes() for row in np.asarray(found.splits.val.inputs)}


@pytest.mark.parametrize(("bias", "dead"), [(-100.0, 1.0), (100.0, 0.0)])
def test_dead_units(bias: float, dead: float) -> None:
    network = Network([Linear(5, 4), ReLU()], (5,))
    network.params["0.bias"] = np.array([bias, 100, 100, 100])
    figures = measure(network, np.random.default_rng(0).normal(size=(50, 5)))
    assert figures["1"]["dead"] == dead / 4
    assert figures["1"]["saturated"] == 0


@pytest.mark.parametrize("activation", [Tanh, Sigmoid])
def test_saturated_units(activation: type) -> None:
    network = Network([Linear(5, 100), activation()], (5,))
    x = np.random.default_rng(0).normal(size=(50, 5))
    assert measure(network, x)["1"]["saturated"] < 0.01
    network.arena.values *= 1000
    assert measure(network, x)["1"]["saturated"] > 0.99


def test_samples_that_cannot_be_told_apart() -> None:
    network = Network([Linear(5, 4), Tanh()], (5,))
    x = np.random.default_rng(0).normal(size=(50, 5))
    assert measure(network, x)["1"]["spread"] > 0.1
    network.params["0.weight"] = np.zeros((4, 5))
    assert measure(network, x)["1"]["spread"] == 0


def test_measuring_leaves_the_network_alone() -> None:
    network = Network([Linear(5, 4), ReLU()], (5,))
    measure(network, np.ones((2, 5)))
    assert "forward" not in vars(network.layers[1])


@pytest.mark.parametrize("depth", [1, 30])
def test_gradients_vanish_in_a_deep_stack(depth: int) -> None:
    layers = "{Linear: {out_features: 16}}, Sigmoid, " * depth
    found = gradients(bench(text=TEXT.replace("{Linear: {out_features: 16}}, ReLU, ", layers)))
    assert found.verdict == ("passed" if depth == 1 else "failed")
    assert len(found.layers) == depth + 1


@pytest.mark.parametrize(("std", "verdict"), [("1", "passed"), ("1e4", "warning"), ("1e8", "failed")])
def test_gradients_explode_below_huge_weights(std: str, verdict: str) -> None:
    found = gradients(bench(f"model.2.Linear.init={{normal: {{std: {std}}}}}"))
    assert found.verdict == verdict
    assert found.advice.startswith("gradients explode towards 0 Linear: " if verdict != "passed" else "")


def test_units_are_alike_only_if_all_weights_are() -> None:
    network = Network([Linear(5, 4), Linear(4, 1)], (5,))
    first, last = map(matrices, network.layers)
    assert not alike(first)
    network.params["0.weight"] = np.ones((4, 5))
    assert alike(first)
    assert not alike(last)  # a single unit is like no other


ALIKE = "{weight: {constant: {value: 0.1}}, bias: zeros}"


@pytest.mark.parametrize(
    ("changes", "verdict"),
    [
        ((), "passed"),
        ((f"model.0.Linear.init={ALIKE}", f"model.2.Linear.init={ALIKE}"), "failed"),
        ((f"model.0.Linear.init={ALIKE}",), "passed"),
        (("model.2.Linear.init=zeros",), "passed"),
        (("model.0.Linear.init=zeros", "model.2.Linear.init=zeros"), "passed"),
        (("model.0.Linear.init=zeros", "model.2.Linear.init=zeros", "model.0.Linear.bias=false"), "failed"),
    ],
)
def test_units_that_stay_alike(changes: tuple[str, ...], verdict: str) -> None:
    assert symmetry(bench(*changes)).verdict == verdict


def classes(n: int, strength: float) -> tuple[Any, Any]:
    """Targets of three classes, and scores of which that share says them."""
    rng = np.random.default_rng(1)
    y = rng.integers(0, 3, n)
    said = np.where(rng.random(n) < strength, y, rng.integers(0, 3, n))
    return 5.0 * np.eye(3)[said], y


@pytest.mark.parametrize(("strength", "signal"), [(0.0, False), (0.5, True), (1.0, True)])
def test_a_signal_in_classes(strength: float, signal: bool) -> None:
    outputs, y = classes(300, strength)
    found = told(outputs, y, bench())
    assert (found.strength >= SIGNAL) is signal
    assert found.slope == pytest.approx(strength, abs=0.1)


@pytest.mark.parametrize(("noise", "signal"), [(1.0, True), (100.0, False)])
def test_a_signal_in_values(noise: float, signal: bool) -> None:
    rng = np.random.default_rng(0)
    y = rng.normal(size=(300, 2))
    values = bench("data.dataset=linear", "loss=MSELoss", "model=[{Linear: {out_features: 1}}]")
    assert (told(y + noise * rng.normal(size=y.shape), y, values).strength >= SIGNAL) is signal


def test_outputs_that_hardly_vary_are_no_clear_signal() -> None:
    outputs, y = classes(300, 1.0)
    found = told(1e-3 * outputs, y, bench())
    assert found.strength >= SIGNAL
    assert found.slope < 0.01


@pytest.mark.parametrize("mixed", [False, True])
def test_neighbours_know_labels_that_belong_to_their_inputs(mixed: bool) -> None:
    found = bench()
    if mixed:
        shuffled_targets = np.random.default_rng(0).permutation(found.train.targets)
        found.train = Samples(found.train.inputs, shuffled_targets)
    assert told(*neighbours(found), found).by(SIGNAL, 0.1) is not mixed


def test_a_short_training_leaves_out_nothing_that_the_config_says() -> None:
    found = bench("schedule=OneCycleLR", "train.accumulate=2", "train.clip_grad_norm=1")
    course = short_training(found)
    assert not course.failure
    assert course.after < 0.5 * course.chance < course.before
    assert course.steps >= 30
    assert set(course.moved) == {"0", "2"}
    assert {len(moved) for moved in course.moved.values()} == {course.steps}


def test_a_leak_is_found() -> None:
    found = bench()
    held = found.splits.val
    leaking = replace(short_training(found, shuffled=True), outputs=5.0 * np.eye(3)[held.targets])
    found.once(shuffled_training)
    assert shuffled(found).verdict == "passed"
    found._known[shuffled_training] = leaking
    assert shuffled(found).verdict == "failed"
