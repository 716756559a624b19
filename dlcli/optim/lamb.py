"""LAMB: Adam's direction, with a step for each weight in proportion to its own size."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import ClassVar

import numpy as np

from dlcli.core.arena import Array
from dlcli.core.options import Positive, example
from dlcli.optim.adam import Adam
from dlcli.optim.optimizer import Part, State, WeightDecay, optimizers


@optimizers.register
@dataclass(kw_only=True, eq=False)
class LAMB(Adam):
    """m = beta1 * m + (1 - beta1) * g;  v = beta2 * v + (1 - beta2) * g**2;
    u = (m / (1 - beta1**t)) / (sqrt(v / (1 - beta2**t)) + eps) + weight_decay * w;  w = w - lr * |w| / |u| * u

    |w| and |u| are 2-norms over one parameter; the trust ratio |w| / |u| is not clipped, and is 1 where either norm
    is 0. Biases and norms (parameters with one axis) have the ratio 1, as in the authors' code: from a bias of 0 the
    ratio would let it grow by next to nothing.

    Source: You et al. 2020, "Large batch optimization for deep learning: training BERT in 76 minutes",
    https://arxiv.org/abs/1904.00962, algorithm 2
    """

    eps: Positive = 1e-6
    weight_decay: WeightDecay = 0.01

    elementwise: ClassVar[bool] = False
    examples: ClassVar = (example(), example(lr=0.01, betas=[0.8, 0.99], eps=1e-8, weight_decay=0.1))

    def update(self, part: Part, lr: float) -> None:
        u = self.change(part, 1.0)
        rate = self.weight_decay * part.decay
        if rate:
            u += np.multiply(part.w, rate, out=part.scratch)
        if part.w.ndim >= 2:
            size, length = float(np.linalg.norm(part.w)), float(np.linalg.norm(u))
            lr *= size / length if size and length else 1.0
        u *= lr
        part.w -= u

    def textbook(self, w: Array, g: Array, s: State, lr: float, decay: float, t: int) -> Array:
        beta1, beta2 = self.betas
        m = s["exp_avg"] = beta1 * s["exp_avg"] + (1 - beta1) * g
        v = s["exp_avg_sq"] = beta2 * s["exp_avg_sq"] + (1 - beta2) * g**2
        u = (m / (1 - beta1**t)) / (np.sqrt(v / (1 - beta2**t)) + self.eps) + self.weight_decay * decay * w
        if w.ndim >= 2 and w.any() and u.any():
            lr = lr * math.sqrt(np.sum(w**2) / np.sum(u**2))
        return w - lr * u
