"""RMSprop: each step divided by a running root mean square of the gradient."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

import numpy as np

from dlcli.core.arena import Array
from dlcli.core.options import Decay, Positive, example
from dlcli.optim.optimizer import Optimizer, Part, Rate, State, WeightDecay, decayed, optimizers


@optimizers.register
@dataclass(kw_only=True, eq=False)
class RMSprop(Optimizer):
    """g = g + weight_decay * w;  v = alpha * v + (1 - alpha) * g**2;  w = w - lr * g / (sqrt(v) + eps)

    With `centered`, a = alpha * a + (1 - alpha) * g and sqrt(v - a**2) in the place of sqrt(v). With momentum,
    b = momentum * b + g / (sqrt(v) + eps) and w = w - lr * b.

    Source: Hinton 2012, "Neural networks for machine learning", lecture 6e; torch.optim.RMSprop
    """

    lr: Rate = 0.01
    alpha: Decay = 0.99
    eps: Positive = 1e-8
    weight_decay: WeightDecay = 0.0
    momentum: Decay = 0.0
    centered: bool = False

    examples: ClassVar = (example(), example(lr=0.001, alpha=0.9, momentum=0.5, centered=True, weight_decay=0.1))

    def __post_init__(self) -> None:
        optional = {"grad_avg": self.centered, "momentum_buffer": bool(self.momentum)}
        self.slots = ("square_avg", *(slot for slot, used in optional.items() if used))

    def update(self, part: Part, lr: float) -> None:
        g, room, v = decayed(part, self.weight_decay), part.scratch, part.slots["square_avg"]
        v *= self.alpha
        np.multiply(g, g, out=room)
        room *= 1 - self.alpha
        v += room
        if self.centered:
            a = part.slots["grad_avg"]
            a *= self.alpha
            a += np.multiply(g, 1 - self.alpha, out=room)
            np.subtract(v, np.multiply(a, a, out=room), out=room)
            np.sqrt(np.maximum(room, 0, out=room), out=room)  # rounding may take v below a**2
        else:
            np.sqrt(v, out=room)
        room += self.eps
        np.divide(g, room, out=room)
        if self.momentum:
            b = part.slots["momentum_buffer"]
            b *= self.momentum
            b += room
            np.copyto(room, b)
        room *= lr
        part.w -= room

    def textbook(self, w: Array, g: Array, s: State, lr: float, decay: float, t: int) -> Array:
        g = g + self.weight_decay * decay * w
        v = s["square_avg"] = self.alpha * s["square_avg"] + (1 - self.alpha) * g**2
        if self.centered:
            a = s["grad_avg"] = self.alpha * s["grad_avg"] + (1 - self.alpha) * g
            v = v - a**2
        b = g / (np.sqrt(v) + self.eps)
        if self.momentum:
            b = s["momentum_buffer"] = self.momentum * s["momentum_buffer"] + b
        return w - lr * b
