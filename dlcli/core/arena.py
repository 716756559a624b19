"""The arena: every parameter of a network in one vector, every gradient in another, and named views into both."""

from __future__ import annotations

import math
from collections.abc import Mapping, MutableMapping, Sequence
from threading import get_ident
from typing import Any, NamedTuple, Self

import numpy as np
from numpy.typing import NDArray

Array = NDArray[Any]


ALIGN = 64
"""Bytes; arrays that are kept from step to step start on a cache line."""


def shaped(flat: Array, shape: tuple[int, ...]) -> Array:
    """`flat` as an array of that shape; of images (N, C, H, W) the channels lie innermost in memory.

    The shapes are PyTorch's everywhere; only here is it decided how four axes lie in memory. As N, H, W, C the
    patches under a kernel are copied in runs of kernel width times channels, and a pixel's channels are one row of a
    matrix: convolution, pooling and batch norm are matrix products and sums over rows, without a transposition.
    """
    if len(shape) != 4:
        return flat.reshape(shape)
    n, c, h, w = shape
    return flat.reshape(n, h, w, c).transpose(0, 3, 1, 2)


def aligned(shape: tuple[int, ...], dtype: Any) -> Array:
    """Zeros of that shape whose memory starts on a cache line; MemoryError where no machine holds as many."""
    size = math.prod(shape) * np.dtype(dtype).itemsize
    if size > 1 << 62:
        raise MemoryError
    room = np.zeros(size + ALIGN, np.uint8)
    start = -room.ctypes.data % ALIGN
    return shaped(room[start : start + size].view(dtype), shape)


def laid(array: Array) -> Array:
    """A copy that lies in memory as the arrays of a network do."""
    copy = shaped(np.empty(array.size, array.dtype), array.shape)
    np.copyto(copy, array)
    return copy


class Scratch:
    """Gives `buffer`: fresh arrays outside a network, arrays kept from step to step inside one."""

    scratch: dict[str, Array] | None = None
    """The kept arrays by name; None outside a network."""

    dtype: np.dtype[Any] = np.dtype(np.float64)

    def buffer(self, name: str, shape: tuple[int, ...], dtype: Any = None) -> Array:
        """An array whose content is arbitrary; a shorter batch gets the first rows of the longest one so far."""
        dtype = self.dtype if dtype is None else dtype
        if self.scratch is None:
            return shaped(np.empty(math.prod(shape), dtype), shape)
        kept = self.scratch.get(name)
        if kept is None or kept.dtype != dtype or kept.shape[1:] != shape[1:] or len(kept) < shape[0]:
            kept = self.scratch[name] = aligned(shape, dtype)
        return kept if len(kept) == shape[0] else kept[: shape[0]]

    def own(self, name: str, shape: tuple[int, ...], dtype: Any = None) -> Array:
        """A buffer of the calling thread alone, which so stays in its core's cache from one lane to the next."""
        return self.buffer(f"{name} {get_ident()}", shape, dtype)


def write(name: str, target: Array, value: Any) -> None:
    """Copy `value` into the array of that name; ValueError where the shape is another."""
    value = np.asarray(value)
    if value is target:
        return
    if value.shape != target.shape:
        raise ValueError(f"{name}: got shape {value.shape}, expected {target.shape}")
    np.copyto(target, value, casting="same_kind")


class Views(dict[str, Array]):
    """Named arrays whose item assignment writes through: a name can never part from its memory.

    `views[name] = value` copies `value` into the array after checking the shape (ValueError). Names are fixed
    (KeyError for an unknown one, TypeError where one would go).
    """

    def __missing__(self, name: str) -> Array:
        known = ", ".join(self) or "none yet: a layer alone gets them at its first forward"
        raise KeyError(f"no array named {name!r}; there are {known}")

    def __setitem__(self, name: str, value: Any) -> None:
        write(name, self[name], value)

    update = MutableMapping.update  # item by item, where dict's own would put in other arrays

    def __ior__(self, other: Any) -> Self:  # type: ignore[override,misc]
        self.update(other)
        return self

    def _fixed(self, *_: Any) -> Any:
        """Refused with TypeError."""
        raise TypeError("the names of these arrays are fixed; assign to an array instead")

    __delitem__ = pop = popitem = clear = setdefault = _fixed

    def __reduce__(self) -> Any:
        return Views, (dict(self),)  # a copy takes its names at once, not one by one through `__setitem__`


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
        """How many numbers it holds."""
        return math.prod(self.shape)


class Segment(NamedTuple):
    """A stretch of the vectors whose parameters share their factors."""

    start: int
    stop: int
    lr_mult: float
    decay: float


class Arena:
    """Two vectors of one dtype, `values` and `grads`, cut into the named views `params` and `gradients`.

    Parameters that are trained stand first, and among them those with the largest weight decay, so that what an
    optimizer touches is `values[:trainable]` and weight decay is a slice. `segments` covers the trained part. A copy
    has vectors of its own with views into those.
    """

    def __init__(self, parameters: Sequence[Parameter], dtype: Any) -> None:
        self.parameters, self.dtype = list(parameters), np.dtype(dtype)
        order = sorted(parameters, key=lambda p: (not p.trainable, -p.decay, -p.lr_mult))
        size = sum(p.size for p in parameters)
        self.values, self.grads = aligned((size,), dtype), aligned((size,), dtype)
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

    def views(self, vector: Array) -> Views:
        """Named, shaped views into a vector laid out like `values`; a shorter one gives the views that it holds."""
        places = ((name, *self.slices[name]) for name in self.names)
        return Views({name: shaped(vector[where], shape) for name, where, shape in places if where.stop <= len(vector)})

    def load(self, arrays: Mapping[str, Array]) -> None:
        """Copy named arrays into the values."""
        for name in self.names:
            self.params[name] = arrays[name]

    @classmethod
    def filled(cls, parameters: Sequence[Parameter], values: Array, grads: Array) -> Self:
        """An arena that starts with copies of these two vectors."""
        made = cls(parameters, values.dtype)
        made.values[:], made.grads[:] = values, grads
        return made

    def __reduce__(self) -> Any:
        return type(self).filled, (self.parameters, self.values, self.grads)
