"""Gradient descent with a velocity, in the form that tutorials write."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

import numpy as np

from dlcli.core.arena import Array
from dlcli.core.options import Decay, example
from dlcli.optim.optimizer import Optimizer, Part, Rate, State, optimizers


@optimizers.register
@dataclass(kw_only=True, eq=False)
class SGDMomentum(Optimizer):
    """v = momentum * v - lr * g;  w = w + v

    The velocity v holds the learning rate: after a change of lr it still carries steps of the old size, which is the
    difference from SGD with momentum.

    Source: Polyak 1964, "Some methods of speeding up the convergence of iteration methods",
    https://doi.org/10.1016/0041-5553(64)90137-5
    """

    lr: Rate = 0.01
    momentum: Decay = 0.9

    slots = ("velocity",)
    examples: ClassVar = (example(), example(lr=0.1, momentum=0.5))

    def update(self, part: Part, lr: float) -> None:
        w, v = part.w, part.slots["velocity"]
        v *= self.momentum
        v -= np.multiply(part.g, lr, out=part.scratch)
        w += v

    def textbook(self, w: Array, g: Array, s: State, lr: float, decay: float, t: int) -> Array:
        s["velocity"] = self.momentum * s["velocity"] - lr * g
        return w + s["velocity"]
