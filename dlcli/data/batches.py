"""Batches: the order of an epoch, the samples gathered, normalised and cast, in buffers kept from step to step."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from dlcli.core.arena import Array, Scratch
from dlcli.core.errors import DataError
from dlcli.core.rng import stream
from dlcli.data.dataset import Samples
from dlcli.data.npz import expect_scattered
from dlcli.data.picked import Picked
from dlcli.data.statistics import extremes, finite, moments

ROUNDING = 1e-12
"""A deviation below this share of the mean is what rounding leaves of a constant."""


@dataclass(frozen=True)
class Normalizer:
    """x = (raw - mean) / std, with the figures of the training part.

    mean and std are () for images of one channel, (C, 1, 1) for colour, (features,) for tables.
    """

    mean: Array
    std: Array
    _cast: dict[np.dtype[Any], tuple[Array | None, Array | None]] = field(
        default_factory=dict, init=False, repr=False, compare=False
    )

    @classmethod
    def fit(cls, mode: str, inputs: Array | Picked, image: bool) -> Normalizer:
        """`none`: as they are; `unit`: the range of the training part to [0, 1]; `standardize`: mean 0, deviation 1.

        A column or channel without spread, to rounding, is only shifted. Raises DataError where a value is not finite.
        """
        colour = image and inputs.shape[1] > 1
        shape = (inputs.shape[1], *(1 for _ in inputs.shape[2:])) if colour else () if image else inputs.shape[1:]
        groups = math.prod(shape)
        if not finite(inputs):
            raise DataError("the training inputs hold values that are not finite; clean the data")
        with np.errstate(over="ignore", invalid="ignore"):
            if mode == "none":
                shape, mean, std = (), np.zeros(1), np.ones(1)
            elif mode == "unit":
                mean, high = (a.astype(np.float64) for a in extremes(inputs, groups))
                std = high - mean
            else:
                mean, variance = moments(inputs, groups)
                std = np.sqrt(variance)
        if not (np.isfinite(mean).all() and np.isfinite(std).all()):
            top = max(abs(float(a)) for pair in extremes(inputs, 1) for a in pair)
            raise DataError(f"the training inputs reach {top:.3g}, which is too large for {mode}; scale the data")
        return cls(mean.reshape(shape), np.where(std > ROUNDING * np.abs(mean), std, 1.0).reshape(shape))

    def apply(self, raw: Array, out: Array) -> Array:
        """(raw - mean) / std written into `out`, in its dtype."""
        mean, scale = self._in(out.dtype)
        if mean is not None and raw.dtype == np.float64:
            # before the cast: a large offset would leave no digits of a float32
            np.subtract(raw, self.mean, out=out, casting="same_kind")
        else:
            np.copyto(out, raw, casting="unsafe")
            if mean is not None:
                out -= mean
        if scale is not None:
            out *= scale
        return out

    def _in(self, dtype: np.dtype[Any]) -> tuple[Array | None, Array | None]:
        """mean and 1 / std in that type, None where they change nothing."""
        if dtype not in self._cast:
            self._cast[dtype] = (
                self.mean.astype(dtype) if self.mean.any() else None,
                (1 / self.std).astype(dtype) if (self.std != 1).any() else None,
            )
        return self._cast[dtype]


class Batches(Scratch):
    """The batches of one split: `epoch(e)` yields (inputs, targets), whose arrays are reused by the next batch.

    The order of epoch e is a function of (seed, e); without `shuffle` it is the order of the data. What `augment` makes
    of a sample is one of (seed, e, its row).
    """

    def __init__(
        self,
        samples: Samples,
        normalizer: Normalizer,
        dtype: Any,
        batch_size: int,
        *,
        seed: int = 0,
        shuffle: bool = False,
        drop_last: bool = False,
        augment: Callable[[Array, Array, int], Array] | None = None,
    ) -> None:
        self.samples, self.normalizer, self.dtype = samples, normalizer, np.dtype(dtype)
        self.batch_size, self.seed, self.shuffle, self.augment = batch_size, seed, shuffle, augment
        n = len(samples.targets)
        whole = samples.inputs.whole if isinstance(samples.inputs, Picked) else samples.inputs
        if shuffle or whole is not samples.inputs:
            expect_scattered(whole)
        self.flat = whole.reshape(len(whole), math.prod(whole.shape[1:]))
        self.count = n // batch_size if drop_last else -(-n // batch_size)
        self.scratch = {}

    def __len__(self) -> int:
        return self.count

    def epoch(self, epoch: int, first: int = 0) -> Iterator[tuple[Array, Array]]:
        """The batches of that epoch from batch `first` on."""
        order = self.buffer("order", (len(self.samples.targets),), np.intp)
        order.fill(1)
        np.add.accumulate(order, out=order)
        order -= 1  # 0, 1, 2, ... without a second array, which would be large where the data is
        if self.shuffle:
            stream(self.seed, "shuffle", epoch).shuffle(order)
        for b in range(first, self.count):
            yield self.gather(order[b * self.batch_size : (b + 1) * self.batch_size], epoch)

    def gather(self, rows: Array, epoch: int = 0) -> tuple[Array, Array]:
        """The samples of those rows, augmented as in that epoch, normalised and cast; classes are int64."""
        x, y = self.samples
        shape = (len(rows), *x.shape[1:])
        places = rows
        if isinstance(x, Picked):
            places = np.take(x.rows, rows, out=self.buffer("rows", rows.shape, x.rows.dtype), mode="clip")
        kept = self.buffer("raw", (len(rows), self.flat.shape[1]), x.dtype)
        raw = np.take(self.flat, places, axis=0, out=kept, mode="clip").reshape(shape)
        if self.augment is not None:
            raw = self.augment(raw, rows, epoch)
        targets = np.take(y, rows, axis=0, out=self.buffer("targets", (len(rows), *y.shape[1:]), y.dtype), mode="clip")
        if y.dtype.kind in "iu" and y.dtype != np.int64:
            wide = self.buffer("classes", targets.shape, np.int64)
            np.copyto(wide, targets)
            targets = wide
        return self.normalizer.apply(raw, self.buffer("inputs", shape)), targets


def held_out(n: int, validation: int | float) -> int:
    """How many of n samples are held out: a count, or a fraction below 1."""
    return validation if isinstance(validation, int) else round(validation * n)


def split_validation(n: int, validation: int | float, seed: int) -> tuple[Array, Array]:
    """Rows (training, held out) of n samples, drawn from the seed; both in order."""
    held = np.zeros(n, bool)
    held[stream(seed, "split").permutation(n)[: held_out(n, validation)]] = True
    return np.flatnonzero(~held), np.flatnonzero(held)
