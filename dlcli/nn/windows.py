"""Windows that slide over images: where they stand, and how many there are."""

from __future__ import annotations

import math
from dataclasses import dataclass

from dlcli.core.errors import ShapeError

Two = tuple[int, int]


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

    def mirrored(self) -> Windows | None:
        """The windows over an image of numbers, one for each window here, that see the same pairs the other way round.

        So what a scatter adds up is the sum over one patch, with the kernel turned by half a turn. None where the
        windows move by more than a pixel, where the padding is wider than that, or where it would be more work.
        """
        around = [(r - 1 - a, r - 1 - b) for r, (a, b) in zip(self.reach, self.padding, strict=True)]
        if self.stride != (1, 1) or min(map(min, around)) < 0 or math.prod(self.image) > 1.2 * math.prod(self.count()):
            return None
        return Windows(self.count(), self.kernel, (1, 1), self.dilation, (around[0], around[1]))
