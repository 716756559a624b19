"""A short training with all that the config says, to see what comes of it."""

from __future__ import annotations

import math
import statistics
from dataclasses import dataclass, field, replace

import numpy as np

from dlcli.core.arena import Array
from dlcli.core.errors import DivergedError
from dlcli.core.options import Length
from dlcli.core.rng import stream
from dlcli.data.dataset import Samples
from dlcli.experiment.assemble import Experiment, assemble
from dlcli.experiment.sanity.bench import BATCH, Bench
from dlcli.experiment.sanity.guesses import constant
from dlcli.nn.network import Network

STEPS = (30, 200)
"""The fewest and the most steps."""

EARLY = 50
"""The first steps, whose median is taken: before the loss is at its least, and steps get small of themselves."""

LARGE, LEAP = 0.1, 10.0
"""What moves the weights by more of their size is large: a usual step, and the first, which may be about 1."""

WORK = 1e11
"""Floating-point operations that a short training may take where it has more than the fewest steps."""


@dataclass
class Course:
    """What came of a short training."""

    network: Network
    steps: int = 0
    failure: str = ""
    """Why it ended early; empty where it came to its end."""
    before: float = math.nan
    """The loss of some training samples before and after, in evaluation mode, and that of a constant output."""
    after: float = math.nan
    chance: float = math.nan
    moved: dict[str, list[float]] = field(default_factory=dict)
    """|update| / |parameters| of every trained layer at every step."""
    outputs: Array | None = None
    """Of the held-out samples, as the loss's `logits` give them."""

    @property
    def rose(self) -> bool:
        """Whether training made it worse, or left the finite numbers."""
        return bool(self.failure) or not self.after < self.before

    @property
    def medians(self) -> dict[str, float]:
        """How far a usual step moved each trained layer; those that never had a size are not told."""
        found = {name: statistics.median(moved[:EARLY]) for name, moved in self.moved.items()}
        return {name: ratio for name, ratio in found.items() if not math.isnan(ratio)}

    @property
    def first(self) -> float:
        """How far the first step moved the layer that it moved farthest."""
        return max((moved[0] for moved in self.moved.values()), default=0.0)

    @property
    def large(self) -> bool:
        """Whether its steps were too large."""
        return max(self.medians.values(), default=0.0) > LARGE or self.first > LEAP


@np.errstate(all="ignore")
def short_training(bench: Bench, shuffled: bool = False) -> Course:
    """Train with the config's own optimizer, schedule and regularisation, laid over a few hundred steps.

    A schedule whose lengths are shares of the run so passes through all its learning rates. Early stopping, averages
    and metrics have no part in it. With `shuffled` every sample gets the target of another one.
    """
    samples = bench.train
    if shuffled:
        mixed = stream(bench.config.seed, "sample", 2).permutation(len(samples.targets))
        samples = Samples(samples.inputs, samples.targets[mixed])
    experiment = _shortened(bench, samples)
    trainer, network = experiment.trainer, experiment.network
    trainer.validate = None
    loss = bench.loss(network)
    seen = Samples(*(part[:BATCH] for part in experiment.splits.train))
    course = Course(network, before=bench.evaluate(network, loss, seen).loss)
    course.chance = constant(loss, seen.targets, network.out_shape[0])
    try:
        for done in trainer.run():
            course.steps = done.step
            for name, figure in (getattr(done, "layers", None) or {}).items():
                if name.endswith(".update_ratio"):
                    course.moved.setdefault(name.split(".", 1)[1].rsplit(".", 1)[0], []).append(figure)
    except DivergedError as error:
        course.failure = error.problems[0]
        return course
    course.after = bench.evaluate(network, loss, seen).loss
    if bench.splits.val is not None:
        course.outputs = bench.evaluate(network, loss, bench.splits.val).outputs
    return course


def _shortened(bench: Bench, samples: Samples) -> Experiment:
    """What trains the config for a few epochs on as many of the samples as its steps take."""
    config = bench.config
    steps, batch = length(bench)
    rows = min(len(samples.targets), steps * batch * config.train.accumulate)
    per_epoch = math.ceil(rows // batch / config.train.accumulate)
    train = replace(
        config.train,
        epochs=math.ceil(steps / per_epoch),
        monitor="train.loss",
        early_stopping=None,
        ema=None,
        log_layers=Length(1, "step"),
    )
    data = replace(config.data, batch_size=batch, drop_last=True)
    taken = Samples(samples.inputs[:rows], samples.targets[:rows])
    return assemble(
        replace(config, data=data, metrics=[], train=train), replace(bench.splits, train=taken), bench.threads
    )


def length(bench: Bench) -> tuple[int, int]:
    """Steps of a short training, and the samples of one batch."""
    config = bench.config
    batch = min(config.data.batch_size, len(bench.train.targets))
    forward = bench.untrained.root.flops()
    flops = 3 * forward * batch * config.train.accumulate  # forward, and backward, which takes twice as long
    fewest, most = STEPS
    return max(fewest, min(most, int(WORK / flops))), batch
