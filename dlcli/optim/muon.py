"""Muon: the momentum of a weight matrix, turned into the nearest orthogonal matrix."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Annotated, ClassVar, Literal

import numpy as np
from annotated_types import Ge, Lt

from dlcli.core.arena import Arena, Array, Scratch
from dlcli.core.options import Decay, Positive, example
from dlcli.optim.adam import AdamW
from dlcli.optim.optimizer import Part, State, WeightDecay, optimizers, shrink


@optimizers.register
@dataclass(kw_only=True, eq=False)
class Muon(AdamW, Scratch):
    """m = momentum * m + (1 - momentum) * g;  u = momentum * m + (1 - momentum) * g  (u = m without `nesterov`);
    x = u / max(|u|, eps);  x = a * x + (b * x xT + c * (x xT)**2) x, ns_steps times;
    w = w - lr * weight_decay * w;  w = w - lr * s * x

    w is a matrix (out, in); the weight of a convolution is one of (out, in * kernel). |u| is the Frobenius norm, and
    (a, b, c) are the ns_coefficients. The Newton-Schulz steps, on xT where out > in, bring every singular value of x
    near 1. s = sqrt(max(1, out / in)), or 0.2 * sqrt(max(out, in)) with adjust_lr_fn match_rms_adamw, with which
    AdamW's lr and weight_decay serve here too.

    Biases and norms (parameters with one axis) take AdamW's step with the same lr, `betas` and eps; `lr_mult` on a
    layer gives another lr. PyTorch leaves them to an optimizer of their own, and makes the Newton-Schulz steps in
    bfloat16; here they have the type of the parameters. The slot exp_avg is PyTorch's momentum_buffer.

    Source: Jordan et al. 2024, "Muon: an optimizer for hidden layers in neural networks",
    https://kellerjordan.github.io/posts/muon/; Liu et al. 2025, "Muon is scalable for LLM training",
    https://arxiv.org/abs/2502.16982; torch.optim.Muon
    """

    weight_decay: WeightDecay = 0.1
    momentum: Decay = 0.95
    nesterov: bool = True
    ns_coefficients: tuple[float, float, float] = (3.4445, -4.775, 2.0315)
    eps: Positive = 1e-7
    ns_steps: Annotated[int, Ge(1), Lt(100)] = 5
    adjust_lr_fn: Literal["original", "match_rms_adamw"] | None = None

    elementwise: ClassVar[bool] = False
    examples: ClassVar = (
        example(),
        example(lr=0.02, momentum=0.8, nesterov=False, weight_decay=0.01, betas=[0.8, 0.99]),
        example(ns_steps=3, ns_coefficients=[2.0, -1.5, 0.5], eps=1e-3, adjust_lr_fn="match_rms_adamw"),
    )

    def bind(self, arena: Arena) -> None:
        super().bind(arena)
        self.scratch, self.dtype = {}, arena.dtype

    def update(self, part: Part, lr: float) -> None:
        w, g, m = part.w, part.g, part.slots["exp_avg"]
        if w.ndim < 2:
            super().update(part, lr)
            return
        g *= 1 - self.momentum
        m *= self.momentum
        m += g
        u = np.add(g, np.multiply(m, self.momentum, out=part.scratch), out=g) if self.nesterov else m
        # However w's axes lie in memory, x has them as (out, in * kernel).
        x = self.buffer(f"x {w.shape}", (len(w), w.size // len(w)))
        np.divide(u, max(float(np.linalg.norm(u)), self.eps), out=x.reshape(w.shape))
        step = self.orthogonalized(x)
        step *= lr * self.adjusted(*x.shape)
        shrink(part, self.weight_decay, lr)
        w -= step.reshape(w.shape)

    def textbook(self, w: Array, g: Array, s: State, lr: float, decay: float, t: int) -> Array:
        if w.ndim < 2:
            return super().textbook(w, g, s, lr, decay, t)
        m = s["exp_avg"] = self.momentum * s["exp_avg"] + (1 - self.momentum) * g
        u = self.momentum * m + (1 - self.momentum) * g if self.nesterov else m
        x = u.reshape(len(w), -1) / max(np.sqrt(np.sum(u**2)), self.eps)
        a, b, c = self.ns_coefficients
        for _ in range(self.ns_steps):  # each takes the singular values to the polynomial of them
            left, sigma, right = np.linalg.svd(x, full_matrices=False)
            x = left @ np.diag(a * sigma + b * sigma**3 + c * sigma**5) @ right
        out, rest = x.shape
        size = math.sqrt(max(1, out / rest))
        if self.adjust_lr_fn == "match_rms_adamw":
            size = 0.2 * math.sqrt(max(out, rest))
        w = w - lr * self.weight_decay * decay * w
        return w - lr * size * x.reshape(w.shape)

    def adjusted(self, rows: int, columns: int) -> float:
        """s, the factor on the learning rate of a matrix of that shape."""
        if self.adjust_lr_fn == "match_rms_adamw":
            return 0.2 * math.sqrt(max(rows, columns))
        return math.sqrt(max(1.0, rows / columns))

    def orthogonalized(self, x: Array) -> Array:
        """x after the Newton-Schulz steps; x is overwritten.

        The polynomial is taken as (a I + b A + c A A) x with A = x xT, so that x, the larger one, is passed over once.
        """
        a, b, c = self.ns_coefficients
        if x.shape[0] > x.shape[1]:
            return self.orthogonalized(x.T).T
        n = len(x)
        gram, square = (self.buffer(f"{name} {n}", (n, n)) for name in ("gram", "square"))
        other = self.buffer(f"other {x.shape}", x.shape)
        for _ in range(self.ns_steps):
            np.matmul(x, x.T, out=gram)
            np.matmul(gram, gram, out=square)
            square *= c
            gram *= b
            square += gram
            square.reshape(-1)[:: n + 1] += a
            x, other = np.matmul(square, x, out=other), x
        return x
