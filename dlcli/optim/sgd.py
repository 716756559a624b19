"""Stochastic gradient descent, with momentum as PyTorch defines it."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

import numpy as np

from dlcli.core.arena import Array
from dlcli.core.errors import ConfigError
from dlcli.core.options import Decay, example
from dlcli.optim.optimizer import Optimizer, Part, State, WeightDecay, decayed, optimizers


@optimizers.register
@dataclass(kw_only=True, eq=False)
class SGD(Optimizer):
    """g = g + weight_decay * w;  v = momentum * v + (1 - dampening) * g  (v = g at the first step);  w = w - lr * v

    With `nesterov`, w = w - lr * (g + momentum * v). Without momentum, w = w - lr * g.
    The learning rate stands outside v, so that a change of lr acts at once (Sutskever et al. put it inside).

    Source: Sutskever et al. 2013, "On the importance of initialization and momentum in deep learning",
    https://proceedings.mlr.press/v28/sutskever13.html; torch.optim.SGD
    """

    momentum: Decay = 0.0
    dampening: Decay = 0.0
    weight_decay: WeightDecay = 0.0
    nesterov: bool = False

    examples: ClassVar = (
        example(lr=0.1),
        example(lr=0.1, momentum=0.9),
        example(lr=0.1, momentum=0.9, nesterov=True, weight_decay=0.01),
        example(lr=0.1, momentum=0.9, dampening=0.5),
    )

    def __post_init__(self) -> None:
        if self.nesterov and (self.momentum == 0 or self.dampening != 0):
            raise ConfigError("got nesterov: true, which needs momentum > 0 and dampening 0")
        if self.momentum:
            self.slots = ("momentum_buffer",)

    def update(self, part: Part, lr: float) -> None:
        # In place throughout, `scratch` holding each product: no step takes memory.
        w, g = part.w, decayed(part, self.weight_decay)
        if self.momentum:
            v = part.slots["momentum_buffer"]
            if self.t == 1:
                np.copyto(v, g)
            else:
                v *= self.momentum
                v += np.multiply(g, 1 - self.dampening, out=part.scratch) if self.dampening else g
            if self.nesterov:
                g += np.multiply(v, self.momentum, out=part.scratch)
            else:
                g = v
        w -= np.multiply(g, lr, out=part.scratch)

    def textbook(self, w: Array, g: Array, s: State, lr: float, decay: float, t: int) -> Array:
        g = g + self.weight_decay * decay * w
        if self.momentum:
            v = g if t == 1 else self.momentum * s["momentum_buffer"] + (1 - self.dampening) * g
            s["momentum_buffer"] = v
            g = g + self.momentum * v if self.nesterov else v
        return w - lr * g
