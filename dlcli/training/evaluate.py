"""Evaluation: loss and metrics over a split, in fixed blocks shared out over threads and added up in order."""

from __future__ import annotations

import copy
from collections.abc import Callable, Mapping
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from functools import partial
from queue import SimpleQueue
from typing import Any, TypeVar

import numpy as np

from dlcli.core.arena import Array
from dlcli.data.batches import Batches, Normalizer
from dlcli.data.dataset import Samples
from dlcli.nn.loss import Loss
from dlcli.nn.network import Network, walk
from dlcli.training.metrics import Metric

T = TypeVar("T")

BLOCK = 500
"""Samples in a block, at most."""

ROOM = 1 << 23
"""Numbers in the outputs of all layers for one block, at most: so a deep network takes no more memory than it must."""


def block_of(network: Network) -> int:
    """Samples in a block: a function of the network alone, as float32 products change their bits with the batch."""
    each = sum(layer.activations() for _, layer in walk(network.root))
    return max(1, min(BLOCK, ROOM // max(1, each)))


@dataclass(frozen=True)
class Evaluation:
    """What an evaluation found: the mean loss and the sums of every metric."""

    samples: int
    loss: float
    sums: dict[str, Array]
    values: dict[str, float]
    outputs: Array | None
    """The network's outputs, as the loss's `logits` give them, in the order of the samples, where asked for."""


class Evaluator:
    """Evaluates one network on one split, over and over; `threads` changes the speed and never a bit."""

    def __init__(
        self,
        network: Network,
        loss: Loss,
        metrics: Mapping[str, Metric],
        samples: Samples,
        normalizer: Normalizer,
        threads: int = 1,
    ) -> None:
        self.metrics, self.count = metrics, len(samples.targets)
        self.block = block_of(network)
        lanes = min(threads, -(-self.count // self.block)) or 1
        self.pool = ThreadPoolExecutor(lanes) if lanes > 1 else None
        self.lanes: SimpleQueue[tuple[Network, Loss, Batches]] = SimpleQueue()
        for _ in range(lanes):
            twin = copy.copy(loss)
            twin.scratch, twin.dtype = {}, network.dtype
            self.lanes.put((network.replica(), twin, Batches(samples, normalizer, network.dtype, self.block)))

    def run(self, collect: bool = False) -> Evaluation:
        """The figures with the parameters as they stand now."""
        blocks = self._blocks(partial(self._measured, collect))
        total, count = (sum(part) for part in zip(*(b[0] for b in blocks), strict=True))
        sums = {name: np.sum([b[1][name] for b in blocks], axis=0) for name in self.metrics}
        return Evaluation(
            self.count,
            total / (count or 1),
            sums,
            {name: float(metric.value(sums[name])) for name, metric in self.metrics.items()},
            np.concatenate([b[2] for b in blocks]) if collect else None,
        )

    def outputs(self) -> Array:
        """The outputs alone, as the loss's `logits` give them: the targets may be anything."""
        return np.concatenate(self._blocks(_outputs))

    def _blocks(self, work: Callable[[Network, Loss, Batches, Array], T]) -> list[T]:
        """What `work` gives for the rows of each block, in their order, each block in a lane of its own."""

        def in_lane(start: int) -> T:
            lane = self.lanes.get()
            try:
                with np.errstate(all="ignore"):
                    return work(*lane, np.arange(start, min(start + self.block, self.count)))
            finally:
                self.lanes.put(lane)

        each = self.pool.map if self.pool else map
        return list(each(in_lane, range(0, self.count, self.block)))

    def _measured(
        self, collect: bool, network: Network, loss: Loss, batches: Batches, rows: Array
    ) -> tuple[tuple[float, float], dict[str, Array], Any]:
        x, y = batches.gather(rows)
        outputs = network.forward(x, training=False)
        weighed = loss.sums(float(loss.forward(outputs, y)), y)
        scores = loss.logits(outputs)
        sums = {name: metric.sums(scores, y) for name, metric in self.metrics.items()}
        return weighed, sums, scores.copy() if collect else None


def _outputs(network: Network, loss: Loss, batches: Batches, rows: Array) -> Array:
    return loss.logits(network.forward(batches.gather(rows)[0], training=False)).copy()
