"""Checks before the first step: the loss of the untrained network, and its gradients."""

from __future__ import annotations

import math

from dlcli.experiment import gradcheck
from dlcli.experiment.sanity.bench import Bench
from dlcli.experiment.sanity.causes import cause, key, size
from dlcli.experiment.sanity.finding import Finding
from dlcli.experiment.sanity.guesses import constant, mean_loss, unknowing
from dlcli.nn.gradcheck import THRESHOLD

OFF, FAR = 2.0, 4.0
"""The initial loss over that of a guess among classes from which on it warns, and fails."""

OFF_VALUES, FAR_VALUES = 10.0, 1e4
"""The same of values over the loss of predicting their mean, from which outputs of no great size may start far away."""


def initial_loss(bench: Bench) -> Finding:
    """An untrained network does no better than a guess, and no worse: log K for K classes, for values about what it
    costs to predict their mean. More than that are outputs too large for their targets.

    Source: CS231n, "Neural networks part 3", https://cs231n.github.io/neural-networks-3/#sanitycheck
    """
    x, y = bench.batch
    network = bench.network()
    loss, width = bench.loss(network), network.out_shape[0]
    outputs = network.forward(x, training=True)
    value, scale = mean_loss(loss, outputs, y), size(loss.logits(outputs))
    scored = bench.of_classes and loss.outputs in ("logits", "log-probabilities")
    guess = unknowing(loss, y, width) if scored else constant(loss, y, width)
    off, far = (OFF, FAR) if scored else (OFF_VALUES, FAR_VALUES)
    expected = (
        f"about {guess:.4g}, a guess among {max(width, 2)}" if scored else f"about {guess:.4g}, of a constant output"
    )
    found = f"{value:.4g}"
    if not guess > 0 or math.isnan(guess):
        return Finding("a finite loss", found, "passed" if math.isfinite(value) else "failed")
    if value < off * guess:
        return Finding(expected, found)
    last = list(network.trained)[-1]
    advice = cause(bench, f"outputs of size {scale:.3g} are too large for the targets: smaller {key(bench, last)}.init")
    return Finding(expected, found, "warning" if value < far * guess else "failed", advice)


def gradient_check(bench: Bench) -> Finding:
    """The gradients of every layer and of the loss are those of what `forward` computes.

    Source: CS231n, "Neural networks part 3", https://cs231n.github.io/neural-networks-3/#gradcheck
    """
    config = bench.config
    report = gradcheck.of_config(config, bench.splits.info, seed=config.seed, threshold=THRESHOLD)
    expected = f"relative error <= {THRESHOLD:g}"
    rows = [row for row in report.rows if row.method != "trained" or not row.passed]  # which float32 makes larger
    worst = max(rows, key=lambda row: (not row.passed, row.error))
    found = f"{worst.error:.1e} ({worst.layer}: {worst.tensor})"
    if report.passed:
        return Finding(expected, found)
    first = next(row for row in report.rows if not row.passed)
    advice = f"{first.layer}: {first.tensor} has a wrong gradient: mend its backward; 'dlcli gradcheck' shows where"
    return Finding(expected, f"{first.error:.1e} ({first.layer}: {first.tensor})", "failed", advice)
