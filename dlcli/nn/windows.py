"""Windows that slide over images: how many there are, what lies under each, and the way back."""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np
from numpy.lib.stride_tricks import as_strided

from dlcli.core.arena import Array, Scratch
from dlcli.core.errors import ShapeError

Two = tuple[int, int]

BLOCK = 1 << 18
"""Numbers in the patches of one block of images: about what a core's own cache holds."""

FEW = 16
"""Channels below which a matrix of pixels is better multiplied, and copied, a channel at a time."""

MANY = 32
"""Channels of a group from which on a pixel is a run that is long enough to be added up by itself."""


@dataclass(frozen=True)
class Windows:
    """The windows of a kernel over padded images, for height and width each."""

    image: Two
    """The size of an image before the padding."""
    kernel: Two
    stride: Two
    dilation: Two
    padding: tuple[Two, Two]
    """Zeros (above, below) and (left, right)."""

    @property
    def reach(self) -> Two:
        """The size of what lies under one window."""
        down, across = (d * (k - 1) + 1 for d, k in zip(self.dilation, self.kernel, strict=True))
        return down, across

    @property
    def padded(self) -> Two:
        """The size of an image with its padding."""
        (top, bottom), (left, right) = self.padding
        return self.image[0] + top + bottom, self.image[1] + left + right

    @property
    def inner(self) -> tuple[slice, slice]:
        """Where the image stands in the padded one."""
        (top, _), (left, _) = self.padding
        return slice(top, top + self.image[0]), slice(left, left + self.image[1])

    def count(self) -> Two:
        """How many windows there are down and across; ShapeError where not one fits."""
        if any(r > p for r, p in zip(self.reach, self.padded, strict=True)):
            wide = f" with dilation {self.dilation}, over {self.reach[0]} x {self.reach[1]} pixels,"
            over = wide if self.reach != self.kernel else ""
            raise ShapeError(
                f"got kernel_size {self.kernel}{over} for images of {self.padded[0]} x {self.padded[1]} with their "
                "padding, expected at most that; use a smaller kernel, or pad"
            )
        down, across = ((p - r) // s + 1 for p, r, s in zip(self.padded, self.reach, self.stride, strict=True))
        return down, across

    def under(self, images: Array) -> Array:
        """A view (n, windows down, windows across, kernel height, kernel width, C) of padded images (n, H, W, C)."""
        n, h, w, c = images.strides
        (down, across), (sh, sw), (dh, dw) = self.count(), self.stride, self.dilation
        shape = (len(images), down, across, *self.kernel, images.shape[3])
        return as_strided(images, shape, (n, sh * h, sw * w, dh * h, dw * w, c))

    def scatter(self, patches: Array, images: Array) -> None:
        """Add patches, shaped as `under` gives them, to the places of padded images that they cover."""
        (down, across), (sh, sw), (dh, dw) = self.count(), self.stride, self.dilation
        wide = dw == 1 and across < self.kernel[1]  # the patches of a row are fewer than their columns
        for i in range(self.kernel[0]):
            rows = slice(i * dh, i * dh + (down - 1) * sh + 1, sh)
            for t in range(across) if wide else ():
                images[:, rows, t * sw : t * sw + self.kernel[1]] += patches[:, :, t, i]
            for j in range(self.kernel[1]) if not wide else ():
                columns = slice(j * dw, j * dw + (across - 1) * sw + 1, sw)
                images[:, rows, columns] += patches[:, :, :, i, j]

    def mirrored(self) -> Windows | None:
        """The windows over an image of numbers, one for each window here, that see the same pairs the other way round.

        So what a scatter adds up is the sum over one patch, with the kernel turned by half a turn. None where the
        windows move by more than a pixel, where the padding is wider than that, or where it would be more work.
        """
        around = [(r - 1 - a, r - 1 - b) for r, (a, b) in zip(self.reach, self.padding, strict=True)]
        if self.stride != (1, 1) or min(map(min, around)) < 0 or math.prod(self.image) > 1.2 * math.prod(self.count()):
            return None
        return Windows(self.count(), self.kernel, (1, 1), self.dilation, (around[0], around[1]))


class Patches:
    """The patches under windows as matrices (windows, terms), one for each group of channels, block by block.

    `terms` is the size of a patch of one group, `size` that of all patches of an image, `step` the images in a block,
    whose patches stay in a cache. The room for them is taken from `scratch`, for each thread its own.

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
        self.step = max(1, BLOCK // self.size)
        few = channels // groups < MANY and others // groups < self.terms
        self.by_image = not few or windows.kernel[1] > self.count[1]
        self.by_patch = self.by_image and self.terms // windows.kernel[0] >= self.count[1]

    def matrix(self, images: Array) -> Array:
        """The patches of a block of images (n, H, W, C) as matrices."""
        if not self.by_image or self.windows.padded != self.windows.image:
            room = self._padded(len(images))
            room[:, *self.windows.inner] = images
            images = room
        matrix, patches = self.room(len(images))
        np.copyto(patches, self.windows.under(images).reshape(patches.shape))
        return matrix

    def room(self, n: int) -> tuple[Array, Array]:
        """Room for the patches of n images: as matrices, and as (n, down, across, kernel height, width, groups, C)."""
        count, kernel, groups = self.count, self.windows.kernel, self.groups
        room = self._own("", (n * self.size,))
        if self.by_patch:
            room = room.reshape(groups, n, *count, *kernel, -1)
            return room.reshape(groups, -1, self.terms), room.transpose(1, 2, 3, 4, 5, 0, 6)
        matrix = room.reshape(groups, self.terms, -1).transpose(0, 2, 1)
        if self.by_image:
            return matrix, room.reshape(groups, *kernel, -1, n, *count).transpose(4, 5, 6, 1, 2, 0, 3)
        return matrix, room.reshape(groups, *kernel, -1, *count, n).transpose(6, 4, 5, 1, 2, 0, 3)

    def add_up(self, patches: Array, images: Array) -> None:
        """Set images (n, H, W, C) to the sums of patches, seen as the second view of `room`, over their overlaps."""
        padded = self._padded(len(images))
        self.windows.scatter(patches, padded.reshape(*padded.shape[:3], self.groups, -1))
        np.copyto(images, padded[:, *self.windows.inner])

    def pixels(self, images: Array) -> Array:
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

    def _by_place(self, images: Array) -> Array:
        """Room for the numbers of these images in the order (down, across, n, C), with very few channels outermost."""
        places, channels = (*self.count, len(images)), images.shape[3]
        if channels < FEW:
            return self._own(" by place", (channels, *places)).transpose(1, 2, 3, 0)
        return self._own(" by place", (*places, channels))

    def _matrices(self, images: Array) -> Array:
        return images.reshape(-1, self.groups, images.shape[3] // self.groups).transpose(1, 0, 2)

    def _padded(self, n: int) -> Array:
        """Zeros for n padded images (n, H, W, C)."""
        size = self.windows.padded
        if self.by_image:
            room = self._own(" padded", (n, *size, self.channels))
        else:
            room = self._own(" padded", (self.channels, *size, n)).transpose(3, 1, 2, 0)
        room.fill(0)
        return room

    def _own(self, name: str, shape: tuple[int, ...]) -> Array:
        """The calling thread's own room."""
        return self.scratch.own(self.name + name, (math.prod(shape),)).reshape(shape)
