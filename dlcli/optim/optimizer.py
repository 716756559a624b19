"""The optimizer contract: a step over the arena's vectors, stretch by stretch or parameter by parameter."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Annotated, Any, ClassVar

import numpy as np

from dlcli.core.arena import Arena, Array, Segment, Views, aligned, write
from dlcli.core.component import Checked
from dlcli.core.errors import ConfigError, quote
from dlcli.core.options import Decay, Example, NonNegative, Positive
from dlcli.core.registry import Registry
from dlcli.core.workers import Workers, lanes

optimizers: Registry[Optimizer] = Registry("optimizer", "optimizers")

Betas = Annotated[tuple[Decay, Decay], "beta1 and beta2, the weights of the past in the averages"]
Rate = Annotated[Positive, "the learning rate; a schedule scales it"]
WeightDecay = Annotated[NonNegative, "for weights, not for biases and norms (PyTorch decays everything)"]
"""Reaches parameters with two axes or more, where a layer's `weight_decay_mult` says nothing else."""

State = dict[str, Array]
"""The slots of one parameter by name."""


@dataclass(slots=True, eq=False)
class Part:
    """What one `update` works on: a segment of the vectors, flat, or one parameter in its shape.

    Assigning to an array writes through, so `part.w += v` works.
    """

    w: Array
    g: Array
    slots: Views
    """The optimizer's own vectors by name, shaped like w."""
    scratch: Array
    """Room for one intermediate result, shaped like w."""
    lr_mult: float
    decay: float
    """Factor on the weight decay: 1 for weights, 0 for biases and norms unless a layer says otherwise."""

    def __setattr__(self, name: str, value: Any) -> None:
        held = getattr(self, name, None)
        if isinstance(held, np.ndarray):
            write(name, held, value)
        else:
            object.__setattr__(self, name, value)


@dataclass(kw_only=True, eq=False)
class Optimizer(metaclass=Checked):
    """Changes the parameters w by their gradients g.

    A subclass names its vectors in `slots` and writes `update`, which gets flat stretches of the vectors, each with
    many parameters and maybe on several threads at once, or one parameter at a time in its shape where the subclass is
    not `elementwise`. Weight decay reaches parameters with two axes or more (not biases, not norms); PyTorch decays
    everything. `t` counts the steps, from 1 within the first.
    """

    examples: ClassVar[tuple[Example, ...]] = ()
    elementwise: ClassVar[bool] = True
    """Whether an element's step depends on no other element."""

    lr: Rate
    slots: tuple[str, ...] = field(default=(), init=False, repr=False)
    """The names of its own vectors."""
    t: int = field(default=0, init=False, repr=False)
    arena: Arena | None = field(default=None, init=False, repr=False)
    """The vectors that it works on; None before `bind`."""
    workers: Workers = field(default_factory=Workers, init=False, repr=False)
    """The threads that share the lanes of a step."""

    def bind(self, arena: Arena) -> None:
        """Work on the vectors of `arena`, which is a network's `network.arena`; the slots are zeros at first."""
        if not isinstance(arena, Arena):
            raise ConfigError(
                f"{type(self).__name__}: got {quote(arena)} to bind, expected an Arena; call bind(network.arena)"
            )
        self.t, self.arena = 0, arena
        self.vectors = {slot: aligned((arena.trainable,), arena.dtype) for slot in self.slots}
        self.lanes = self._cut(arena)

    def _cut(self, arena: Arena) -> list[list[Part]]:
        """The segments by lanes, cut where a lane ends, or all trained parameters, with their shares of the slots."""
        if not self.elementwise:
            scratch = arena.views(aligned((arena.trainable,), arena.dtype))
            slots = {slot: arena.views(vector) for slot, vector in self.vectors.items()}
            return [
                [
                    Part(
                        arena.params[p.name],
                        arena.gradients[p.name],
                        Views({slot: views[p.name] for slot, views in slots.items()}),
                        scratch[p.name],
                        p.lr_mult,
                        p.decay,
                    )
                    for p in arena.parameters
                    if p.trainable
                ]
            ]
        # No finer than lanes: in blocks of 16 to 64 k numbers the slots would stay in a core's own cache, which was
        # measured to save less than the calls on every block cost.
        room = aligned((arena.trainable,), arena.dtype)

        def part(s: Segment, lane: slice) -> Part:
            here = slice(max(s.start, lane.start), min(s.stop, lane.stop))
            slots = Views({slot: vector[here] for slot, vector in self.vectors.items()})
            return Part(arena.values[here], arena.grads[here], slots, room[here], s.lr_mult, s.decay)

        cut = [lane for _, lane in lanes(arena.trainable, 2)]  # each number is read and written several times
        return [[part(s, lane) for s in arena.segments if s.start < lane.stop and lane.start < s.stop] for lane in cut]

    def __getstate__(self) -> dict[str, Any]:
        return {name: value for name, value in vars(self).items() if name != "lanes"}

    def __setstate__(self, state: dict[str, Any]) -> None:
        vars(self).update(state)
        if self.arena is not None:
            self.lanes = self._cut(self.arena)  # so that a copy works on the vectors of its own arena

    def step(self, lr: float | None = None) -> None:
        """One step with the learning rate `lr`, by default the option, on every trained parameter.

        The gradients may be spent: what `arena.grads` holds afterwards is arbitrary.
        """
        lr = self.lr if lr is None else lr
        self._bound()
        self.t += 1

        def work(lane: int, parts: Sequence[Part]) -> None:
            for part in parts:
                self.update(part, lr * part.lr_mult)

        self.workers.each(work, list(enumerate(self.lanes)))

    def update(self, part: Part, lr: float) -> None:
        """Change `part.w` and the slots; `part.g` may be overwritten.

        Those with many passes do so: one over an array in its own place takes half the time of one that writes into
        another.
        """
        raise NotImplementedError

    def textbook(self, w: Array, g: Array, s: State, lr: float, decay: float, t: int) -> Array:
        """The parameter w after step t, one formula after the other: the oracle that `update` is checked against.

        w and its gradient g are left alone, and nothing of `update` is used. s holds the slots of this parameter,
        zeros before the first step, and takes new arrays; `decay` is the parameter's factor on the weight decay.
        """
        raise NotImplementedError

    @property
    def parts(self) -> list[Part]:
        """All that `update` is called with in a step."""
        return [part for lane in self.lanes for part in lane]

    def arrays(self) -> dict[str, Array]:
        """The slots as named views in the shapes of their parameters: `momentum_buffer.0.weight`."""
        arena = self._bound()
        return {
            f"{slot}.{name}": view
            for slot, vector in self.vectors.items()
            for name, view in arena.views(vector).items()
        }

    def load(self, t: int, arrays: Mapping[str, Array]) -> None:
        """Go back to a saved state."""
        views = self.arrays()
        self.t = t
        for name, view in views.items():
            np.copyto(view, arrays[name], casting="same_kind")

    def _bound(self) -> Arena:
        if self.arena is None:
            raise RuntimeError(f"{type(self).__name__}: not bound to parameters; call bind(network.arena) first")
        return self.arena


optimizers.base = Optimizer


def decayed(part: Part, weight_decay: float) -> Any:
    """g + weight_decay * w, the gradient of the loss with an L2 penalty; written over g."""
    rate = weight_decay * part.decay
    if rate:
        part.g += np.multiply(part.w, rate, out=part.scratch)
    return part.g


def shrink(part: Part, weight_decay: float, lr: float) -> None:
    """w = w - lr * weight_decay * w, the decay that is decoupled from the gradient."""
    rate = lr * weight_decay * part.decay
    if rate:
        part.w *= 1 - rate
