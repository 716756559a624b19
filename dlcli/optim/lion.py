"""Lion: steps of one size, in the direction of a sign."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

import numpy as np

from dlcli.core.arena import Array
from dlcli.core.options import example
from dlcli.optim.optimizer import Betas, Optimizer, Part, Rate, State, WeightDecay, optimizers, shrink


@optimizers.register
@dataclass(kw_only=True, eq=False)
class Lion(Optimizer):
    """w = w - lr * weight_decay * w;  w = w - lr * sign(beta1 * m + (1 - beta1) * g);  m = beta2 * m + (1 - beta2) * g

    Every element moves by lr, so lr is three to ten times smaller than Adam's, and weight_decay as much larger.

    Source: Chen et al. 2023, "Symbolic discovery of optimization algorithms", https://arxiv.org/abs/2302.06675
    """

    lr: Rate = 1e-4
    betas: Betas = (0.9, 0.99)
    weight_decay: WeightDecay = 0.0

    slots = ("exp_avg",)
    examples: ClassVar = (example(), example(lr=0.001, betas=[0.8, 0.9], weight_decay=0.1))

    def update(self, part: Part, lr: float) -> None:
        w, g, m, room, (beta1, beta2) = part.w, part.g, part.slots["exp_avg"], part.scratch, self.betas
        shrink(part, self.weight_decay, lr)
        np.multiply(m, beta1, out=room)
        m *= beta2
        g *= 1 - beta2
        m += g
        g *= (1 - beta1) / (1 - beta2)
        room += g
        step = np.sign(room, out=g)  # in its own place it would take ten times as long
        step *= lr
        w -= step

    def textbook(self, w: Array, g: Array, s: State, lr: float, decay: float, t: int) -> Array:
        beta1, beta2 = self.betas
        m = s["exp_avg"]
        s["exp_avg"] = beta2 * m + (1 - beta2) * g
        w = w - lr * self.weight_decay * decay * w
        return w - lr * np.sign(beta1 * m + (1 - beta1) * g)
