"""Averaged weights: an exponential moving average of all that a network has learned, as a network of its own."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from dlcli.core.arena import Array
from dlcli.nn.network import Network


@dataclass
class Ema:
    """a = d * a + (1 - d) * w after every step t = 1, 2, ..., beginning with a = the first values

    w are the parameters and the state of layers (running means and variances) alike, so that both are of the same
    stretch of training. d = decay, and with `warmup` d = min(decay, (1 + t) / (10 + t)): without it, 0.999 would
    still hold 37 % of the first, random values after 1000 steps. d follows from t, so only the averages are saved.

    Source: Polyak and Juditsky 1992, "Acceleration of stochastic approximation by averaging",
    https://doi.org/10.1137/0330046; torch.optim.swa_utils with use_buffers, tf.train.ExponentialMovingAverage
    """

    network: Network
    """What is trained."""
    decay: float
    warmup: bool = True

    def __post_init__(self) -> None:
        self.averaged = self.network.cast(self.network.dtype)
        """The network to evaluate, whose parameters and state are the averages."""
        learned, average = self.network.arena, self.averaged.arena
        vectors = (average.values[: average.trainable], learned.values[: learned.trainable])
        state = self.network.state
        self.pairs: list[tuple[Array, Array, Array]] = [
            (a, w, np.empty_like(a))
            for a, w in (vectors, *((a, state[name]) for name, a in self.averaged.state.items()))
        ]

    def update(self, t: int) -> None:
        """Take in the values after step t, counted from 1."""
        decay = min(self.decay, (1 + t) / (10 + t)) if self.warmup else self.decay
        for a, w, room in self.pairs:
            np.subtract(w, a, out=room)
            room *= 1 - decay
            a += room
