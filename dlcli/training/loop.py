"""The training loop: a generator of facts, one for each step and one for each epoch, over a state that can be saved.

A step is, without accumulation, clipping, averages and sums:

    outputs = network.forward(x, training=True)
    loss_value = loss.forward(outputs, y)
    network.backward(loss.backward())
    optimizer.step(lr)
    network.constrain()
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from itertools import islice
from typing import Any, NamedTuple

import numpy as np

from dlcli.core.arena import Array
from dlcli.core.errors import DivergedError
from dlcli.data.batches import Batches
from dlcli.nn.loss import Loss
from dlcli.nn.network import Network
from dlcli.optim.optimizer import Optimizer
from dlcli.optim.schedule import Schedule, Span
from dlcli.training.ema import Ema
from dlcli.training.layerwise import Layerwise
from dlcli.training.metrics import Metric
from dlcli.training.mixup import MixUp

Pair = tuple[Array, Array]


class StepDone(NamedTuple):
    """One optimizer step; `epoch` counts from 1."""

    step: int
    epoch: int
    loss: float
    """A mean, also where the gradient is that of a sum."""
    lr: float
    grad_norm: float
    samples: int
    ends_epoch: bool
    layers: dict[str, float] | None = None
    """The figures of single layers, where they were asked for."""


class EpochDone(NamedTuple):
    """One epoch, with the means over its steps and the figures of the validation split."""

    step: int
    epoch: int
    lr: float
    figures: dict[str, float]
    """`train.loss`, `train.<metric>`, `val.loss`, `val.<metric>`, `grad_norm`."""


@dataclass(frozen=True)
class Plan:
    """How the steps are made."""

    epochs: int
    accumulate: int = 1
    """Micro-batches of one step, whose gradients become that of one batch."""
    clip_grad_norm: float | None = None
    """Scale the gradient by c / (norm + 1e-6) where its 2-norm over all parameters exceeds c."""
    clip_grad_value: float | None = None
    """Clip every element of the gradient to [-c, c]."""
    mixup: float | None = None
    """Train on mixtures of two samples, in shares drawn from Beta(mixup, mixup)."""


@dataclass
class State:
    """Where training stands, besides the parameters and the optimizer."""

    step: int = 0
    epoch: int = 0
    """Epochs finished."""
    batch: int = 0
    """Batches of the running epoch that are done."""
    partial: dict[str, Array] = field(default_factory=dict)
    """Sums over the running epoch."""

    def add(self, name: str, sums: Any) -> None:
        """Add to a sum of the running epoch."""
        if name in self.partial:
            self.partial[name] += sums
        else:
            self.partial[name] = np.array(sums, np.float64)


@dataclass
class Trainer:
    """Trains `network` on `batches`; `run` yields what happened and may be left at any fact.

    After a `StepDone` or `EpochDone` the state, the parameters and the optimizer are a point that training can go on
    from to the same bits. A loss or gradient that is not finite raises DivergedError before the parameters change.
    """

    network: Network
    loss: Loss
    optimizer: Optimizer
    schedule: Schedule | None
    batches: Batches
    metrics: Mapping[str, Metric]
    plan: Plan
    validate: Callable[[], dict[str, float]] | None = None
    """The figures of the validation split, by their full names."""
    ema: Ema | None = None
    """Averages to keep of what `network` learns."""
    layerwise: Layerwise | None = None
    """Figures of single layers to take down at some steps."""
    state: State = field(default_factory=State)

    def __post_init__(self) -> None:
        self.optimizer.bind(self.network.arena)
        self.optimizer.workers = self.network.workers
        self.loss.scratch, self.loss.dtype = {}, self.network.dtype
        alpha = self.plan.mixup
        self.mixup = MixUp(self.loss, alpha, self.network.seed) if alpha is not None else None
        self.per_epoch = -(-len(self.batches) // self.plan.accumulate)
        self.span = Span(self.optimizer.lr, self.per_epoch * self.plan.epochs, self.per_epoch)
        self.grads = self.network.arena.grads[: self.network.arena.trainable]
        self.summed = np.zeros_like(self.grads) if self.plan.accumulate > 1 else None

    def run(self) -> Iterator[StepDone | EpochDone]:
        """Train from the state to the end of the plan."""
        s = self.state
        while s.epoch < self.plan.epochs:
            batches = self.batches.epoch(s.epoch, s.batch)
            while s.batch < len(self.batches):
                with np.errstate(all="ignore"):
                    done = self._step(batches)
                yield done
            yield self._end_epoch()

    def lr(self) -> float:
        """The learning rate of the next step."""
        return self._rate(self.state.step)

    def _rate(self, step: int) -> float:
        return self.schedule.lr(step, self.span) if self.schedule else self.optimizer.lr

    def running(self) -> dict[str, float]:
        """Every metric over the running epoch so far."""
        sums = self.state.partial
        return {name: float(metric.value(sums[name])) for name, metric in self.metrics.items() if name in sums}

    def _step(self, batches: Iterator[Pair]) -> StepDone:
        s, lr = self.state, self.lr()
        if self.summed is None:
            total, count, samples = self._pass(next(batches))
        else:
            total, count, samples = self._accumulate(islice(batches, self.plan.accumulate), self.summed)
        loss = total / (count or 1)
        layerwise = self.layerwise if self.layerwise is not None and self.layerwise.begin(s.step + 1) else None
        norm = self._clip(loss, lr)
        self.optimizer.step(lr)
        self.network.constrain()
        s.step += 1
        if self.ema is not None:
            self.ema.update(s.step)
        s.add("loss", (total, count))
        s.add("grad_norm", (norm, 1.0))
        layers = layerwise.end() if layerwise is not None else None
        return StepDone(s.step, s.epoch + 1, loss, lr, norm, samples, s.batch == len(self.batches), layers)

    def _pass(self, batch: Pair) -> tuple[float, float, int]:
        """Forward and backward over one batch: the sum and count of its loss, and its samples."""
        s, (x, y), draws = self.state, batch, self.network.draws
        draws.step = s.epoch * len(self.batches) + s.batch  # what dropout draws from, with the seed
        if self.mixup is not None:
            x = self.mixup.inputs(x, draws.step)
        outputs = self.network.forward(x, training=True)
        criterion = self.mixup or self.loss
        loss = float(criterion.forward(outputs, y))
        scores = self.loss.logits(outputs)
        for name, metric in self.metrics.items():
            s.add(name, metric.sums(scores, y))
        self.network.backward(criterion.backward())
        s.batch += 1
        return *self.loss.sums(loss, y), len(y)

    def _accumulate(self, batches: Iterator[Pair], summed: Array) -> tuple[float, float, int]:
        """The same over several batches, with the gradient that they would have as one; `summed` is room for it."""
        summed[:] = 0
        total, count, samples = 0.0, 0.0, 0
        for batch in batches:
            part, n, size = self._pass(batch)
            self.grads *= 1 if self.loss.reduction == "sum" else n
            summed += self.grads
            total, count, samples = total + part, count + n, samples + size
        np.divide(summed, self.loss.divisor(count), out=self.grads)
        return total, count, samples

    def _clip(self, loss: float, lr: float) -> float:
        """Check that loss and gradient are finite, clip the gradient, and return its norm before clipping."""
        norm = math.sqrt(self.grads @ self.grads)
        if not math.isfinite(norm):  # in float32 the squares overflow long before the gradient does
            norm = float(np.linalg.norm(self.grads.astype(np.float64)))
        if not math.isfinite(loss) or not math.isfinite(norm):
            what = f"the loss is {loss}" if not math.isfinite(loss) else "a gradient is not finite"
            if self.state.step == 0:  # nothing has been updated, so the learning rate is not to blame
                wider = ", or set dtype: float64" if self.network.dtype == np.float32 else ""
                raise DivergedError(
                    f"training diverged at step 1: {what} before any update: inputs, targets or first values are too "
                    f"large for {self.network.dtype}; scale them{wider}"
                )
            raise DivergedError(
                f"training diverged at step {self.state.step + 1}: {what} with lr {lr:g}; "
                "lower optimizer.lr, add a warmup, or set train.clip_grad_norm"
            )
        limit = self.plan.clip_grad_norm
        if limit is not None and norm > limit:
            self.grads *= limit / (norm + 1e-6)
        if self.plan.clip_grad_value is not None:
            np.clip(self.grads, -self.plan.clip_grad_value, self.plan.clip_grad_value, out=self.grads)
        return norm

    def _end_epoch(self) -> EpochDone:
        s = self.state
        loss, norm = s.partial["loss"], s.partial["grad_norm"]
        figures = {"train.loss": float(loss[0] / (loss[1] or 1))}
        figures |= {f"train.{name}": value for name, value in self.running().items()}
        if self.validate is not None:
            figures |= self.validate()
        figures["grad_norm"] = float(norm[0] / norm[1])
        for name in ("train.loss", "val.loss"):
            if not math.isfinite(figures.get(name, 0.0)):
                raise DivergedError(
                    f"training diverged: {name} is {figures[name]} after epoch {s.epoch + 1}; lower optimizer.lr"
                )
        s.epoch, s.batch, s.partial = s.epoch + 1, 0, {}
        return EpochDone(s.step, s.epoch, self._rate(s.step - 1), figures)
