"""The arena: every parameter of a network in one vector, every gradient in another, and named views into both."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

Array = NDArray[Any]


class Views(dict[str, Array]):
    """Named arrays whose item assignment writes through: a name can never part from its memory.

    `views[name] = value` copies `value` into the array after checking the shape (ValueError). Names are fixed.
    """

    def __setitem__(self, name: str, value: Any) -> None:
        if name not in self:
            raise KeyError(f"no array named {name!r}; there are {', '.join(self) or 'none'}")
        target, value = self[name], np.asarray(value)
        if value is target:
            return
        if value.shape != target.shape:
            raise ValueError(f"{name}: got shape {value.shape}, expected {target.shape}")
        np.copyto(target, value, casting="same_kind")


class Parameter(NamedTuple):
    """What the arena has to know about one parameter before it takes memory."""

    name: str
    shape: tuple[int, ...]
    trainable: bool = True
    lr_mult: float = 1.0
    decay: float = 1.0
    """Factor on the optimizer's weight decay; 0 for biases and norms."""

    @property
    def size(self) -> int:
        return int(np.prod(self.shape, dtype=object))


class Segment(NamedTuple):
    """A stretch of the vectors whose parameters share their factors."""

    start: int
    stop: int
    lr_mult: float
    decay: float


class Arena:
    """Two vectors of one dtype, `values` and `grads`, cut into the named views `params` and `gradients`.

    Parameters that are trained stand first, and among them those with the largest weight decay, so that what an
    optimizer touches is `values[:trainable]` and weight decay is a slice. `segments` covers the trained part.
    """

    ALIGN = 64
    """Bytes; the vectors start on a cache line."""

    def __init__(self, parameters: Sequence[Parameter], dtype: Any) -> None:
        self.dtype = np.dtype(dtype)
        order = sorted(parameters, key=lambda p: (not p.trainable, -p.decay, -p.lr_mult))
        size = sum(p.size for p in parameters)
        self.values, self.grads = self._vector(size), self._vector(size)
        self.slices: dict[str, tuple[slice, tuple[int, ...]]] = {}
        self.segments: list[Segment] = []
        at = 0
        for p in order:
            self.slices[p.name] = (slice(at, at + p.size), p.shape)
            if p.trainable:
                last = self.segments[-1] if self.segments else None
                if last is not None and (last.lr_mult, last.decay) == (p.lr_mult, p.decay):
                    self.segments[-1] = last._replace(stop=at + p.size)
                else:
                    self.segments.append(Segment(at, at + p.size, p.lr_mult, p.decay))
            at += p.size
        self.trainable = self.segments[-1].stop if self.segments else 0
        self.names = [p.name for p in parameters]
        self.params = self.views(self.values)
        self.gradients = self.views(self.grads)

    def _vector(self, size: int) -> Array:
        room = np.zeros(size * self.dtype.itemsize + self.ALIGN, np.uint8)
        start = -room.ctypes.data % self.ALIGN
        return room[start : start + size * self.dtype.itemsize].view(self.dtype)

    def views(self, vector: Array) -> Views:
        """Named, shaped views into a vector laid out like `values`; a shorter one gives the views that it holds."""
        found = Views()
        for name in self.names:
            where, shape = self.slices[name]
            if where.stop <= len(vector):
                dict.__setitem__(found, name, vector[where].reshape(shape))
        return found

    def load(self, arrays: Mapping[str, Array]) -> None:
        """Copy named arrays into the values."""
        for name in self.names:
            self.params[name] = arrays[name]
