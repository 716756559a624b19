"""The data of a run: loaded, split and checked; or drawn, for checks that need none of it."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import numpy as np

from dlcli.config.load import load_config
from dlcli.config.schema import Config
from dlcli.config.targets import wanted_targets
from dlcli.core.arena import Array
from dlcli.core.errors import ConfigError, DataError, UsageError, quote, suggest
from dlcli.core.options import options
from dlcli.core.rng import stream
from dlcli.data.batches import split_validation
from dlcli.data.dataset import Access, DataInfo, Dataset, Loaded, Samples, datasets
from dlcli.data.picked import Picked
from dlcli.experiment.arrays import check_data
from dlcli.nn.loss import Loss


@dataclass
class Splits:
    """The data of a run: what is trained on, what is held out, and the test split that only `eval` opens."""

    info: DataInfo
    train: Samples
    val: Samples | None
    test: Samples | None
    files: dict[str, str]
    truth: dict[str, Array] | None

    def named(self, split: str) -> Samples:
        """The split of that name; ConfigError where there is none."""
        found: Samples | None = {"train": self.train, "val": self.val, "test": self.test}[split]
        if found is None:
            why = "data.validation is 0" if split == "val" else "the data set has no test part"
            raise ConfigError(f"there is no {split} split: {why}; choose another --split")
        return found


def load_data(config: Config, access: Access) -> Splits:
    """The data of a config; the validation split is drawn from the training split by the seed."""
    dataset: Dataset = config.data.dataset.build()
    loaded: Loaded = dataset.with_targets(wanted_targets(config)).load(config.seed, access)
    check_data(config.data.dataset, loaded)
    kept, held = split_validation(len(loaded.train.targets), config.data.validation, config.seed)
    if len(kept) == 0:
        raise DataError(f"nothing is left to train on: data.validation holds out all {len(held)} samples; lower it")

    def part(samples: Samples, rows: Array | None = None) -> Samples:
        inputs, targets = samples
        if rows is not None:
            inputs, targets = Picked(np.asarray(inputs), rows), targets[rows]
        return Samples(inputs, targets.astype(config.dtype) if targets.dtype.kind == "f" else targets)

    return Splits(
        loaded.info,
        part(loaded.train, kept if len(held) else None),
        part(loaded.train, held) if len(held) else None,
        part(loaded.test) if loaded.test is not None else None,
        loaded.files,
        loaded.truth,
    )


def require_shape(config: Config, info: DataInfo) -> None:
    """ConfigError where the shape of a sample is not known, as the user's file is not there."""
    if info.input_shape is None:
        raise ConfigError(
            f"{config.document.where(config.data.dataset.path)}: data.dataset: the file is not there, so the shape "
            "of a sample is not known; put it where the config names it"
        )


def sample_batch(config: Config, info: DataInfo, outputs: int, size: int) -> tuple[Array, Array]:
    """Inputs and targets drawn from the seed, shaped like the data: for checks that need none of it.

    Where only the rows of a file would tell how many classes there are, every one of the `outputs` is a class.
    """
    rng = stream(config.seed, "sample")
    x = rng.standard_normal((size, *(info.input_shape or ())))
    if info.classes is not None or (wanted_targets(config) == "classes" and not info.target_shape):
        return x, rng.integers(0, info.classes or outputs, size)
    loss: Loss = config.loss.build()
    return x, loss.draw(rng, (size, *info.target_shape))[1]


def raw_data(name: str, access: Access, seed: int = 0) -> Loaded:
    """A data set by its name, where it needs no options, or the one that a config names."""
    if name in datasets:
        missing = [o.name for o in options(datasets.get(name), Dataset) if o.required]
        if missing:
            raise UsageError(f"data set {quote(name)} needs {', '.join(missing)}; name a config that sets them")
        return datasets.get(name)().load(seed, access)
    if not Path(name).exists():
        raise UsageError(f"no data set {quote(name)}; {suggest(name, datasets)}")
    config = load_config(name)
    dataset: Dataset = config.data.dataset.build()
    return dataset.with_targets(wanted_targets(config)).load(config.seed, access)
