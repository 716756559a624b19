"""JAX on the CPU: every step a call of a compiled function, and the whole epoch compiled as one scan over its batches.

Images lie as N, H, W, C, which XLA is faster with. Batch norm keeps no running means, which training has no use for.
"""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from typing import Any

import jax
import jax.numpy as jnp
from jax import lax

from tests.benchmarks.nets import Data, Net

Params = list[Any]


def forward(net: Net, params: Params, x: Any, key: Any) -> Any:
    """The logits of a batch (N, H, W, C) in training."""
    left = iter(params)
    for layer in net.model:
        ((name, options),) = layer.items()
        if name == "Linear":
            x = x @ next(left).T + next(left)
        elif name == "Conv2d":
            pad = [(options.get("padding", 0),) * 2] * 2
            x = lax.conv_general_dilated(x, next(left), (1, 1), pad, dimension_numbers=("NHWC", "OIHW", "NHWC"))
            x += next(left)
        elif name == "BatchNorm2d":
            centred = x - x.mean((0, 1, 2))
            x = next(left) * centred * lax.rsqrt(jnp.square(centred).mean((0, 1, 2)) + 1e-5) + next(left)
        elif name == "ReLU":
            x = jax.nn.relu(x)
        elif name == "MaxPool2d":
            window = (1, options["kernel_size"], options["kernel_size"], 1)
            x = lax.reduce_window(x, -jnp.inf, lax.max, window, window, "VALID")
        elif name == "Dropout":
            x = jnp.where(jax.random.bernoulli(key, 1 - options["p"], x.shape), x / (1 - options["p"]), 0)
        else:  # Flatten, in PyTorch's order
            x = x.transpose(0, 3, 1, 2).reshape(len(x), -1)
    return x


def sgd(net: Net, params: Params, slots: Params, grads: Params, t: Any) -> tuple[Params, Params]:
    """w = w - lr * g"""
    return [w - net.lr * g for w, g in zip(params, grads, strict=True)], slots


def adam(net: Net, params: Params, slots: Params, grads: Params, t: Any) -> tuple[Params, Params]:
    """Adam with PyTorch's defaults; a slot holds m and v."""
    slots = [(0.9 * m + 0.1 * g, 0.999 * v + 0.001 * g * g) for (m, v), g in zip(slots, grads, strict=True)]
    a, b = net.lr / (1 - 0.9**t), 1 / (1 - 0.999**t)
    return [w - a * m / (jnp.sqrt(v * b) + 1e-8) for w, (m, v) in zip(params, slots, strict=True)], slots


def step(net: Net, data: tuple[Any, Any], state: Any, rows: Any) -> tuple[Any, Any]:
    """The state after a batch, and the sum of its loss."""
    params, slots, t = state
    x, y = data[0][rows], data[1][rows]

    def mean_loss(params: Params) -> Any:
        logs = jax.nn.log_softmax(forward(net, params, x, jax.random.key(t)))
        return -jnp.take_along_axis(logs, y[:, None], 1).mean()

    loss, grads = jax.value_and_grad(mean_loss)(params)
    change = {"SGD": sgd, "Adam": adam}[net.optimizer]
    return (*change(net, params, slots, grads, t + 1), t + 1), loss * len(y)


class Jitted:
    """A call of the compiled step for every batch."""

    def __init__(self, net: Net, data: Data) -> None:
        self.size, self.seed = net.batch, 0
        self.data = jnp.asarray(data.standardized().transpose(0, 2, 3, 1)), jnp.asarray(data.y, jnp.int32)
        params = [jnp.asarray(value) for value in net.weights()]
        self.state = params, [(jnp.zeros_like(p),) * 2 for p in params], jnp.zeros((), jnp.int32)
        self.step: Callable[..., Any] = jax.jit(partial(step, net))

    def epoch(self) -> float:
        """The mean loss of an epoch of training."""
        self.seed += 1
        order = jax.random.permutation(jax.random.key(self.seed), len(self.data[1]))
        return self.train(order) / len(order)

    def train(self, order: Any) -> float:
        """Train on the samples in that order; the sum of their loss."""
        total = 0.0
        for start in range(0, len(order), self.size):
            self.state, loss = self.step(self.data, self.state, order[start : start + self.size])
            total += float(loss)
        return total


class Scanned(Jitted):
    """All full batches of an epoch in one compiled call, and then the shorter one."""

    def __init__(self, net: Net, data: Data) -> None:
        super().__init__(net, data)
        self.scan = jax.jit(lambda data, state, rows: lax.scan(partial(step, net, data), state, rows))

    def train(self, order: Any) -> float:
        """Train on the samples in that order; the sum of their loss."""
        full = len(order) // self.size * self.size
        self.state, losses = self.scan(self.data, self.state, order[:full].reshape(-1, self.size))
        return float(losses.sum()) + super().train(order[full:])


def contenders(net: Net) -> dict[str, type[Jitted]]:
    """Both ways to compile, where they pay: within a scan XLA computes convolutions without its fast kernels.

    A step of LeNet-5 then takes 3 times as long as compiled alone, of the larger networks 8 to 14 times.
    """
    return {"jax jitted step": Jitted, **({"jax scan": Scanned} if net.dense else {})}
