"""A small training to be watched: three layers on random samples, any part of it changed."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
from registered import build

from dlcli.data.batches import Batches, Normalizer
from dlcli.data.dataset import Samples
from dlcli.nn.constraints import MaxNorm, NonNeg
from dlcli.nn.layer import Layer
from dlcli.nn.layers.dropout import Dropout
from dlcli.nn.layers.linear import Linear
from dlcli.nn.layers.relu import ReLU
from dlcli.nn.layers.tanh import Tanh
from dlcli.nn.losses.cross_entropy import CrossEntropyLoss
from dlcli.nn.network import Network
from dlcli.training.ema import Ema
from dlcli.training.loop import Plan, Trainer
from dlcli.training.metrics import metrics

N, FEATURES, CLASSES = 22, 6, 3
AS_THEY_ARE = Normalizer(np.zeros(()), np.ones(()))


def samples(n: int = N, seed: int = 0) -> Samples:
    rng = np.random.default_rng(seed)
    return Samples(rng.normal(size=(n, FEATURES)), rng.integers(0, CLASSES, n))


def trainer(
    *,
    stack: Callable[[], list[Layer]] = lambda: [Linear(None, 8), Tanh(), Linear(None, CLASSES)],
    data: Samples | None = None,
    optimizer: tuple[str, dict[str, Any]] = ("SGD", {"lr": 0.2}),
    schedule: tuple[str, dict[str, Any]] | None = None,
    batch_size: int = 5,
    drop_last: bool = False,
    dtype: Any = np.float32,
    seed: int = 1,
    ema: dict[str, Any] | None = None,
    **plan: Any,
) -> Trainer:
    network = Network(stack(), (FEATURES,), dtype=dtype, seed=seed)
    batches = Batches(data or samples(), AS_THEY_ARE, dtype, batch_size, seed=seed, shuffle=True, drop_last=drop_last)
    return Trainer(
        network=network,
        loss=CrossEntropyLoss(),
        optimizer=build("optimizers", *optimizer),
        schedule=build("schedules", *schedule) if schedule else None,
        batches=batches,
        metrics={"accuracy": metrics.get("accuracy")()},
        plan=Plan(**{"epochs": 3, **plan}),
        ema=Ema(network, **ema) if ema is not None else None,
    )


def dropping() -> list[Layer]:
    return [Linear(None, 8), ReLU(), Dropout(p=0.4), Linear(None, CLASSES)]


def constrained() -> list[Layer]:
    return [Linear(None, 8, constraint=MaxNorm(0.3)), Tanh(), Linear(None, CLASSES, constraint={"bias": NonNeg()})]
