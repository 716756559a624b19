"""No memory is taken in the steady state: nothing grows from step to step, and no step makes an array of its batch."""

from __future__ import annotations

import gc
import tracemalloc
from collections.abc import Callable, Iterator
from typing import Any

import numpy as np
import pytest
from registered import build
from small_training import AS_THEY_ARE

from dlcli.data.batches import Batches
from dlcli.data.dataset import Samples
from dlcli.nn.layer import Layer
from dlcli.nn.layers.dropout import Dropout
from dlcli.nn.layers.flatten import Flatten
from dlcli.nn.layers.linear import Linear
from dlcli.nn.layers.relu import ReLU
from dlcli.nn.losses.cross_entropy import CrossEntropyLoss
from dlcli.nn.network import Network, walk
from dlcli.training.loop import Plan, StepDone, Trainer
from dlcli.training.metrics import metrics

BATCH, SIDE, UNITS = 512, 16, 128
SMALLEST = BATCH * UNITS * 4
"""Bytes of the smallest array that has a row of a layer's outputs for each sample of the batch."""

ROOM = 40_000
"""Bytes of a part of a step, at most: NumPy's buffers for casts and broadcasts, and vectors of the batch's length."""


def trainer(optimizer: str, *, batch: int = BATCH, samples: int = 2 * BATCH) -> Trainer:
    """The layers of the seeds, with two steps in an epoch, on images of bytes."""
    rng = np.random.default_rng(0)
    data = Samples(rng.integers(0, 256, (samples, 1, SIDE, SIDE), np.uint8), rng.integers(0, 10, samples))
    stack: list[Layer] = [Flatten(), Linear(None, UNITS), ReLU(), Dropout(0.2), Linear(None, 10)]
    return Trainer(
        network=Network(stack, (1, SIDE, SIDE), seed=1),
        loss=CrossEntropyLoss(),
        optimizer=build("optimizers", optimizer, {"lr": 1e-6}),
        schedule=None,
        batches=Batches(data, AS_THEY_ARE, np.float32, batch, seed=1, shuffle=True),
        metrics={"accuracy": metrics.get("accuracy")()},
        plan=Plan(epochs=1000),
    )


def steps(trainer: Trainer) -> Iterator[StepDone]:
    return (done for done in trainer.run() if isinstance(done, StepDone))


@pytest.fixture
def traced() -> Iterator[None]:
    gc.collect()
    tracemalloc.start()
    yield
    tracemalloc.stop()


@pytest.mark.usefixtures("traced")
@pytest.mark.parametrize("optimizer", ["SGD", "Adam"])
def test_nothing_grows_over_a_thousand_steps(optimizer: str) -> None:
    done = steps(trainer(optimizer, batch=16, samples=32))

    def held() -> int:
        gc.collect()
        return tracemalloc.get_traced_memory()[0]

    for _ in range(100):
        next(done)
    before = held()
    for _ in range(1000):
        next(done)
    assert held() - before < 1000


@pytest.mark.parametrize("optimizer", ["SGD", "Adam"])
def test_no_step_makes_an_array_of_its_batch(optimizer: str) -> None:
    most: dict[str, int] = {}

    def watched(part: str, call: Callable[..., Any]) -> Callable[..., Any]:
        def run(*arguments: Any, **named: Any) -> Any:
            before = tracemalloc.get_traced_memory()[0]
            tracemalloc.reset_peak()
            result = call(*arguments, **named)
            most[part] = max(most.get(part, 0), tracemalloc.get_traced_memory()[1] - before)
            return result

        return run

    small = trainer(optimizer)
    done = steps(small)
    for _ in range(3):
        next(done)
    owners: list[tuple[Any, str, str]] = [
        (small.batches, "gather", "gather"),
        (small.loss, "forward", "loss forward"),
        (small.loss, "backward", "loss backward"),
        (small.metrics["accuracy"], "sums", "metric"),
        (small.optimizer, "step", "optimizer"),
    ]
    for name, layer in walk(small.network.root):
        kind = f"{name} {type(layer).__name__}"
        owners += [(layer, "forward", f"{kind} forward"), (layer, "backward", f"{kind} backward")]
    for owner, method, part in owners:
        vars(owner)[method] = watched(part, getattr(owner, method))
    tracemalloc.start()
    try:
        for _ in range(4):
            next(done)
    finally:
        tracemalloc.stop()
    assert most.keys() ^ {part for _, _, part in owners} <= {"0 Flatten backward"}  # below which nothing learns
    drawn = most.pop("3 Dropout forward")
    assert (
        drawn < 2 * BATCH * UNITS + 2 * SMALLEST / 4 + ROOM
    )  # two random bytes a unit: NumPy draws no integers `out=`
    assert {part: size for part, size in most.items() if size > ROOM} == {}
    assert ROOM < SMALLEST / 4
