"""The engine of `trace`: the network of a config or a checkpoint, and the batch that goes through it."""

from __future__ import annotations

import copy
from collections.abc import Callable
from dataclasses import dataclass

import numpy as np

from dlcli.config.schema import Config
from dlcli.core.errors import UnavailableError, UsageError, quote, suggest
from dlcli.data.batches import Batches, Normalizer
from dlcli.data.dataset import Access, DataInfo, Samples
from dlcli.experiment.assemble import augmenter, build_network
from dlcli.experiment.data import load_data, require_shape, sample_batch
from dlcli.experiment.evaluate import restore
from dlcli.experiment.opened import Opened
from dlcli.experiment.recording import Pair, Trace, record
from dlcli.experiment.session import Note
from dlcli.experiment.split import load_split
from dlcli.experiment.trial import rehearse
from dlcli.nn.layers.sequential import Part
from dlcli.nn.network import Network, walk


@dataclass(frozen=True)
class Request:
    """What to trace."""

    batch: int
    """Samples; all there are, where these are fewer."""
    seed: int | None = None
    """In the place of the config's own."""
    layer: str | None = None
    """The only layer to tell of, with what is inside it."""
    most: float = 0
    """Numbers that are kept of an array, at most."""


def of_config(config: Config, info: DataInfo, asked: Request, note: Note) -> Trace:
    """The first step of a training: the values that the seed draws, and the first samples of the first epoch.

    Where the data would have to be downloaded, random numbers take its place.
    """
    require_shape(config, info)
    config = copy.copy(config)
    config.seed = config.seed if asked.seed is None else asked.seed

    def batch() -> Pair:
        train = load_data(config, _here(note)).train
        normalizer = Normalizer.fit(config.data.normalize, train.inputs, info.image)
        return _first(config, train, normalizer, asked, note)

    return _traced(config, info, build_network(config, info), batch, asked, note)


def of_checkpoint(opened: Opened, asked: Request, note: Note) -> Trace:
    """The same with the values of a checkpoint, on samples that it was trained on; a seed orders these anew."""
    network, normalizer = restore(opened)

    def batch() -> Pair:
        train = load_split([opened], "train", _here(note), note).samples
        return _first(opened.config, train, normalizer, asked, note)

    return _traced(opened.config, opened.info, network, batch, asked, note)


def _here(note: Note) -> Access:
    """What is on this machine."""
    return Access.from_environment(offline=True, note=note)


def _traced(
    config: Config, info: DataInfo, network: Network, batch: Callable[[], Pair], asked: Request, note: Note
) -> Trace:
    named = {name: layer for name, layer in walk(network.root) if not isinstance(layer, Part)}
    if asked.layer is not None and asked.layer not in named:
        raise UsageError(f"--layer: there is no layer {quote(asked.layer)}; {suggest(asked.layer, named)}")
    try:
        x, y = batch()
    except UnavailableError:
        x, y = sample_batch(config, info, network.out_shape[0], asked.batch)
        name = config.data.dataset.name
        note(
            f"batch: {len(x):,} samples of random numbers in the shape of {name}, which is not in the cache; for real "
            f"ones: dlcli data fetch {name}"
        )
    for name, layer in named.items():
        if len(x) < layer.fewest:
            raise UsageError(
                f"--batch: got {len(x)}, expected >= {layer.fewest}: layer {name} ({type(layer).__name__}) cannot be "
                "trained on less"
            )
    rehearse(config, lambda: build_network(config, info), x, y)
    trace = record(network, config.loss.build(), (x, y), asked.most)
    return trace if asked.layer is None else trace.only(asked.layer)


@np.errstate(all="ignore")
def _first(config: Config, samples: Samples, normalizer: Normalizer, asked: Request, note: Note) -> Pair:
    """The first samples of the first epoch, as many as a batch of that size has, as the network sees them."""
    seed = config.seed if asked.seed is None else asked.seed
    batches = Batches(
        samples,
        normalizer,
        config.dtype,
        asked.batch,
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
