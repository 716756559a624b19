"""Checks of the samples themselves."""

from __future__ import annotations

import numpy as np

from dlcli.experiment.sanity.bench import Bench
from dlcli.experiment.sanity.causes import USUAL, USUAL_INPUTS, normalizing, outside, size
from dlcli.experiment.sanity.finding import Finding

ONE_SIDED = 0.95
"""The share of one class from which on accuracy says little."""


def inputs(bench: Bench) -> Finding:
    """What the network gets has a size of about 1, as initializers take for granted, and differs between samples.

    Source: CS231n, "Neural networks part 2: setting up the data and the loss", https://cs231n.github.io/neural-networks-2
    """
    low, high = USUAL_INPUTS
    x, _ = bench.batch
    expected, found = f"size {low:g} to {high:g}, differing", f"size {size(x):.3g}"
    if len(x) > 1 and not np.ptp(x, axis=0).any():
        return Finding(expected, f"{found}, all samples the same", "failed", "the data holds one sample only: mend it")
    if outside(x, USUAL_INPUTS):
        return Finding(expected, found, "warning", f"inputs of this size hinder training: {normalizing(bench)}")
    return Finding(expected, found)


def targets(bench: Bench) -> Finding:
    """There is something to tell apart, and values to learn have a size of about 1, from where outputs begin.

    Source: Karpathy 2019, "A recipe for training neural networks", https://karpathy.github.io/2019/04/25/recipe
    """
    y = bench.train.targets
    if bench.of_classes:
        counts = np.bincount(y, minlength=bench.splits.info.classes or 0)
        share = counts.max() / len(y)
        expected = "two classes or more"
        found = f"{np.count_nonzero(counts)} of {len(counts)} classes, the largest {100 * share:.0f} %"
        if np.count_nonzero(counts) < 2:
            advice = f"every target is class {counts.argmax()}: there is nothing to learn; mend data.dataset"
            return Finding(expected, found, "failed", advice)
        if share >= ONE_SIDED:
            advice = "guessing this class is nearly always right: measure f1 or auroc, or weight the classes in loss"
            return Finding(expected, found, "warning", advice)
        return Finding(expected, found)
    low, high = USUAL
    expected, found = f"size {low:g} to {high:g}, differing", f"size {size(y):.3g}"
    if not np.ptp(y, axis=0).any():
        return Finding(expected, f"{found}, all the same", "failed", "there is nothing to learn; mend data.dataset")
    if outside(y, USUAL):
        mean, deviation = float(y.mean(dtype="f8")), float(y.std(dtype="f8"))
        advice = f"mean {mean:.4g}, deviation {deviation:.4g}: scale the targets to about 1, and outputs can reach them"
        return Finding(expected, found, "warning", advice)
    return Finding(expected, found)
