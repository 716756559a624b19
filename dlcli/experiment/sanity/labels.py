"""Checks of the labels: those of the data tell something of the inputs, shuffled ones do not."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np

from dlcli.core.arena import Array
from dlcli.core.rng import stream
from dlcli.data.batches import Normalizer
from dlcli.experiment.sanity.bench import Bench
from dlcli.experiment.sanity.causes import cause, rate
from dlcli.experiment.sanity.course import Course, short_training
from dlcli.experiment.sanity.finding import Finding, skipped
from dlcli.experiment.sanity.guesses import shares
from dlcli.nn.layers.softmax import below_top, normalized

PERMUTATIONS = 500

SIGNAL, HINT = 4.0, 2.5
"""Deviations from chance that count as a signal, and those that may be one."""

CLEAR, LEAK = 0.1, 0.3
"""The slope of a clear signal, and that of one that comes of a leak."""

ENOUGH = 50
"""Held-out samples below which a missing signal is no proof."""

NEIGHBOURS = 5


def labels(bench: Bench) -> Finding:
    """The outputs of the briefly trained network go with the targets of samples that it has not seen.

    How far they do is compared with permutations of these targets. Where there is no signal, the nearest neighbours
    among the training samples are asked, which tells targets that do not belong to their inputs from a network that
    has not learned yet.

    Source: Ojala and Garriga 2010, "Permutation tests for studying classifier performance",
    https://jmlr.org/papers/v11/ojala10a.html
    """
    course, held = bench.once(short_training), bench.splits.val
    expected = "better than chance"
    if held is None or not np.ptp(held.targets, axis=0).any():
        return skipped(expected, "no held-out samples that differ")
    own = _told_by(course, bench)
    if own is not None and own.by(SIGNAL, CLEAR):
        return Finding(expected, own.words)
    if bench.faults:
        return skipped(expected, f"see {bench.faults[0]}")
    found = own.words if own is not None else "-"
    near = told(*neighbours(bench), bench)
    if near.by(SIGNAL, CLEAR):
        if own is not None and own.by(SIGNAL, 0.0):  # outputs that do not vary much yet
            return Finding(expected, own.words)
        text = f"{near.words} by nearest neighbours"
        if course.rose:
            return Finding(expected, text)
        advice = f"the labels tell what the network has not found yet: raise {rate(bench)}, or train longer"
        return Finding(expected, f"{found}; {text}", "warning", cause(bench, advice))
    if course.rose or own is None:
        return skipped(expected, "the short training failed")
    noise = _told_by(bench.once(shuffled_training), bench)
    if own.by(HINT, 2 * abs(noise.slope) if noise is not None else 0.0) or near.by(HINT, 0.0):
        return Finding(expected, found, "warning", "the inputs hardly tell the labels: are columns missing?")
    advice = "the labels look shuffled: they do not belong to their inputs; mend the order of rows in data.dataset"
    if len(held.targets) < ENOUGH:
        return Finding(expected, found, "warning", f"{len(held.targets)} samples are too few to tell, but {advice}")
    return Finding(expected, found, "failed", advice)


def shuffled(bench: Bench) -> Finding:
    """Trained on shuffled targets the network tells held-out samples no better than chance: nothing leaks.

    Source: Zhang et al. 2017, "Understanding deep learning requires rethinking generalization",
    https://arxiv.org/abs/1611.03530
    """
    held = bench.splits.val
    expected = "chance"
    if bench.once(short_training).rose:
        return skipped(expected, "the short training failed")
    if held is None or not np.ptp(held.targets, axis=0).any():
        return skipped(expected, "no held-out samples that differ")
    found = _told_by(bench.once(shuffled_training), bench)
    if found is None:
        return skipped(expected, "the training on shuffled labels diverged")
    if not found.by(SIGNAL, LEAK):
        return Finding(expected, found.words)
    advice = "targets reach the outputs on another way: look for a leak in the loss or in a layer"
    return Finding(expected, found.words, "failed", advice)


def shuffled_training(bench: Bench) -> Course:
    """What came of a short training where every sample has the target of another one."""
    return short_training(bench, shuffled=True)


def _told_by(course: Course, bench: Bench) -> Told | None:
    held = bench.splits.val
    if held is None or course.outputs is None or not np.isfinite(course.outputs).all():
        return None
    return told(course.outputs, held.targets, bench)


class Told(NamedTuple):
    """How well outputs go with targets."""

    strength: float
    """Deviations beyond chance, that of permutations of the targets."""
    slope: float
    """The covariance over the variance of the targets: 1 where they agree, about 0 where outputs hardly vary."""
    words: str

    def by(self, strength: float, slope: float) -> bool:
        """Whether that is a signal at least as strong and steep.

        Strength alone is none: the outputs of a few parameters, which hardly vary, may by chance go with the targets.
        """
        return self.strength >= strength and self.slope >= slope


def told(outputs: Array, targets: Array, bench: Bench) -> Told:
    """Of probabilities of classes or, by rank, of values."""
    flat = outputs.reshape(len(outputs), -1).astype(np.float64)
    wanted = shares(targets, flat.shape[1]).reshape(flat.shape)
    if bench.of_classes:
        flat, _ = normalized(below_top(flat, out=flat))
        right = float(np.mean(flat.argmax(axis=1) == targets))
        most = float(np.bincount(targets).max() / len(targets))
        words = f"accuracy {100 * right:.0f} % of {len(targets)}, chance {100 * most:.0f} %"
    flat, wanted = flat - flat.mean(axis=0), wanted - wanted.mean(axis=0)
    slope = float(np.mean(flat * wanted) / (np.mean(wanted * wanted) or 1.0))
    if not bench.of_classes:
        flat, wanted = _ranks(flat), _ranks(wanted)
        words = f"rank correlation {np.mean(flat * wanted):.2f} over {len(targets)}"
    rng = stream(bench.config.seed, "sample", 4)
    chance = [float(np.sum(flat * rng.permutation(wanted))) for _ in range(PERMUTATIONS)]
    strength = (float(np.sum(flat * wanted)) - float(np.mean(chance))) / (float(np.std(chance)) or 1.0)
    return Told(strength, slope, words)


def neighbours(bench: Bench) -> tuple[Array, Array]:
    """For every sample, held out or not, what its 5 nearest others say, as a network would; and the targets."""
    parts = [part for part in (bench.train, bench.splits.val) if part is not None]
    inputs, targets = (np.concatenate([np.asarray(part[i]) for part in parts]) for i in (0, 1))
    scale = Normalizer.fit("standardize", inputs, bench.splits.info.image)
    flat = scale.apply(inputs, np.empty(inputs.shape, np.float32)).reshape(len(inputs), -1)
    distance = np.square(flat).sum(axis=1) - 2 * flat @ flat.T
    np.fill_diagonal(distance, np.inf)
    nearest = np.argpartition(distance, min(NEIGHBOURS, len(flat) - 1) - 1, axis=1)[:, :NEIGHBOURS]
    if not bench.of_classes:
        return targets[nearest].mean(axis=1), targets
    votes = shares(targets, max(2, int(targets.max()) + 1))[nearest].mean(axis=1)
    return np.log(votes + 0.01), targets


def _ranks(values: Array) -> Array:
    """The ranks of every column, with mean 0 and deviation 1."""
    ranks = np.argsort(np.argsort(values, axis=0, kind="stable"), axis=0).astype(np.float64)
    return (ranks - ranks.mean()) / (ranks.std() or 1.0)
