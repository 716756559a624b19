"""What training keeps in memory and on disk, told by a step of the real thing on samples drawn from the seed."""

from __future__ import annotations

import copy
from collections.abc import Callable, Iterable
from contextlib import suppress
from dataclasses import dataclass, replace
from threading import get_ident
from typing import Any

import numpy as np

from dlcli.config.schema import Config
from dlcli.core.arena import Array, Scratch
from dlcli.core.errors import DivergedError
from dlcli.core.workers import Lane, Workers
from dlcli.data.augment.pipeline import Augmenter
from dlcli.data.batches import held_out
from dlcli.data.dataset import DataInfo, Samples
from dlcli.experiment import environment
from dlcli.experiment.assemble import Experiment, assemble, build_network
from dlcli.experiment.data import Splits, sample_batch
from dlcli.experiment.session import snapshot
from dlcli.experiment.trial import rehearse
from dlcli.nn.network import walk
from dlcli.training import archive
from dlcli.training.checkpoint import IS_BEST
from dlcli.training.loop import State

WORK = 2e9
"""Floating-point operations of the forward pass that a trial step may take: well below a second."""

FEWEST = 32
"""Samples in a trial step, where a batch has as many: enough for all the lanes that a batch is cut into."""

ORDER = "order"
"""The buffer of the batches that is as long as the data, not as a batch."""


@dataclass(frozen=True)
class Taken:
    """The bytes that training keeps, and those of a checkpoint."""

    parts: dict[str, int]
    """Of `parameters` (with running statistics), `gradients`, `optimizer`, `averages`, `batch` (with what varies and
    mixes it), `loss`, and `step` (sums over micro-batches, figures of layers)."""
    layers: dict[str, int]
    """Of the buffers of each layer, by name, without those in `own`."""
    own: dict[str, int]
    """Of the buffers that every thread has for itself, by layer."""
    checkpoint: int


def of_training(config: Config, info: DataInfo, flops: int, outputs: int, threads: int) -> Taken:
    """What training takes with the config's batch size, where a sample's forward pass takes `flops`.

    A batch that is too large to try is told from two smaller ones: what is kept has a share for each sample and one
    that is fixed. A thread works on blocks of samples, which have their size by then.
    """
    wanted = config.data.batch_size
    tried = min(wanted, max(FEWEST, int(WORK / max(1, flops))))
    found = _trial(config, info, tried, outputs, threads)
    if wanted > tried:
        fewer = _trial(config, info, tried // 2, outputs, threads)
        beyond = (wanted - tried) / (tried - tried // 2)
        parts, layers = (
            {name: size + round((size - less[name]) * beyond) for name, size in more.items()}
            for more, less in ((found.parts, fewer.parts), (found.layers, fewer.layers))
        )
        found = replace(found, parts=parts, layers=layers)
    found.parts["batch"] += _order(config, info)
    return found


def _trial(config: Config, info: DataInfo, size: int, outputs: int, threads: int) -> Taken:
    """What is there after one step with a batch of that size."""
    tried = copy.copy(config)
    tried.data = replace(config.data, batch_size=size, drop_last=False)
    x, y = sample_batch(tried, info, outputs, size)
    rehearse(tried, lambda: build_network(tried, info), x, y)
    inputs = (32 * x).clip(-128, 127).astype(np.int8).view(np.uint8) if info.image else x
    targets = y.astype(config.dtype) if y.dtype.kind == "f" else y
    experiment = assemble(tried, Splits(info, Samples(inputs, targets), None, None, {}, None), 1)
    layers = dict(walk(experiment.network.root))
    returned: dict[str, Array] = {}
    for name, layer in layers.items():
        layer.workers = Counted()
        _watch(name, layer, returned)
    with suppress(DivergedError):  # by samples that are only drawn; all memory is taken by then
        next(experiment.trainer.run())
    shared, own = {}, {}
    for name, layer in layers.items():
        kept = layer.scratch or {}
        mine = held(array for buffer, array in kept.items() if buffer.endswith(f" {get_ident()}"))
        shared[name] = held([*kept.values(), *([returned[name]] if name in returned else [])]) - mine
        own[name] = mine * (min(threads, layer.workers.lanes) if isinstance(layer.workers, Counted) else 1)
    return Taken(_parts(experiment), shared, own, _file(experiment))


class Counted(Workers):
    """One thread that knows how many could have worked side by side."""

    lanes = 1

    def each(self, work: Callable[[int, slice], Any], parts: Iterable[Lane]) -> None:
        parts = list(parts)
        self.lanes = max(self.lanes, len(parts))
        super().each(work, parts)


def _watch(name: str, layer: Any, returned: dict[str, Array]) -> None:
    """Take down what a layer returns, unless it lies in the memory of what it gets."""
    forward = layer.forward

    def watched(x: Array, training: bool) -> Array:
        y: Array = forward(x, training)
        if owner(y) is not owner(x):
            returned[name] = y
        return y

    if not layer.children():  # a container's output may be that of a layer inside
        layer.forward = watched


def _parts(experiment: Experiment) -> dict[str, int]:
    """The bytes of everything but the buffers of layers."""
    trainer, network = experiment.trainer, experiment.network
    optimizer, ema, augment = trainer.optimizer, trainer.ema, trainer.batches.augment
    slots = [*optimizer.vectors.values(), *(part.scratch for part in optimizer.parts)]
    slots += _buffers(optimizer)
    averages: list[Array] = []
    if ema is not None:
        averages = [ema.averaged.arena.values, ema.averaged.arena.grads, *(a for pair in ema.pairs for a in pair[::2])]
    batch = [*_buffers(trainer.batches, but=ORDER), *_buffers(augment), *_buffers(trainer.mixup)]
    batch += augment.kept.values() if isinstance(augment, Augmenter) else []
    step = [trainer.summed, trainer.layerwise.moved if trainer.layerwise is not None else None]
    return {
        "parameters": held([network.arena.values, *network.state.values()]),
        "gradients": held([network.arena.grads]),
        "optimizer": held(slots),
        "averages": held(averages),
        "batch": held(batch),
        "loss": held(_buffers(experiment.loss)),
        "step": held(array for array in step if array is not None),
    }


def _buffers(holder: object, but: str = "") -> list[Array]:
    """The buffers of what has any."""
    kept = (holder.scratch if isinstance(holder, Scratch) else None) or {}
    return [array for name, array in kept.items() if name != but]


def held(arrays: Iterable[Array]) -> int:
    """The bytes of the memory behind these arrays; what several share is counted once."""
    return sum({id(whole): whole.nbytes for whole in map(owner, arrays)}.values())


def owner(array: Array) -> Array:
    """The array whose memory this one is a view of, or itself."""
    while isinstance(array.base, np.ndarray):
        array = array.base
    return array


def _order(config: Config, info: DataInfo) -> int:
    """The bytes of the order of an epoch, a whole number for each training sample; 0 where nobody has counted these."""
    samples = info.train or 0
    return max(0, samples - held_out(samples, config.data.validation)) * np.dtype(np.intp).itemsize


def _file(experiment: Experiment) -> int:
    """The bytes of the checkpoint at the end of a run; no payload is needed to tell them."""
    trainer = experiment.trainer
    trainer.state = State(trainer.span.steps, trainer.plan.epochs)
    experiment.monitor.observe(1 / 3, trainer.span.steps)
    whole = snapshot(experiment, [], environment.numerics(), trainer.plan.epochs)
    heads = {name: array[:0] if array.ndim else array for name, array in whole.arrays.items()}
    payload = sum(array.nbytes for array in whole.arrays.values() if array.ndim)
    return len(archive.pack({**whole.meta, IS_BEST: True}, heads)) + payload
