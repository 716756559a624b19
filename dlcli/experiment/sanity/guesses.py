"""Losses to compare with: what a guess costs that knows the targets, their mean, or nothing of them."""

from __future__ import annotations

import math

import numpy as np

from dlcli.core.arena import Array
from dlcli.core.errors import DlcliError
from dlcli.nn.loss import Loss

TINY = 1e-12
"""The least probability whose logarithm is taken."""


def perfect(loss: Loss, targets: Array, width: int) -> float:
    """The loss of outputs that are right for every sample: 0, unless the targets are probabilities or counts."""
    return _stated(loss, shares(targets, width), targets)


def constant(loss: Loss, targets: Array, width: int) -> float:
    """Chance: the loss of one output for all, the mean of the targets or the share of every class.

    For the mean squared error it is the variance, for the cross entropy the entropy of the classes.
    """
    known = shares(targets, width)
    mean = _stated(loss, np.broadcast_to(known.mean(axis=0), known.shape), targets)
    return min(mean, unknowing(loss, targets, width)) if targets.dtype.kind in "iu" else mean


def unknowing(loss: Loss, targets: Array, width: int) -> float:
    """The loss of outputs that find K classes equally likely: log K for the cross entropy, log 2 for the binary one."""
    even = 0.5 if loss.binary else 1 / width
    return _stated(loss, np.full((len(targets), width), even), targets)


def shares(targets: Array, width: int) -> Array:
    """Values as they are, classes as rows with 1 at the class; `width` 1 stands for the second of two classes."""
    if targets.dtype.kind not in "iu":
        return targets.astype(np.float64)
    return (targets[:, None] == (np.arange(width) if width > 1 else 1)).astype(np.float64)


def mean_loss(loss: Loss, outputs: Array, targets: Array) -> float:
    """The loss of one sample, also where the gradient is that of a sum."""
    total, count = loss.sums(float(loss.forward(outputs, targets)), targets)
    return total / (count or 1)


def _stated(loss: Loss, known: Array, targets: Array) -> float:
    """The loss of outputs that say `known` in the form that the loss takes: as it is, as logarithms or as log odds."""
    logs = np.log(np.maximum(known, TINY))
    scores = logs - np.log(np.maximum(1 - known, TINY)) if loss.binary else logs
    forms = {"logits": [scores], "probabilities": [known], "log-probabilities": [logs]}
    values = (_value(loss, form, targets) for form in forms.get(loss.outputs or "", [known, logs]))
    return min((value for value in values if not math.isnan(value)), default=math.nan)


def _value(loss: Loss, outputs: Array, targets: Array) -> float:
    try:
        return mean_loss(loss, outputs.astype(loss.dtype), targets)
    except DlcliError:  # a form that this loss does not take, such as a rate below 0
        return math.nan
