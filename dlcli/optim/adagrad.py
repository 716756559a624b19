"""Adagrad and Adadelta: steps scaled by what the gradient has been so far."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

import numpy as np

from dlcli.core.arena import Array
from dlcli.core.options import Decay, NonNegative, Positive, example
from dlcli.optim.optimizer import Optimizer, Part, Rate, State, WeightDecay, decayed, optimizers


@optimizers.register
@dataclass(kw_only=True, eq=False)
class Adagrad(Optimizer):
    """g = g + weight_decay * w;  s = s + g**2;  w = w - lr / (1 + (t - 1) * lr_decay) * g / (sqrt(s) + eps)

    Source: Duchi, Hazan and Singer 2011, "Adaptive subgradient methods for online learning and stochastic
    optimization", https://jmlr.org/papers/v12/duchi11a.html; torch.optim.Adagrad
    """

    lr: Rate = 0.01
    lr_decay: NonNegative = 0.0
    weight_decay: WeightDecay = 0.0
    eps: Positive = 1e-10

    slots = ("sum",)
    examples: ClassVar = (example(), example(lr=0.1, lr_decay=0.01, weight_decay=0.1))

    def update(self, part: Part, lr: float) -> None:
        g, room, s = decayed(part, self.weight_decay), part.scratch, part.slots["sum"]
        s += np.multiply(g, g, out=room)
        np.sqrt(s, out=room)
        room += self.eps
        np.divide(g, room, out=room)
        room *= lr / (1 + (self.t - 1) * self.lr_decay)
        part.w -= room

    def textbook(self, w: Array, g: Array, s: State, lr: float, decay: float, t: int) -> Array:
        g = g + self.weight_decay * decay * w
        s["sum"] = s["sum"] + g**2
        return w - lr / (1 + (t - 1) * self.lr_decay) * g / (np.sqrt(s["sum"]) + self.eps)


@optimizers.register
@dataclass(kw_only=True, eq=False)
class Adadelta(Optimizer):
    """g = g + weight_decay * w;  v = rho * v + (1 - rho) * g**2;  d = g * sqrt(u + eps) / sqrt(v + eps);
    u = rho * u + (1 - rho) * d**2;  w = w - lr * d

    Source: Zeiler 2012, "ADADELTA: an adaptive learning rate method", https://arxiv.org/abs/1212.5701;
    torch.optim.Adadelta
    """

    lr: Rate = 1.0
    rho: Decay = 0.9
    eps: Positive = 1e-6
    weight_decay: WeightDecay = 0.0

    slots = ("square_avg", "acc_delta")
    examples: ClassVar = (example(), example(lr=0.5, rho=0.8, weight_decay=0.1))

    def update(self, part: Part, lr: float) -> None:
        g, room = decayed(part, self.weight_decay), part.scratch
        v, u = part.slots["square_avg"], part.slots["acc_delta"]
        v *= self.rho
        np.multiply(g, g, out=room)
        room *= 1 - self.rho
        v += room
        # g becomes d
        np.sqrt(np.add(v, self.eps, out=room), out=room)
        g /= room
        g *= np.sqrt(np.add(u, self.eps, out=room), out=room)
        u *= self.rho
        np.multiply(g, g, out=room)
        room *= 1 - self.rho
        u += room
        g *= lr
        part.w -= g

    def textbook(self, w: Array, g: Array, s: State, lr: float, decay: float, t: int) -> Array:
        g = g + self.weight_decay * decay * w
        u = s["acc_delta"]
        v = s["square_avg"] = self.rho * s["square_avg"] + (1 - self.rho) * g**2
        d = g * np.sqrt(u + self.eps) / np.sqrt(v + self.eps)
        s["acc_delta"] = self.rho * u + (1 - self.rho) * d**2
        return w - lr * d
