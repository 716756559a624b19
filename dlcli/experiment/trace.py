"""The engine of `trace`: the network of a config or a checkpoint, and the batch that goes through it."""

from __future__ import annotations

import copy
from collections.abc import Callable

import numpy as np

from dlcli.config.schema import Config
from dlcli.core.errors import ConfigError, UnavailableError, UsageError, quote, suggest
from dlcli.data.batches import Batches, Normalizer
from dlcli.data.dataset import Access, DataInfo, Samples
from dlcli.experiment.assemble import augmenter, build_network
from dlcli.experiment.data import load_data, sample_batch
from dlcli.experiment.evaluate import restore
from dlcli.experiment.opened import Opened
from dlcli.experiment.recording import Pair, Trace, record
from dlcli.experiment.session import Note
from dlcli.experiment.split import load_split
from dlcli.nn.layers.sequential import Part
from dlcli.nn.network import Network, walk


def of_config(
    config: Config, info: DataInfo, size: int, seed: int | None, layer: str | None, most: float, note: Note
) -> Trace:
    """The first step of a training: the values that the seed draws, and the first samples of the first epoch.

    `seed` takes the place of the config's own, `layer` is the only one to tell of, `most` as for `record`. Where the
    data would have to be downloaded, the batch is drawn from the seed.
    """
    if info.input_shape is None:
        raise ConfigError(
            f"{config.document.where(config.data.dataset.path)}: data.dataset: the file is not there, so the shape "
            "of a sample is not known; put it where the config names it"
        )
    config = copy.copy(config)
    config.seed = config.seed if seed is None else seed
    network = build_network(config, info)

    def batch() -> Pair:
        train = load_data(config, _here(note)).train
        normalizer = Normalizer.fit(config.data.normalize, train.inputs, info.image)
        return _first(config, train, normalizer, size, config.seed, note)

    return _traced(config, network, info, batch, size, layer, most, note)


def of_checkpoint(opened: Opened, size: int, seed: int | None, layer: str | None, most: float, note: Note) -> Trace:
    """The same with the values of a checkpoint, on samples that it was trained on; `seed` orders these anew."""
    config = opened.config
    network, normalizer = restore(opened)

    def batch() -> Pair:
        train = load_split([opened], "train", _here(note), note).samples
        return _first(config, train, normalizer, size, config.seed if seed is None else seed, note)

    return _traced(config, network, opened.info, batch, size, layer, most, note)


def _here(note: Note) -> Access:
    """What is on this machine."""
    return Access.from_environment(offline=True, note=note)


def _traced(
    config: Config,
    network: Network,
    info: DataInfo,
    batch: Callable[[], Pair],
    size: int,
    layer: str | None,
    most: float,
    note: Note,
) -> Trace:
    named = {name: inside for name, inside in walk(network.root) if not isinstance(inside, Part)}
    if layer is not None and layer not in named:
        raise UsageError(f"--layer: there is no layer {quote(layer)}; {suggest(layer, named)}")
    try:
        x, y = batch()
    except UnavailableError:
        x, y = sample_batch(config, info, network.out_shape[0], size)
        y = y.astype(config.dtype) if y.dtype.kind == "f" else y
        note(
            f"batch: {size} samples of random numbers in the shape of {config.data.dataset.name}, which is not in the "
            f"cache; for real ones: dlcli data fetch {config.data.dataset.name}"
        )
    for name, inside in named.items():
        if len(x) < inside.fewest:
            raise UsageError(
                f"--batch: got {len(x)}, expected >= {inside.fewest}: layer {name} ({type(inside).__name__}) cannot be "
                "trained on less"
            )
    trace = record(network, config.loss.build(), (x, y), most)
    return trace if layer is None else trace.only(layer)


@np.errstate(all="ignore")
def _first(config: Config, samples: Samples, normalizer: Normalizer, size: int, seed: int, note: Note) -> Pair:
    """The first samples of the first epoch, as many as a batch of that size has, as the network sees them."""
    batches = Batches(
        samples,
        normalizer,
        config.dtype,
        size,
        seed=seed,
        shuffle=config.data.shuffle,
        augment=augmenter(config, normalizer),
    )
    x, y = next(batches.epoch(0))
    how = [
        *([f"in the order of seed {seed}"] if config.data.shuffle else []),
        *(["normalised"] if config.data.normalize != "none" else []),
        *(["augmented"] if config.data.augment else []),
        *(["not mixed"] if config.train.mixup is not None else []),
    ]
    note(", ".join([f"batch: the first {len(y):,} of {len(samples.targets):,} training samples", *how]))
    return x, y
