"""Batches: the order of an epoch, the samples gathered, normalised and cast, in buffers kept from step to step."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any

import numpy as np

from dlcli.core.arena import Array, Scratch
from dlcli.core.errors import DataError
from dlcli.core.rng import stream
from dlcli.data.dataset import Samples

ROUNDING = 1e-12
"""A deviation below this share of the mean is what rounding leaves of a constant."""


@dataclass(frozen=True)
class Normalizer:
    """x = (raw - mean) / std, with the figures of the training part.

    mean and std are () for images of one channel, (C, 1, 1) for colour, (features,) for tables.
    """

    mean: Array
    std: Array

    @classmethod
    def fit(cls, mode: str, inputs: Array, image: bool) -> Normalizer:
        """`none`: as they are; `unit`: the range of the training part to [0, 1]; `standardize`: mean 0, deviation 1.

        A column or channel without spread, to rounding, is only shifted. Raises DataError where a value is not finite.
        """
        axes = (tuple(a for a in range(inputs.ndim) if a != 1) if inputs.shape[1] > 1 else None) if image else (0,)
        keep = axes is not None and image
        if inputs.dtype.kind == "f" and not np.isfinite(inputs).all():
            raise DataError("the training inputs hold values that are not finite; clean the data")
        with np.errstate(over="ignore", invalid="ignore"):
            if mode == "none":
                mean, std = np.zeros(()), np.ones(())
            elif mode == "unit":
                low, high = inputs.min(axis=axes, keepdims=keep), inputs.max(axis=axes, keepdims=keep)
                mean, std = np.asarray(low, np.float64), np.asarray(high, np.float64) - np.asarray(low, np.float64)
            else:
                mean = _mean(inputs, axes, keep)
                std = np.sqrt(_mean(inputs, axes, keep, around=mean))
        if not (np.isfinite(mean).all() and np.isfinite(std).all()):
            top = np.abs(inputs).max()
            raise DataError(f"the training inputs reach {top:.3g}, which is too large for {mode}; scale the data")
        mean, std = (a[0] if keep else a for a in (mean, std))
        spread = std > ROUNDING * np.abs(mean)
        return cls(np.asarray(mean, np.float64), np.where(spread, std, 1.0).astype(np.float64))

    def apply(self, raw: Array, out: Array) -> Array:
        """(raw - mean) / std written into `out`, in its dtype."""
        if raw.dtype == np.float64 and self.mean.any():
            # before the cast: a large offset would leave no digits of a float32
            np.copyto(out, raw - self.mean, casting="same_kind")
        else:
            np.copyto(out, raw, casting="unsafe")
            if self.mean.any():
                out -= self.mean.astype(out.dtype)
        if (self.std != 1).any():
            out *= (1 / self.std).astype(out.dtype)
        return out


def _mean(inputs: Array, axes: Any, keep: bool, around: Array | None = None) -> Array:
    """The mean, or the mean square around `around`, in blocks so that no float64 copy of the data is made."""
    total: Any = 0.0
    count = inputs.size
    for start in range(0, len(inputs), 4096):
        block = inputs[start : start + 4096].astype(np.float64)
        if around is not None:
            block = np.square(block - around)
        total = total + block.sum(axis=axes, keepdims=keep)
    return np.asarray(total) / (count / max(1, np.asarray(total).size))


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
        self.flat = samples.inputs.reshape(n, math.prod(samples.inputs.shape[1:]))
        self.count = n // batch_size if drop_last else -(-n // batch_size)
        self.scratch = {}

    def __len__(self) -> int:
        return self.count

    def epoch(self, epoch: int, first: int = 0) -> Iterator[tuple[Array, Array]]:
        """The batches of that epoch from batch `first` on."""
        n = len(self.samples.targets)
        order = stream(self.seed, "shuffle", epoch).permutation(n) if self.shuffle else np.arange(n)
        for b in range(first, self.count):
            yield self.gather(order[b * self.batch_size : (b + 1) * self.batch_size], epoch)

    def gather(self, rows: Array, epoch: int = 0) -> tuple[Array, Array]:
        """The samples of those rows, augmented as in that epoch, normalised and cast."""
        x, y = self.samples
        shape = (len(rows), *x.shape[1:])
        kept = self.buffer("raw", (len(rows), self.flat.shape[1]), x.dtype)
        raw = np.take(self.flat, rows, axis=0, out=kept, mode="clip").reshape(shape)
        if self.augment is not None:
            raw = self.augment(raw, rows, epoch)
        targets = np.take(y, rows, axis=0, out=self.buffer("targets", (len(rows), *y.shape[1:]), y.dtype), mode="clip")
        return self.normalizer.apply(raw, self.buffer("inputs", shape)), targets


def split_validation(n: int, validation: int | float, seed: int) -> tuple[Array, Array]:
    """Rows (training, held out) of n samples: a count, or a fraction below 1, drawn from the seed; both in order."""
    held = validation if isinstance(validation, int) else round(validation * n)
    drawn = stream(seed, "split").permutation(n)
    return np.sort(drawn[held:]), np.sort(drawn[:held])
