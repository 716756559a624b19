"""How good the probabilities of the classes are: log loss, Brier score and calibration error."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

import numpy as np

from dlcli.core.arena import Array
from dlcli.core.options import Count, example
from dlcli.nn.layers.softmax import below_top, normalized
from dlcli.training.metric import Metric, metrics, ratio


def centred(scores: Array) -> Array:
    """Scores (N, K) in float64 less the largest of their row, so that `exp` does not overflow."""
    z = scores.astype(np.float64)
    return below_top(z, out=z)


def softmax(scores: Array) -> Array:
    """The probabilities (N, K) of the classes in float64."""
    return normalized(centred(scores))[0]


@metrics.register
@dataclass(kw_only=True, eq=False)
class LogLoss(Metric):
    """log_loss = mean over the samples of -log p_t,  p = softmax(scores)

    Scores (N, K), classes t (N,). Infinite where a p_t is 0 (scikit-learn clips it there).

    Source: sklearn.metrics.log_loss
    """

    config_name: ClassVar[str] = "log_loss"
    task: ClassVar[str | None] = "classification"
    better: ClassVar[str] = "min"
    examples: ClassVar = (example((3,)),)

    def sums(self, outputs: Array, targets: Array) -> Array:
        z = centred(outputs)
        own = z[np.arange(len(targets)), targets]
        return np.array([np.sum(np.log(np.exp(z, out=z).sum(axis=1)) - own), len(targets)])


@metrics.register
@dataclass(kw_only=True, eq=False)
class Brier(Metric):
    """brier = mean over the samples of the sum over the classes k of (p_k - [k = t])**2,  p = softmax(scores)

    Scores (N, K), classes t (N,). From 0 to 2, Brier's own scale: for two classes twice the square of one
    probability's error, which some call by that name.

    Source: Brier 1950, "Verification of forecasts expressed in terms of probability",
    https://doi.org/10.1175/1520-0493(1950)078<0001:VOFEIT>2.0.CO;2; sklearn.metrics.brier_score_loss with
    scale_by_half=False
    """

    config_name: ClassVar[str] = "brier"
    task: ClassVar[str | None] = "classification"
    better: ClassVar[str] = "min"
    examples: ClassVar = (example((3,)), example((2,)))

    def sums(self, outputs: Array, targets: Array) -> Array:
        error = softmax(outputs)
        error[np.arange(len(targets)), targets] -= 1
        return np.array([np.sum(np.square(error, out=error)), len(targets)])


@metrics.register
@dataclass(kw_only=True, eq=False)
class CalibrationError(Metric):
    """calibration_error = sum over bins of samples in the bin / samples * |accuracy in the bin - mean confidence in it|

    The expected calibration error (ECE). Scores (N, K), classes (N,); a sample's confidence is its largest
    probability, softmax of the scores, and falls into one of n_bins bins of equal width, open below and closed above.

    Source: Guo et al. 2017, "On calibration of modern neural networks", https://arxiv.org/abs/1706.04599
    """

    n_bins: Count = 15

    config_name: ClassVar[str] = "calibration_error"
    task: ClassVar[str | None] = "classification"
    better: ClassVar[str] = "min"
    examples: ClassVar = (example((3,)), example((3,), n_bins=4))

    def sums(self, outputs: Array, targets: Array) -> Array:
        z = centred(outputs)
        confidence = 1 / np.exp(z, out=z).sum(axis=1)  # the largest exp is that of 0
        edges = np.arange(1, self.n_bins) / self.n_bins
        excess = (outputs.argmax(axis=1) == targets) - confidence
        found = np.bincount(np.searchsorted(edges, confidence), excess, minlength=self.n_bins)
        return np.append(found, len(targets))

    def value(self, sums: Array) -> float:
        return ratio(float(np.abs(sums[:-1]).sum()), sums[-1])
