"""The engine of `time` and `train --profile`: where a training step spends its time, and what the machine could do."""

from __future__ import annotations

import math
from dataclasses import asdict, dataclass, replace
from time import perf_counter
from typing import Any, NamedTuple

import numpy as np

from dlcli.config.schema import Config
from dlcli.core.errors import DivergedError
from dlcli.core.rng import stream
from dlcli.data.batches import held_out
from dlcli.data.dataset import DataInfo, Samples
from dlcli.experiment.assemble import assemble, build_network
from dlcli.experiment.data import Splits, require_shape, sample_batch
from dlcli.experiment.stopwatch import Spread, Stopwatch
from dlcli.experiment.trial import rehearse
from dlcli.nn.layers.sequential import Part
from dlcli.nn.network import walk
from dlcli.training.loop import Trainer

STEPS = 50
"""Steps that are timed where nobody asks for another number."""

WARM_UP = 10
"""Steps before those that count: memory is taken, caches are filled."""

PATIENCE = 2.0, 10.0
"""Seconds after which steps count even if fewer came before, and after which those that were made are enough."""

FEWEST = 3
"""Steps that are made in any case."""

DRAWN = 1 << 25
"""Numbers in the inputs that are drawn, at most: more than any cache holds."""

PRODUCT = 1024
"""Rows and columns of the matrices whose product shows what a core can do."""

RATE = 1e-12
"""The learning rate on drawn data, which has nothing to teach: so no training diverges, and none stands still."""

OTHERS = {
    "gather": "gather the samples",
    "augment": "augment them",
    "normalize": "normalize and cast",
    "optimizer": "optimizer",
    "metrics": "metrics",
    "averages": "averages of the weights",
}
"""The parts of a step that are no layer and no loss, in the order of a step."""


class Pass(NamedTuple):
    """One direction through a layer or the loss; times are of one step, in seconds."""

    mean: float
    sd: float
    gflops: float | None
    """10**9 floating-point operations in a second; None where they are not counted."""
    peak: float | None
    """The share of what the machine can do."""


class LayerTime(NamedTuple):
    """One layer without the layers inside it, or the loss."""

    name: str
    layer: str
    forward: Pass
    backward: Pass


class PartTime(NamedTuple):
    """One part of a step, in seconds."""

    part: str
    mean: float
    sd: float
    share: float
    """Of the whole step."""


@dataclass(frozen=True)
class Timing:
    """Where a training step spends its time."""

    dtype: str
    batch_size: float
    """Samples of a step, on average."""
    threads: int
    steps: int
    layers: list[LayerTime]
    parts: list[PartTime]
    """What is no layer and no loss; the last one is what is left."""
    step: Spread
    """The whole step, without the stopwatch."""
    overhead: float
    """Seconds of a step that the stopwatch took; taken off the whole step."""
    samples_per_second: float
    peak: float
    """GFLOP/s of one core, measured by a large matrix product of that dtype."""
    steps_per_epoch: int | None
    epochs: int

    @property
    def epoch_seconds(self) -> float | None:
        """The steps of one epoch, without evaluation and checkpoints."""
        return self.step.mean * self.steps_per_epoch if self.steps_per_epoch is not None else None

    def document(self) -> dict[str, Any]:
        """The JSON of `time --json`."""
        layers = [r._asdict() | {"forward": r.forward._asdict(), "backward": r.backward._asdict()} for r in self.layers]
        epoch = self.epoch_seconds
        return asdict(self) | {
            "layers": layers,
            "parts": [part._asdict() for part in self.parts],
            "step": {"mean": self.step.mean, "sd": self.step.sd},
            "epoch_seconds": epoch,
            "training_seconds": epoch * self.epochs if epoch is not None else None,
        }


def measure(config: Config, info: DataInfo, steps_per_epoch: int | None, threads: int, steps: int | None) -> Timing:
    """Time training steps of a config on drawn samples shaped like its data, which is not loaded.

    Without a number of `steps` there are 50 of them, or as many as ten seconds hold. Raises ConfigError where the
    shapes are not known, and DivergedError where the steps lead to no number.
    """
    require_shape(config, info)
    most = STEPS if steps is None else steps
    splits = _drawn(config, info, WARM_UP + most)
    rehearse(config, lambda: build_network(config, info), *splits.train)
    trainer = assemble(config, splits, threads).trainer
    trainer.schedule, trainer.optimizer.lr = None, RATE
    trainer.plan = replace(trainer.plan, epochs=-(-(WARM_UP + most) // trainer.per_epoch))
    watch = Stopwatch(skip=WARM_UP)
    soon, late = (perf_counter() + seconds if steps is None else math.inf for seconds in PATIENCE)
    try:
        with watch.on(trainer):
            for _ in trainer.run():
                made, now = watch.step.steps, perf_counter()
                if made == most or (made >= FEWEST and now > late):
                    break
                if now > soon:
                    watch.skip = 0
    except DivergedError:
        if trainer.state.step and not np.isfinite(trainer.network.arena.values).all():
            raise DivergedError(
                f"training diverged at step {trainer.state.step}: {config.optimizer.name} gives parameters that are "
                f"not finite, even with lr {RATE:g}, which is what time takes in the place of the config's"
            ) from None
        raise
    return timing(watch, trainer, threads, steps_per_epoch, config.train.epochs)


def timing(watch: Stopwatch, trainer: Trainer, threads: int, steps_per_epoch: int | None, epochs: int) -> Timing:
    """What a stopwatch has found on a trainer's steps, beside the peak of the machine as it is now."""
    dtype, steps = trainer.network.dtype, max(1, watch.step.steps)
    peak, overhead, samples = gemm_peak(dtype), watch.overhead(), watch.samples / steps
    step = replace(watch.step, mean=max(watch.step.mean - overhead, 0.0))

    def passed(part: str, flops: int | None) -> Pass:
        spread = watch.parts[part]
        rate = flops * samples / spread.mean / 1e9 if flops and spread.mean > 0 else None
        return Pass(spread.mean, spread.sd, rate, rate / (peak * threads) if rate is not None else None)

    rows = []
    for name, layer in walk(trainer.network.root):
        if not isinstance(layer, Part):
            inside = layer.children().values()
            flops = layer.flops() - sum(child.flops() for child in inside)
            back = layer.backward_flops() - sum(child.backward_flops() for child in inside)
            ways = passed(f"forward {name}", flops), passed(f"backward {name}", back)
            rows.append(LayerTime(name, type(layer).__name__, *ways))
    loss = LayerTime("loss", type(trainer.loss).__name__, passed("loss forward", None), passed("loss backward", None))
    rows.append(loss)
    parts = [(words, watch.parts[part]) for part, words in OTHERS.items() if part in watch.parts]
    rest = step.mean - sum(spread.mean for spread in watch.parts.values())
    whole = step.mean or 1.0
    return Timing(
        str(dtype),
        samples,
        threads,
        watch.step.steps,
        rows,
        [
            *(PartTime(words, spread.mean, spread.sd, spread.mean / whole) for words, spread in parts),
            PartTime("everything else", max(rest, 0.0), 0.0, max(rest, 0.0) / whole),
        ],
        step,
        overhead,
        samples / whole,
        peak,
        steps_per_epoch,
        epochs,
    )


def gemm_peak(dtype: np.dtype[Any], repeats: int = 5) -> float:
    """GFLOP/s of one core: the best of several products of two large square matrices on the BLAS's one thread."""
    a, b, out = np.ones((3, PRODUCT, PRODUCT), dtype)
    seconds = []
    for _ in range(repeats + 1):
        began = perf_counter()
        np.matmul(a, b, out=out)
        seconds.append(perf_counter() - began)
    return 2 * PRODUCT**3 / min(seconds[1:]) / 1e9


def _drawn(config: Config, info: DataInfo, steps: int) -> Splits:
    """Whole batches of random samples, none larger than the data: bytes for images, normal numbers for the rest."""
    shape = info.input_shape or ()
    trained = max(1, info.train - held_out(info.train, config.data.validation)) if info.train else DRAWN
    size = min(config.data.batch_size * config.train.accumulate, trained)
    most = min(trained, DRAWN // max(1, math.prod(shape)), size * steps)
    rows = max(1, most // size) * size
    rng = stream(config.seed, "sample")
    outputs = build_network(config, info).out_shape[0]
    _, targets = sample_batch(config, replace(info, input_shape=()), outputs, rows)
    inputs = rng.integers(0, 256, (rows, *shape), np.uint8) if info.image else rng.standard_normal((rows, *shape))
    if targets.dtype.kind == "f":
        targets = targets.astype(config.dtype)
    return Splits(info, Samples(inputs, targets), None, None, {}, None)
