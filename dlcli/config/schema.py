"""The sections of a config file: their fields are its keys, and nothing is listed twice."""

from __future__ import annotations

import dataclasses
import hashlib
import json
import re
from dataclasses import dataclass, field
from typing import Annotated, Any, Literal

from annotated_types import Ge, Gt, Len, Lt

from dlcli.config.components import Component, resolved
from dlcli.config.document import Document, fail
from dlcli.config.reader import INVALID, Reader
from dlcli.core.annotations import SECONDS, Kind
from dlcli.core.errors import quote
from dlcli.core.options import Count, Decay, Length, NonNegative, Positive

MAX_LAYERS = 1_000

NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]{0,99}")
"""What names a run, and a layer."""

NAME_WORDS = "1 to 100 of the characters A-Z a-z 0-9 . _ -, the first a letter or digit"

EVERY_EPOCH = Length(1, "epoch")

Validation = Annotated[int, Ge(0)] | Annotated[float, Ge(0), Lt(1)]


@dataclass(frozen=True, kw_only=True)
class Data:
    """What is learned from, and how it is dealt out."""

    dataset: Annotated[Component, Kind("datasets"), "the data set, or the reader of your own files"]
    batch_size: Annotated[Count, "samples in one step"] = 64
    drop_last: Annotated[bool, "leave out a short last batch"] = False
    shuffle: Annotated[bool, "a new order in every epoch, from the seed"] = True
    validation: Annotated[Validation, "held out of the training split: a count, a fraction, or 0 for none"] = 0.1
    normalize: Annotated[
        Literal["none", "unit", "standardize"], "raw values, scaled into 0 to 1, or mean 0 and deviation 1"
    ] = "none"
    augment: Annotated[
        list[Annotated[Component, Kind("augmentations")]], "how training samples are varied, one after the other"
    ] = field(default_factory=list)


@dataclass(frozen=True, kw_only=True)
class EarlyStopping:
    """When to stop because the monitored value no longer gets better."""

    patience: Annotated[Length, Gt(0), "how long to wait for a better value"]
    min_delta: Annotated[NonNegative, "how much better counts as better"] = 0.0


@dataclass(frozen=True, kw_only=True)
class Checkpoint:
    """When the whole state is saved, and how many of these files stay."""

    every: Annotated[Length, Gt(0), SECONDS, "the distance between two checkpoints"] = EVERY_EPOCH
    keep: Annotated[Count, "the newest checkpoints that stay, beside the best"] = 3


@dataclass(frozen=True, kw_only=True)
class Ema:
    """How what is learned is averaged."""

    decay: Annotated[Decay, "the weight of the past in the average"] = 0.999
    warmup: Annotated[bool, "no more than (1 + step) / (10 + step), so that the first values are soon forgotten"] = True


@dataclass(frozen=True, kw_only=True)
class MixUp:
    """How the samples of a batch are mixed."""

    alpha: Annotated[Positive, "shares are drawn from Beta(alpha, alpha): 0.2 mixes little, 1 evenly"] = 0.2


@dataclass(frozen=True, kw_only=True)
class Train:
    """How long and how carefully to train."""

    epochs: Annotated[Count, "passes over the training split"]
    monitor: Annotated[
        str | None, "what best and early stopping go by; default val.loss, train.loss where nothing is held out"
    ] = None
    early_stopping: Annotated[EarlyStopping | None, "stop when the monitored value no longer improves"] = None
    checkpoint: Annotated[Checkpoint, "when to save"] = Checkpoint()
    clip_grad_norm: Annotated[Positive | None, "scale a longer gradient down to this norm"] = None
    clip_grad_value: Annotated[Positive | None, "cut every gradient entry to within plus and minus this"] = None
    accumulate: Annotated[Count, "batches whose gradients make one step"] = 1
    ema: Annotated[Ema | None, "average the weights over the steps; val.* and eval then use the averages"] = None
    mixup: Annotated[MixUp | None, "train on mixtures of two samples; train.* is then measured on these"] = None
    log_every: Annotated[Annotated[Length, Gt(0)] | None, "also log within the epoch, this often"] = None
    log_layers: Annotated[
        Annotated[Length, Gt(0)] | None, "log gradient norm, update / weight and dead share of each layer, this often"
    ] = None


@dataclass(kw_only=True)
class Config:
    """A checked config: all sections with their defaults, components looked up and their options checked."""

    name: Annotated[str | None, "names the run; default: the name of the config file"] = None
    seed: Annotated[int, Ge(0), Lt(2**63), "all random numbers follow from it"] = 0
    dtype: Annotated[Literal["float32", "float64"], "the numbers to train with"] = "float32"
    data: Annotated[Data, "what is learned from"]
    model: Annotated[
        list[Annotated[Component, Kind("layers")]], Len(1, MAX_LAYERS), "the layers, from the input to the output"
    ]
    loss: Annotated[Component, Kind("losses"), "what training makes small"]
    optimizer: Annotated[Component, Kind("optimizers"), "how parameters change"]
    schedule: Annotated[
        Annotated[Component, Kind("schedules")] | None, "how the learning rate changes; it scales the optimizer's lr"
    ] = None
    metrics: Annotated[list[Annotated[Component, Kind("metrics")]], "what is measured beside the loss"] = field(
        default_factory=list
    )
    train: Annotated[Train, "how long and how carefully to train"]
    document: Document = field(init=False, repr=False, compare=False)
    """The text it came from, for messages about it."""

    def resolved(self, brief: bool = False) -> dict[str, Any]:
        """Every key with its value, defaults written out, in plain mappings, lists and scalars.

        `brief` leaves out what every layer takes where it stands at its default, which changes nothing.
        """
        return _resolved_section(self, brief)

    @property
    def sha256(self) -> str:
        """The hash of the resolved config."""
        canonical = json.dumps(self.resolved(), sort_keys=True, separators=(",", ":"), allow_nan=False)
        return hashlib.sha256(canonical.encode()).hexdigest()


def _resolved_section(section: Any, brief: bool) -> dict[str, Any]:
    result = {}
    for f in dataclasses.fields(section):
        if f.init:
            value = getattr(section, f.name)
            nested = dataclasses.is_dataclass(value) and not isinstance(value, (Component, Length))
            result[f.name] = _resolved_section(value, brief) if nested else resolved(value, brief)
    return result


def read_config(document: Document, default_name: str) -> Config:
    """The config in `document`; ConfigError with every problem at its line."""
    reader = Reader(document)
    if document.value is None:
        reader.problem((), "the config is empty, expected keys such as data, model, loss, optimizer and train")
    config = reader.section(Config, document.value, ()) if document.value is not None else INVALID
    name = document.value.get("name") if isinstance(document.value, dict) else None
    if isinstance(name, str) and not NAME.fullmatch(name):
        reader.problem(("name",), f"got {quote(name)}, expected {NAME_WORDS}")
    fail(reader.problems)
    config.name = config.name or _fitting_name(default_name)
    if config.train.monitor is None:
        monitor = "val.loss" if config.data.validation else "train.loss"
        config.train = dataclasses.replace(config.train, monitor=monitor)
    config.document = document
    return config


def _fitting_name(stem: str) -> str:
    """The name of a file as the name of a run."""
    return re.sub(r"[^A-Za-z0-9._-]+", "-", stem).strip(".-_")[:100] or "run"
