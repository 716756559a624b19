"""Several networks as one: the mean of their probabilities, or of their values."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from dlcli.core.arena import Array
from dlcli.training.metrics.probabilities import centred


@np.errstate(all="ignore")
def together(outputs: Sequence[Array], classes: bool) -> Array:
    """One output for the outputs (N, ...) of each network, which alone is returned as it is.

    Of values the mean. Of classes scores z (N, K) with softmax(z) = mean over the networks of their softmax, that is
    z = log of it, in float64 and without leaving the logarithms, so that no small probability becomes 0.
    """
    if len(outputs) == 1:
        return outputs[0]
    if not classes:
        return np.add.reduce(outputs, axis=0, dtype=np.float64) / len(outputs)
    logs = [z - np.log(np.exp(z).sum(axis=1, keepdims=True)) for z in map(centred, outputs)]
    total: Array = np.logaddexp.reduce(logs, axis=0)
    return total - np.log(len(outputs))
