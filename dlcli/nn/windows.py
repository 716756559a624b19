"""Windows that slide over images: how many there are, what lies under each, and the way back."""

from __future__ import annotations

from dataclasses import dataclass

from numpy.lib.stride_tricks import as_strided

from dlcli.core.arena import Array
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
        reach = [d * (k - 1) + 1 for d, k in zip(self.dilation, self.kernel, strict=True)]
        if any(r > p for r, p in zip(reach, self.padded, strict=True)):
            spread = (
                f" with dilation {self.dilation} (a reach of {reach[0]} x {reach[1]})" if self.dilation > (1, 1) else ""
            )
            raise ShapeError(
                f"got kernel_size {self.kernel}{spread} for images of {self.padded[0]} x {self.padded[1]} with their "
                "padding, expected at most that; use a smaller kernel, or pad"
            )
        down, across = ((p - r) // s + 1 for p, r, s in zip(self.padded, reach, self.stride, strict=True))
        return down, across

    def patches(self, images: Array) -> Array:
        """A view (n, windows down, windows across, kernel height, kernel width, C) of padded images (n, H, W, C)."""
        n, h, w, c = images.strides
        (down, across), (sh, sw), (dh, dw) = self.count(), self.stride, self.dilation
        shape = (len(images), down, across, *self.kernel, images.shape[3])
        return as_strided(images, shape, (n, sh * h, sw * w, dh * h, dw * w, c))

    def scatter(self, patches: Array, images: Array) -> None:
        """Add patches, shaped as `patches` gives them, to the places of padded images that they cover."""
        (down, across), (sh, sw), (dh, dw) = self.count(), self.stride, self.dilation
        for i in range(self.kernel[0]):
            for j in range(self.kernel[1]):
                rows = slice(i * dh, i * dh + (down - 1) * sh + 1, sh)
                columns = slice(j * dw, j * dw + (across - 1) * sw + 1, sw)
                images[:, rows, columns] += patches[:, :, :, i, j]
