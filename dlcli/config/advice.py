"""Warnings of the config doctor: what is legal but seldom wanted. Few, and silent on what is merely unusual."""

from __future__ import annotations

import math

from dlcli.config.diagnosis import Diagnosis
from dlcli.core.options import Length

SHAPE_ONLY = ("Flatten", "Dropout", "Identity", "Reshape")
"""Layers that leave two Linear as good as next to each other."""

ADAM_LR = 0.1
"""Adam moves every parameter by about lr a step, whatever the gradient; from here on that is more than its size."""

FEW = 10
"""Samples too few for a figure that is monitored."""


def advise(found: Diagnosis) -> None:
    """Add the warnings to a diagnosis without problems."""
    _inputs(found)
    _stack(found)
    _optimizer(found)
    _validation(found)


def _inputs(found: Diagnosis) -> None:
    config = found.config
    if found.info.image and config.data.normalize == "none":
        found.warn(
            ("data",), "pixels go in as they are, all of them positive; normalize: standardize trains far better"
        )
    if found.train is not None and config.data.batch_size > found.train:
        found.warn(
            ("data", "batch_size"),
            f"{config.data.batch_size:,} is more than the {found.train:,} training samples: "
            "every epoch is a single step",
        )


def _stack(found: Diagnosis) -> None:
    before = None
    for layer in found.config.model:
        if layer.name == "Linear" and before == "Linear":
            found.warn(
                layer.inside,
                "two Linear without an activation between are no more than one; put one such as ReLU before this",
            )
        before = before if layer.name in SHAPE_ONLY else layer.name
    last = found.config.model[-1]
    if last.name in ("ReLU", "Dropout"):
        what = "cuts every output below 0" if last.name == "ReLU" else "drops outputs at random in training"
        found.warn(last.inside, f"{last.name} as the last layer {what}; end with the Linear before it")


def _optimizer(found: Diagnosis) -> None:
    optimizer = found.config.optimizer
    lr = optimizer.options.get("lr")
    if optimizer.name in ("Adam", "AdamW") and isinstance(lr, float) and lr >= ADAM_LR:
        found.warn((*optimizer.inside, "lr"), f"{lr:g} is much for {optimizer.name}; 0.001 is usual")
    stopping, epochs = found.config.train.early_stopping, found.config.train.epochs
    if stopping is not None:
        limit = {"epoch": epochs, "step": epochs * (found.steps_per_epoch or math.inf), "%": 100}[
            stopping.patience.unit
        ]
        if stopping.patience.value >= limit:
            found.warn(
                ("train", "early_stopping", "patience"),
                f"'{stopping.patience}' is as long as the run ({Length(epochs, 'epoch')}): it never stops early",
            )


def _validation(found: Diagnosis) -> None:
    if found.train is not None and found.info.train is not None:
        held = found.info.train - found.train
        if 0 < held < FEW:
            found.warn(
                ("data", "validation"), f"every val figure rests on {held} sample{'s' * (held > 1)}; hold out more"
            )
