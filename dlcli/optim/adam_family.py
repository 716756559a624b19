"""Relatives of Adam: the largest gradient instead of the mean square, a look ahead, a rectified start."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import ClassVar

import numpy as np

from dlcli.core.arena import Array
from dlcli.core.options import NonNegative, Positive, example
from dlcli.optim.adam import averages
from dlcli.optim.optimizer import Betas, Optimizer, Part, Rate, State, WeightDecay, decayed, optimizers


@optimizers.register
@dataclass(kw_only=True, eq=False)
class Adamax(Optimizer):
    """g = g + weight_decay * w;  m = beta1 * m + (1 - beta1) * g;  u = max(beta2 * u, |g| + eps);
    w = w - lr / (1 - beta1**t) * m / u

    Source: Kingma and Ba 2015, https://arxiv.org/abs/1412.6980, section 7.1; torch.optim.Adamax
    """

    lr: Rate = 2e-3
    betas: Betas = (0.9, 0.999)
    eps: Positive = 1e-8
    weight_decay: WeightDecay = 0.0

    slots = ("exp_avg", "exp_inf")
    examples: ClassVar = (example(), example(lr=0.01, betas=[0.8, 0.99], weight_decay=0.1))

    def update(self, part: Part, lr: float) -> None:
        g, (beta1, beta2) = decayed(part, self.weight_decay), self.betas
        m, u = part.slots["exp_avg"], part.slots["exp_inf"]
        m *= beta1
        m += np.multiply(g, 1 - beta1, out=part.scratch)
        u *= beta2
        np.abs(g, out=g)
        g += self.eps
        np.maximum(u, g, out=u)
        np.divide(m, u, out=g)
        g *= lr / (1 - beta1**self.t)
        part.w -= g

    def textbook(self, w: Array, g: Array, s: State, lr: float, decay: float, t: int) -> Array:
        beta1, beta2 = self.betas
        g = g + self.weight_decay * decay * w
        m = s["exp_avg"] = beta1 * s["exp_avg"] + (1 - beta1) * g
        u = s["exp_inf"] = np.maximum(beta2 * s["exp_inf"], np.abs(g) + self.eps)
        return w - lr / (1 - beta1**t) * m / u


@optimizers.register
@dataclass(kw_only=True, eq=False)
class NAdam(Optimizer):
    """g = g + weight_decay * w;  m and v as in Adam;  mu_t = beta1 * (1 - 0.96**(t * momentum_decay) / 2);
    w = w - lr * ((1 - mu_t) * g / (1 - M_t) + mu_(t+1) * m / (1 - M_(t+1))) / (sqrt(v / (1 - beta2**t)) + eps)

    M_t is the product of mu_1 to mu_t.

    Source: Dozat 2016, "Incorporating Nesterov momentum into Adam",
    https://openreview.net/forum?id=OM0jvwB8jIp57ZJjtNEZ; torch.optim.NAdam
    """

    lr: Rate = 2e-3
    betas: Betas = (0.9, 0.999)
    eps: Positive = 1e-8
    weight_decay: WeightDecay = 0.0
    momentum_decay: NonNegative = 4e-3

    slots = ("exp_avg", "exp_avg_sq")
    examples: ClassVar = (example(), example(lr=0.01, betas=[0.8, 0.99], weight_decay=0.1, momentum_decay=0.1))

    def mu(self, t: int) -> float:
        """mu_t."""
        return self.betas[0] * (1 - 0.5 * 0.96 ** (t * self.momentum_decay))

    def product(self) -> float:
        """M_t of the running step, from the last one where there was one, else from the start: the same bits."""
        last, value = getattr(self, "_product", (0, 1.0))
        if last > self.t:
            last, value = 0, 1.0
        for t in range(last + 1, self.t + 1):
            value *= self.mu(t)
        self._product = (self.t, value)
        return value

    def update(self, part: Part, lr: float) -> None:
        g, (beta1, beta2) = decayed(part, self.weight_decay), self.betas
        mu, following, product = self.mu(self.t), self.mu(self.t + 1), self.product()
        ahead = np.multiply(g, (1 - mu) / (1 - product), out=part.scratch)
        m, v = averages(part, beta1, beta2)
        ahead += np.multiply(m, following / (1 - product * following), out=g)
        root = math.sqrt(1 - beta2**self.t)
        np.sqrt(v, out=g)
        g += self.eps * root
        ahead /= g
        ahead *= lr * root
        part.w -= ahead

    def textbook(self, w: Array, g: Array, s: State, lr: float, decay: float, t: int) -> Array:
        beta1, beta2 = self.betas
        g = g + self.weight_decay * decay * w
        m = s["exp_avg"] = beta1 * s["exp_avg"] + (1 - beta1) * g
        v = s["exp_avg_sq"] = beta2 * s["exp_avg_sq"] + (1 - beta2) * g**2
        mu = [beta1 * (1 - 0.96 ** (i * self.momentum_decay) / 2) for i in range(1, t + 2)]
        ahead = (1 - mu[-2]) * g / (1 - math.prod(mu[:-1])) + mu[-1] * m / (1 - math.prod(mu))
        return w - lr * ahead / (np.sqrt(v / (1 - beta2**t)) + self.eps)


@optimizers.register
@dataclass(kw_only=True, eq=False)
class RAdam(Optimizer):
    """g = g + weight_decay * w;  m and v as in Adam;  rho = 2 / (1 - beta2) - 1;
    rho_t = rho - 2 * t * beta2**t / (1 - beta2**t);
    w = w - lr * m / (1 - beta1**t) * r_t * sqrt(1 - beta2**t) / (sqrt(v) + eps) where rho_t > 5, else
    w = w - lr * m / (1 - beta1**t)

    r_t = sqrt((rho_t - 4) * (rho_t - 2) * rho / ((rho - 4) * (rho - 2) * rho_t)).

    Source: Liu et al. 2020, "On the variance of the adaptive learning rate and beyond",
    https://arxiv.org/abs/1908.03265; torch.optim.RAdam
    """

    lr: Rate = 1e-3
    betas: Betas = (0.9, 0.999)
    eps: Positive = 1e-8
    weight_decay: WeightDecay = 0.0

    slots = ("exp_avg", "exp_avg_sq")
    examples: ClassVar = (example(), example(lr=0.01, betas=[0.8, 0.9], weight_decay=0.1))

    def update(self, part: Part, lr: float) -> None:
        room, (beta1, beta2) = decayed(part, self.weight_decay), self.betas
        m, v = averages(part, beta1, beta2)
        unbiased, limit = 1 - beta2**self.t, 2 / (1 - beta2) - 1
        rho = limit - 2 * self.t * beta2**self.t / unbiased
        size = lr / (1 - beta1**self.t)
        if rho > 5:
            rectified = (rho - 4) * (rho - 2) * limit / ((limit - 4) * (limit - 2) * rho)
            np.sqrt(v, out=room)
            room += self.eps
            np.divide(m, room, out=room)
            room *= size * math.sqrt(rectified) * math.sqrt(unbiased)
        else:
            np.multiply(m, size, out=room)
        part.w -= room

    def textbook(self, w: Array, g: Array, s: State, lr: float, decay: float, t: int) -> Array:
        beta1, beta2 = self.betas
        g = g + self.weight_decay * decay * w
        m = s["exp_avg"] = beta1 * s["exp_avg"] + (1 - beta1) * g
        v = s["exp_avg_sq"] = beta2 * s["exp_avg_sq"] + (1 - beta2) * g**2
        step = lr * m / (1 - beta1**t)
        rho = 2 / (1 - beta2) - 1
        rho_t = rho - 2 * t * beta2**t / (1 - beta2**t)
        if rho_t <= 5:
            return w - step
        r = math.sqrt((rho_t - 4) * (rho_t - 2) * rho / ((rho - 4) * (rho - 2) * rho_t))
        return w - step * r * math.sqrt(1 - beta2**t) / (np.sqrt(v) + self.eps)
