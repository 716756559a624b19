"""Adam, and AdamW with the weight decay decoupled from the gradient."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import ClassVar

import numpy as np

from dlcli.core.arena import Array
from dlcli.core.options import Example, Positive, example
from dlcli.optim.optimizer import Betas, Optimizer, Part, Rate, State, WeightDecay, decayed, optimizers, shrink


def averages(part: Part, beta1: float, beta2: float) -> tuple[Array, Array]:
    """m = beta1 * m + (1 - beta1) * g and v = beta2 * v + (1 - beta2) * g**2, in their slots; g is spent."""
    g, m, v = part.g, part.slots["exp_avg"], part.slots["exp_avg_sq"]
    m *= beta1
    g *= 1 - beta1
    m += g
    v *= beta2
    g *= g
    g *= (1 - beta2) / (1 - beta1) ** 2
    v += g
    return m, v


@optimizers.register
@dataclass(kw_only=True, eq=False)
class Adam(Optimizer):
    """g = g + weight_decay * w;  m = beta1 * m + (1 - beta1) * g;  v = beta2 * v + (1 - beta2) * g**2;
    w = w - lr * (m / (1 - beta1**t)) / (sqrt(v / (1 - beta2**t)) + eps)

    eps is added after the bias correction, as in Algorithm 1.

    Source: Kingma and Ba 2015, "Adam: a method for stochastic optimization", https://arxiv.org/abs/1412.6980;
    torch.optim.Adam
    """

    lr: Rate = 1e-3
    betas: Betas = (0.9, 0.999)
    eps: Positive = 1e-8
    weight_decay: WeightDecay = 0.0

    slots = ("exp_avg", "exp_avg_sq")
    examples: ClassVar[tuple[Example, ...]] = (example(), example(lr=0.01, betas=[0.8, 0.99], weight_decay=0.1))

    def update(self, part: Part, lr: float) -> None:
        decayed(part, self.weight_decay)
        part.w -= self.change(part, lr)

    def textbook(self, w: Array, g: Array, s: State, lr: float, decay: float, t: int) -> Array:
        beta1, beta2 = self.betas
        g = g + self.weight_decay * decay * w
        m = s["exp_avg"] = beta1 * s["exp_avg"] + (1 - beta1) * g
        v = s["exp_avg_sq"] = beta2 * s["exp_avg_sq"] + (1 - beta2) * g**2
        return w - lr * (m / (1 - beta1**t)) / (np.sqrt(v / (1 - beta2**t)) + self.eps)

    def change(self, part: Part, lr: float) -> Array:
        """lr * (m / (1 - beta1**t)) / (sqrt(v / (1 - beta2**t)) + eps), in the place of g."""
        room, (beta1, beta2) = part.g, self.betas
        m, v = averages(part, beta1, beta2)
        root = math.sqrt(1 - beta2**self.t)  # which stands on both sides of the fraction, sparing a pass over v
        np.sqrt(v, out=room)
        room += self.eps * root
        np.divide(m, room, out=room)
        room *= lr * root / (1 - beta1**self.t)
        return room


@optimizers.register
@dataclass(kw_only=True, eq=False)
class AdamW(Adam):
    """w = w - lr * weight_decay * w, then Adam's step without decay in the gradient

    m = beta1 * m + (1 - beta1) * g;  v = beta2 * v + (1 - beta2) * g**2;
    w = w - lr * (m / (1 - beta1**t)) / (sqrt(v / (1 - beta2**t)) + eps)

    Source: Loshchilov and Hutter 2019, "Decoupled weight decay regularization", https://arxiv.org/abs/1711.05101;
    torch.optim.AdamW
    """

    weight_decay: WeightDecay = 0.01

    examples: ClassVar[tuple[Example, ...]] = (example(), example(lr=0.01, weight_decay=0.1))

    def update(self, part: Part, lr: float) -> None:
        shrink(part, self.weight_decay, lr)
        part.w -= self.change(part, lr)

    def textbook(self, w: Array, g: Array, s: State, lr: float, decay: float, t: int) -> Array:
        w = w - lr * self.weight_decay * decay * w
        return super().textbook(w, g, s, lr, 0.0, t)
