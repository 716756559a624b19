"""Checks of the config's own optimizer: whether it gets anywhere, and by steps of which size."""

from __future__ import annotations

from dlcli.experiment.sanity.bench import Bench
from dlcli.experiment.sanity.causes import cause, label, rate
from dlcli.experiment.sanity.course import LARGE, LEAP, short_training
from dlcli.experiment.sanity.finding import Finding, skipped
from dlcli.experiment.sanity.fitting import own_fit, steered

LITTLE = 0.98
"""The loss over its first value, or over that of a constant output, below which something has been learned."""

STILL = 0.999
"""The loss over its first value above which nothing has been learned."""

FAR = 2.0
"""The first loss over that of a constant output from which on a training has to make good a bad start."""

USUAL = (1e-5, LARGE)
"""Around the usual 1e-3: outside of it a ratio is warned about."""

SANE = (1e-8, 1.0)
"""Outside of it a check fails: nothing moves, or every step replaces the weights."""


def training(bench: Bench) -> Finding:
    """Some steps with the config's own optimizer, schedule and regularisation lower the loss on samples that
    are trained on, below that of a constant output.

    Source: CS231n, "Neural networks part 3", https://cs231n.github.io/neural-networks-3/#loss
    """
    course = bench.once(short_training)
    expected = f"loss falls below {course.chance:.4g}"
    lower = f"lower {rate(bench)}; 'dlcli lr-find' suggests one"
    if course.failure:
        what = course.failure.partition(";")[0].removeprefix("training diverged ")
        return Finding(expected, f"diverged {what}", "failed", cause(bench, lower))
    found = f"{course.before:.4g} -> {course.after:.4g} in {course.steps} steps"
    if course.rose:
        return Finding(expected, found, "failed", cause(bench, steered(bench, f"the steps are too large: {lower}")))
    if course.after < LITTLE * min(course.before, course.chance):
        return Finding(expected, found)
    if course.after > STILL * course.before:
        return Finding(expected, found, "failed", cause(bench, f"it does not learn: raise {rate(bench)}"))
    fit = bench.once(own_fit)
    if fit is not None and fit.learning:  # so optimizer and network can learn
        advice = f"it learns little from many samples: see labels, or raise {rate(bench)}"
        return Finding(expected, found, "warning", cause(bench, advice))
    if course.before < FAR * course.chance:
        return Finding(expected, found, "warning", cause(bench, f"it learns slowly: raise {rate(bench)}"))
    return Finding(expected, found, "failed", cause(bench, f"it learns to ignore its inputs: {lower}"))


def updates(bench: Bench) -> Finding:
    """A step moves the parameters of a layer by about a thousandth of their size.

    Source: CS231n, "Neural networks part 3", https://cs231n.github.io/neural-networks-3/#ratio
    """
    course = bench.once(short_training)
    expected = f"{USUAL[0]:g} to {USUAL[1]:g} of the weights a step"
    medians = course.medians
    if not medians:
        return skipped(expected, "no step was made")
    low, high = min(medians, key=medians.__getitem__), max(medians, key=medians.__getitem__)
    network = course.network
    found = f"{medians[low]:.2g} ({label(network, low)}) to {medians[high]:.2g} ({label(network, high)})"
    named = {label(network, name): {"update_ratio": ratio} for name, ratio in medians.items()}
    first = course.first
    if course.large:
        severe = medians[high] > SANE[1] or first > LEAP
        found = f"{first:.2g} at the first step" if first > LEAP else found
        advice = cause(bench, steered(bench, f"steps this large forget what is learned: lower {rate(bench)}"))
        return Finding(expected, found, "failed" if severe else "warning", advice, named)
    if medians[low] < USUAL[0]:
        advice = cause(bench, f"layer {label(network, low)} hardly moves: raise {rate(bench)}, or see gradients")
        return Finding(expected, found, "failed" if medians[low] < SANE[0] else "warning", advice, named)
    return Finding(expected, found, layers=named)
