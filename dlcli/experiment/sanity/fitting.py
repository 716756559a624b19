"""The check that the network can learn a few samples by heart."""

from __future__ import annotations

import math
from collections.abc import Iterator
from dataclasses import dataclass, replace
from functools import partial

import numpy as np

from dlcli.core.arena import Array
from dlcli.core.errors import DivergedError
from dlcli.core.rng import stream
from dlcli.data.batches import Batches
from dlcli.data.dataset import Samples
from dlcli.experiment.sanity.bench import Bench
from dlcli.experiment.sanity.causes import cause, rate
from dlcli.experiment.sanity.course import short_training
from dlcli.experiment.sanity.finding import Finding, skipped
from dlcli.experiment.sanity.guesses import constant, perfect
from dlcli.nn.loss import Loss
from dlcli.nn.network import Network
from dlcli.optim.adam import Adam
from dlcli.optim.optimizer import Optimizer
from dlcli.training.loop import Plan, StepDone, Trainer

SAMPLES = 20

STEPS = 500

CLOSE = 0.05
"""How near the loss comes to the least there is, as a share of that of a constant output."""

RATES = (0.01, 0.001, 0.1)
"""Learning rates of Adam, one of which learns a few samples by heart with any network that can."""


@dataclass
class Fit:
    """What came of training on a few samples only."""

    network: Network
    rows: Array
    goal: float
    """The loss that counts as about 0."""
    chance: float
    """The loss of a constant output."""
    first: float = math.nan
    last: float = math.nan
    steps: int = 0

    @property
    def reached(self) -> bool:
        """Whether the samples are learned by heart."""
        return self.last <= self.goal

    @property
    def learning(self) -> bool:
        """Whether they are on the way to it: by half."""
        return self.last < 0.5 * self.chance


def overfit(bench: Bench) -> Finding:
    """The loss of a few samples falls to about 0 without regularisation: what cannot learn 20 samples learns no more.

    The config's optimizer tries first, at its own learning rate; where it does not get there Adam tries, which tells
    a wrong learning rate from a network or a loss that cannot learn. A network with few parameters gets half as
    many samples as it has parameters for each output.

    Source: CS231n, "Neural networks part 3", https://cs231n.github.io/neural-networks-3/#sanitycheck; Karpathy 2019,
    "A recipe for training neural networks", https://karpathy.github.io/2019/04/25/recipe
    """
    fit = bench.once(own_fit)
    expected = "loss about 0"
    if fit is None:
        return skipped(expected, "fewer than two samples that differ")
    expected = f"loss of {len(fit.rows)} samples <= {fit.goal:.3g}"
    found = f"{fit.first:.4g} -> {fit.last:.3g} in {fit.steps} steps"
    if fit.reached:
        return Finding(expected, found)
    other = next((f for f in _references(bench, fit.rows) if f.learning), None)
    if other is None and not fit.learning:
        advice = cause(
            bench, "not even Adam learns them: the network is too small, a layer is dead, or the loss is wrong"
        )
        return Finding(expected, found, "failed", advice)
    if other is not None and other.reached:
        found += f"; Adam takes {other.steps}"
    if not fit.last < fit.first:
        return Finding(expected, found, "failed", cause(bench, f"the steps are too large: lower {rate(bench)}"))
    return Finding(expected, found, "warning", cause(bench, steered(bench, f"it learns slowly: raise {rate(bench)}")))


def steered(bench: Bench, otherwise: str) -> str:
    """Which way to move the learning rate, unless a few samples are learned slowly by steps that are too large."""
    fit, course = bench.once(own_fit), bench.once(short_training)
    slow = fit is not None and not fit.reached and fit.last < fit.first
    if not (slow and (course.large or course.rose)):
        return otherwise
    return f"it learns slowly by steps that are large: no matter of {rate(bench)} alone, 'dlcli lr-find' suggests one"


def own_fit(bench: Bench) -> Fit | None:
    """Training on a few samples by the config's optimizer without weight decay; None where nothing is to be learned."""
    rows = few(bench)
    targets = bench.train.targets[rows]
    if len(rows) < 2 or not np.ptp(targets, axis=0).any():
        return None
    component = bench.config.optimizer
    kept = {k: 0.0 if k == "weight_decay" else v for k, v in component.options.items()}
    return fitted(bench, rows, replace(component, options=kept).build())


def _references(bench: Bench, rows: Array) -> Iterator[Fit]:
    return map(partial(fitted, bench, rows), (Adam(lr=lr) for lr in RATES))


@np.errstate(all="ignore")
def fitted(bench: Bench, rows: Array, optimizer: Optimizer) -> Fit:
    """Train a fresh network on these samples until their loss is about 0, or for 500 steps."""
    network, train = bench.network(), bench.config.train
    loss: Loss = bench.loss(network, plain=True)
    samples = Samples(bench.train.inputs[rows], bench.train.targets[rows])
    batches = Batches(samples, bench.normalizer, bench.config.dtype, len(rows))
    plan = Plan(STEPS, clip_grad_norm=train.clip_grad_norm, clip_grad_value=train.clip_grad_value)
    trainer = Trainer(network, loss, optimizer, None, batches, {}, plan)
    width = network.out_shape[0]
    least, chance = (guess(loss, samples.targets, width) for guess in (perfect, constant))
    fit = Fit(network, rows, least + CLOSE * (chance - least), chance)
    try:
        for done in trainer.run():
            if isinstance(done, StepDone):
                fit.first = done.loss if done.step == 1 else fit.first
                fit.last, fit.steps = done.loss, done.step
                if fit.reached:
                    break
    except DivergedError:
        fit.last = math.nan
    return fit


def few(bench: Bench) -> Array:
    """Rows of up to 20 samples whose inputs differ, every class in turn."""
    network = bench.untrained
    room = network.arena.trainable // (2 * network.out_shape[0])
    x, y = np.asarray(bench.train.inputs), bench.train.targets
    _, first = np.unique(x.reshape(len(x), -1)[: 50 * SAMPLES], axis=0, return_index=True)
    rows = stream(bench.config.seed, "sample", 3).permutation(np.sort(first))
    if bench.of_classes:
        turn = np.empty(len(rows), int)
        for k in np.unique(y[rows]):
            mine = y[rows] == k
            turn[mine] = np.arange(np.count_nonzero(mine))
        rows = rows[np.argsort(turn, kind="stable")]
    return rows[: min(SAMPLES, max(2, room))]
