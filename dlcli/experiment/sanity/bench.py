"""What the checks work on: some samples of the training data, fresh networks, and losses to compare with."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from functools import cached_property
from typing import Any, TypeVar

import numpy as np

from dlcli.config.schema import Config
from dlcli.core.arena import Array
from dlcli.core.rng import stream
from dlcli.core.workers import Workers
from dlcli.data.batches import Batches, Normalizer
from dlcli.data.dataset import Samples
from dlcli.experiment.assemble import build_network
from dlcli.experiment.data import Splits
from dlcli.nn.loss import Loss
from dlcli.nn.network import Network, walk
from dlcli.training.evaluate import Evaluation, Evaluator

T = TypeVar("T")

ROWS, HELD = 2000, 500
"""Samples to train on and to hold out, at most: enough for verdicts that chance does not turn."""

BATCH = 128
"""Samples on which layers are looked at, at most."""


class Bench:
    """The config's network, loss and samples; what is drawn follows from the seed, and the test split is not here."""

    def __init__(self, config: Config, splits: Splits, threads: int) -> None:
        self.config, self.threads = config, threads
        self.splits = drawn(splits, config.seed)
        self.train = self.splits.train
        self.normalizer = Normalizer.fit(config.data.normalize, self.train.inputs, splits.info.image)
        self.of_classes = self.train.targets.dtype.kind in "iu"
        self.untrained = build_network(config, splits.info)
        self.faults: list[str] = []
        """The checks made before any training that have failed: what comes later is their consequence."""
        self._known: dict[Any, Any] = {}

    def once(self, make: Callable[[Bench], T]) -> T:
        """What `make` gives for this bench, made at the first call: several checks go by one training."""
        if make not in self._known:
            self._known[make] = make(self)
        found: T = self._known[make]
        return found

    def network(self, quiet: bool = True) -> Network:
        """A fresh network of the config; `quiet` without what its stochastic layers draw, in training too."""
        network = build_network(self.config, self.splits.info)
        network.use(Workers(self.threads))
        if quiet:
            for _, layer in walk(network.root):
                if layer.stochastic:
                    vars(layer)["forward"] = lambda x, training, layer=layer: type(layer).forward(layer, x, False)
        return network

    def loss(self, network: Network, plain: bool = False) -> Loss:
        """The config's loss for that network; `plain` without label smoothing."""
        component = self.config.loss
        if plain and "label_smoothing" in component.options:
            component = replace(component, options={**component.options, "label_smoothing": 0.0})
        loss: Loss = component.build()
        loss.scratch, loss.dtype = {}, network.dtype
        return loss

    @cached_property
    def batch(self) -> tuple[Array, Array]:
        """Inputs as the network gets them, and targets, of up to 128 samples."""
        return self.gathered(np.arange(min(BATCH, len(self.train.targets))))

    def gathered(self, rows: Array) -> tuple[Array, Array]:
        """Inputs as the network gets them, without augmentation, and targets of those rows."""
        return Batches(self.train, self.normalizer, self.config.dtype, len(rows)).gather(rows)

    def evaluate(self, network: Network, loss: Loss, samples: Samples) -> Evaluation:
        """The loss and the outputs of a network in evaluation mode."""
        return Evaluator(network, loss, {}, samples, self.normalizer, self.threads).run(collect=True)


def drawn(splits: Splits, seed: int) -> Splits:
    """Some samples of both parts; where nothing is held out a quarter of the training part is, and no test split."""
    rng = stream(seed, "sample", 1)
    rows = rng.permutation(len(splits.train.targets))
    val: Samples | None = None
    if splits.val is not None:
        val = _taken(splits.val, rng.permutation(len(splits.val.targets))[:HELD])
    else:
        held, rows = np.split(rows, [min(HELD, len(rows) // 4)])
        if len(held):
            val = _taken(splits.train, held)
    return replace(splits, train=_taken(splits.train, rows[:ROWS]), val=val, test=None)


def _taken(samples: Samples, rows: Array) -> Samples:
    targets = samples.targets[rows]
    return Samples(samples.inputs[rows], targets.astype(np.int64) if targets.dtype.kind in "iu" else targets)
