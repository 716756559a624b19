"""The augmentations of a config one after the other, as a function of (seed, epoch, sample)."""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from typing import Any

import numpy as np

from dlcli.core.arena import Array, Scratch
from dlcli.core.rng import stream
from dlcli.data.augment.augmentation import Augmentation, Scale, Warp, warp
from dlcli.data.augment.draws import Draws

BLOCK = 1 << 17
"""Pixels of a channel that are varied at a time: enough for NumPy to be fast, few enough for the cache."""


class Augmenter(Scratch):
    """Varies training samples: `augmenter(raw, rows, epoch)`.

    Sample r of epoch e comes out the same whatever the batch, the order, or where training was resumed.
    """

    def __init__(self, parts: Sequence[Augmentation], seed: int, scale: Scale, dtype: Any = np.float32) -> None:
        self.seed, self.scale, self.dtype = seed, scale, np.dtype(dtype)
        self.count, self.stages = len(parts), stages(parts)
        self.scratch: dict[str, Array] = {}
        self.kept: dict[str, Array] = {}
        self.keys: tuple[int, list[int]] = (-1, [])

    def __call__(self, raw: Array, rows: Array, epoch: int) -> Array:
        """The samples `raw` (n, *shape), numbered `rows`, varied as in that epoch: raw values still, as floats.

        The array is reused by the next call; `raw` is left as it is.
        """
        images = self.buffer("images", raw.shape, np.result_type(raw.dtype, self.dtype))
        keys = self._keys(epoch)
        size = max(1, BLOCK // math.prod(raw.shape[1:][-2:]))
        for start in range(0, len(raw), size):
            block = slice(start, start + size)
            self._vary(raw[block], images[block], (Draws(key, rows[block]) for key in keys))
        return images

    def _keys(self, epoch: int) -> list[int]:
        """The key of every part in that epoch."""
        if self.keys[0] != epoch:
            streams = (stream(self.seed, "augment", epoch, i) for i in range(self.count))
            self.keys = epoch, [int(s.bit_generator.random_raw()) for s in streams]
        return self.keys[1]

    def _vary(self, raw: Array, images: Array, draws: Iterator[Draws]) -> None:
        source = raw
        for stage in self.stages:
            if isinstance(stage, list):
                warp([(part, next(draws)) for part in stage], source, images, self.kept)
            else:
                if source is raw:
                    np.copyto(images, raw)
                stage.change(images, next(draws), self.scale)
            source = images


def stages(parts: Sequence[Augmentation]) -> list[list[Warp] | Augmentation]:
    """The parts in their order, neighbours that move pixels and have the same fill together."""
    found: list[list[Warp] | Augmentation] = []
    for part in parts:
        last = found[-1] if found else None
        if not isinstance(part, Warp):
            found.append(part)
        elif isinstance(last, list) and last[0].fill == part.fill:
            last.append(part)
        else:
            found.append([part])
    return found
