"""The optimizer contract: a step over the arena's vectors, segment by segment, with named state."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, ClassVar, NamedTuple

import numpy as np

from dlcli.core.arena import Arena, Array, aligned
from dlcli.core.component import Checked
from dlcli.core.options import Example, Positive
from dlcli.core.registry import Registry

optimizers: Registry[Optimizer] = Registry("optimizer", "optimizers")


class Part(NamedTuple):
    """One segment of the vectors as `update` sees it."""

    w: Array
    g: Array
    slots: dict[str, Array]
    """The optimizer's own vectors by name, shaped like w."""
    scratch: Array
    """Room for one intermediate result, shaped like w."""
    lr_mult: float
    decay: float
    """Factor on the weight decay: 1 for weights, 0 for biases and norms unless a layer says otherwise."""


@dataclass(kw_only=True, eq=False)
class Optimizer(metaclass=Checked):
    """Changes the parameters w by their gradients g, elementwise, over flat vectors.

    A subclass names its vectors in `slots` and writes `update`. Weight decay reaches parameters with two axes or
    more (not biases, not norms); PyTorch decays everything. `t` counts the steps, from 1 within the first.
    """

    examples: ClassVar[tuple[Example, ...]] = ()
    slots: ClassVar[tuple[str, ...]] = ()

    lr: Positive
    """The learning rate; a schedule scales it."""

    def bind(self, arena: Arena) -> None:
        """Take memory for the slots, zeros at first."""
        self.t = 0
        self.arena = arena
        size = arena.trainable
        self.vectors = {slot: aligned((size,), arena.dtype) for slot in self.slots}
        scratch = aligned((max((s.stop - s.start for s in arena.segments), default=0),), arena.dtype)
        self.parts = [
            Part(
                arena.values[s.start : s.stop],
                arena.grads[s.start : s.stop],
                {slot: vector[s.start : s.stop] for slot, vector in self.vectors.items()},
                scratch[: s.stop - s.start],
                s.lr_mult,
                s.decay,
            )
            for s in arena.segments
        ]

    def step(self, lr: float) -> None:
        """One step with the learning rate `lr` on every trained parameter."""
        self.t += 1
        for part in self.parts:
            self.update(part, lr * part.lr_mult)

    def update(self, part: Part, lr: float) -> None:
        """Change `part.w` and the slots; `part.g` may be overwritten."""
        raise NotImplementedError

    def arrays(self) -> dict[str, Array]:
        """The slots as named views in the shapes of their parameters: `momentum_buffer.0.weight`."""
        return {
            f"{slot}.{name}": view
            for slot, vector in self.vectors.items()
            for name, view in self.arena.views(vector).items()
        }

    def load(self, t: int, arrays: Mapping[str, Array]) -> None:
        """Go back to a saved state."""
        self.t = t
        for name, view in self.arrays().items():
            np.copyto(view, arrays[name], casting="same_kind")


optimizers.base = Optimizer


def decayed(part: Part, weight_decay: float) -> Any:
    """g + weight_decay * w, the gradient of the loss with an L2 penalty; written over g."""
    rate = weight_decay * part.decay
    if rate:
        np.multiply(part.w, rate, out=part.scratch)
        np.add(part.g, part.scratch, out=part.g)
    return part.g
