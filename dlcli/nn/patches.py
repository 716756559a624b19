"""What lies under the windows of images, as matrices, and the way back."""

from __future__ import annotations

import math
from collections.abc import Iterator
from functools import cached_property
from threading import get_ident
from typing import Any

import numpy as np
from numpy.lib.stride_tricks import as_strided

from dlcli.core.arena import Array, Scratch
from dlcli.core.workers import LOCKED, TERMS
from dlcli.nn.windows import Windows

BLOCK = 1 << 18
"""Numbers in the patches of one block of images: about what a core's own cache holds."""

FEW = 16
"""Channels below which a pixel is too short a run to be copied, or added up, by itself."""


class Patches:
    """The patches under windows as matrices (windows, terms), one for each group of channels, block by block.

    `terms` is the size of a patch of one group, `size` that of all patches of an image, `work` the numbers of an image
    that are worked on, with what a product counts as, `step` the images in a block, whose patches stay in a cache.

    What lies innermost is copied and added up in runs: a row of a patch where it has many channels, else a line of
    windows. The windows go image by image, so that the other matrix of a product, with a row of `others` numbers of a
    group for each window, is the images themselves. But where few channels come with large patches they go place by
    place, with the images of a block innermost: lines are as many times longer, and worth the copy of the others.
    """

    def __init__(self, name: str, windows: Windows, channels: int, others: int, groups: int, scratch: Scratch) -> None:
        self.name, self.windows, self.channels, self.groups, self.scratch = name, windows, channels, groups, scratch
        self.count, self.others = windows.count(), others // groups
        self.terms = channels // groups * math.prod(windows.kernel)
        self.size = math.prod(self.count) * self.terms * groups
        self.work = self.size * (1 + self.others // TERMS) + math.prod(self.count) * others
        self.step = max(1, BLOCK // self.size)
        few = channels // groups < FEW and others // groups < self.terms
        self.by_image = not few or windows.kernel[1] > self.count[1]
        self.by_patch = self.by_image and self.terms // windows.kernel[0] >= self.count[1]
        self._kept: dict[str, Array] | None = None
        self._rooms: dict[int, dict[int, Room]] = {}

    def room(self, n: int) -> Room:
        """The calling thread's own room for the patches of n images, made once where memory is kept."""
        kept = self.scratch.scratch
        if kept is None:
            return Room(self, n)
        if kept is not self._kept:
            self._rooms, self._kept = {}, kept  # in this order, as threads may meet here
        rooms = self._rooms.setdefault(get_ident(), {})
        if n not in rooms:
            if n > max(rooms, default=0):
                rooms.clear()  # the memory of smaller ones gives way to a larger one
            rooms[n] = Room(self, n)
        return rooms[n]

    def __getstate__(self) -> dict[str, Any]:
        return vars(self) | {"_kept": None, "_rooms": {}}

    def matrices(self, images: Array) -> Array:
        """Images with a number for each window (n, down, across, C) as matrices (windows, C / groups)."""
        if not self.by_image:
            images, given = self._by_place(images), images
            np.copyto(images, given.transpose(1, 2, 0, 3))
        return self._matrices(images)

    def multiply(self, left: Array, right: Array, images: Array) -> None:
        """Set images (n, down, across, C) to the products left @ right of every group, a row for each window."""
        if self.by_image:
            np.matmul(left, right, out=self._matrices(images))
        else:
            room = self._by_place(images)
            np.matmul(left, right, out=self._matrices(room))
            np.copyto(images, room.transpose(2, 0, 1, 3))

    def correlate(self, left: Array, matrix: Array, images: int, out: Array) -> None:
        """Set out (groups, C / groups, terms) to left.T @ matrix, for the `matrices` of a block of images."""
        if out.size > LOCKED or not self.by_image or self.groups > 1:
            np.matmul(left.transpose(0, 2, 1), matrix, out=out)
            return
        parts = self.own("parts", (images, *out.shape[1:]))  # image by image, as NumPy would not give its lock away
        left, matrix = (m.reshape(images, -1, m.shape[2]) for m in (left, matrix))
        np.add.reduce(np.matmul(left.transpose(0, 2, 1), matrix, out=parts), axis=0, out=out[0])

    def under(self, images: Array) -> Array:
        """A view (n, down, across, kernel height, kernel width, groups, C / groups) of padded images (n, H, W, C)."""
        n, h, w, c = images.strides
        (sh, sw), (dh, dw) = self.windows.stride, self.windows.dilation
        channels = self.channels // self.groups
        shape = (len(images), *self.count, *self.windows.kernel, self.groups, channels)
        strides = (n, sh * h, sw * w, dh * h, dw * w, channels * c, c)
        if images.flags.c_contiguous:
            return np.ndarray(shape, images.dtype, images, 0, strides)  # as_strided takes five times as long
        return as_strided(images, shape, strides)

    def shares(self, patches: Array, images: Array) -> Iterator[tuple[Array, Array]]:
        """Parts of patches, shaped as `under` gives them, each with the places of padded images that it covers once."""
        (down, across), (sh, sw), (dh, dw) = self.count, self.windows.stride, self.windows.dilation
        high, wide = self.windows.kernel
        images = images.reshape(*images.shape[:3], self.groups, -1)
        n, h, w, *rest = images.strides
        run = sw if dw == 1 else 1  # columns that the windows of a row see in turn, without an overlap
        for i in range(high):
            rows = images[:, i * dh : i * dh + (down - 1) * sh + 1 : sh]
            if dw == 1 and across < wide:  # a window at a time, since there are fewer than they have columns
                for t in range(across):
                    yield patches[:, :, t, i], rows[:, :, t * sw : t * sw + wide]
            else:
                for j in range(0, wide, run):
                    part = patches[:, :, :, i, j : j + run]
                    strides = (n, sh * h, sw * w, w, *rest)
                    yield part, as_strided(rows[:, :, j * dw :], part.shape, strides)

    def _by_place(self, images: Array) -> Array:
        """Room for the numbers of these images in the order (down, across, n, C), with very few channels outermost."""
        places, channels = (*self.count, len(images)), images.shape[3]
        if channels < FEW:
            return self.own("by place", (channels, *places)).transpose(1, 2, 3, 0)
        return self.own("by place", (*places, channels))

    def _matrices(self, images: Array) -> Array:
        return images.reshape(-1, self.groups, images.shape[3] // self.groups).transpose(1, 0, 2)

    def own(self, name: str, shape: tuple[int, ...]) -> Array:
        """The calling thread's own memory."""
        return self.scratch.own(f"{self.name} {name}", (math.prod(shape),)).reshape(shape)


class Room:
    """Memory for the patches of a block of n images, as `matrix`, and views of it that are made but once."""

    def __init__(self, of: Patches, n: int) -> None:
        self.of, self.n = of, n
        kernel, groups, count = of.windows.kernel, of.groups, of.count
        room = of.own("matrix", (n * of.size,))
        if of.by_patch:
            room = room.reshape(groups, n, *count, *kernel, -1)
            self.matrix = room.reshape(groups, -1, of.terms)
            self.patches = room.transpose(1, 2, 3, 4, 5, 0, 6)
            return
        self.matrix = room.reshape(groups, of.terms, -1).transpose(0, 2, 1)
        if of.by_image:
            self.patches = room.reshape(groups, *kernel, -1, n, *count).transpose(4, 5, 6, 1, 2, 0, 3)
        else:
            self.patches = room.reshape(groups, *kernel, -1, *count, n).transpose(6, 4, 5, 1, 2, 0, 3)

    def filled(self, images: Array) -> Array:
        """The matrix, of the patches of images (n, H, W, C)."""
        if self.of.by_image and self.of.windows.padded == self.of.windows.image:
            np.copyto(self.patches, self.of.under(images))
        else:
            padded, inner = self._padded
            padded.fill(0)
            np.copyto(inner, images)
            np.copyto(self.patches, self._under)
        return self.matrix

    def add_up(self, images: Array) -> None:
        """Set images (n, H, W, C) to the sums of what stands in the matrix, over the overlaps of the patches."""
        padded, inner = self._padded
        padded.fill(0)
        for share, covered in self._shares:
            covered += share
        np.copyto(images, inner)

    @cached_property
    def _padded(self) -> tuple[Array, Array]:
        """Room for padded images (n, H, W, C), and the images in it."""
        size, channels = self.of.windows.padded, self.of.channels
        if self.of.by_image:
            padded = self.of.own("padded", (self.n, *size, channels))
        else:
            padded = self.of.own("padded", (channels, *size, self.n)).transpose(3, 1, 2, 0)
        return padded, padded[:, *self.of.windows.inner]

    @cached_property
    def _under(self) -> Array:
        """What lies under the windows there."""
        return self.of.under(self._padded[0])

    @cached_property
    def _shares(self) -> list[tuple[Array, Array]]:
        """Which parts of the patches are added up where."""
        return list(self.of.shares(self.patches, self._padded[0]))
