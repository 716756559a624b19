"""Where a warped image reads each of its pixels, and the interpolation that reads them."""

from __future__ import annotations

from typing import Any

import numpy as np

from dlcli.core.arena import Array, Scratch

BEFORE, AFTER = 1, 2
"""Pixels of fill around an image: every place outside falls on one, and so do its neighbours."""


class Places(Scratch):
    """The places (row, column), relative to the middle of the image, from which n images read their pixels.

    A pixel p is read at q = A p + b + field[p]; each map that `linear`, `shift` or `displace` adds is applied to q.
    A chain of maps is thus followed backwards, from the last to the first. A field of displacements is drawn for the
    pixels of the final image: smooth noise looks the same wherever it is taken.
    """

    def __init__(self, n: int, size: tuple[int, ...], scratch: dict[str, Array] | None = None) -> None:
        self.n, self.size, self.scratch, self.dtype = n, size, scratch, np.dtype(np.float32)
        self.matrix = np.zeros((2, 2, n))
        self.matrix[0, 0] = self.matrix[1, 1] = 1
        self.offset = np.zeros((2, n))
        self.field: Array | None = None

    def linear(self, down_down: Any, down_right: Any, right_down: Any, right_right: Any) -> None:
        """q = M q for M = ((down_down, down_right), (right_down, right_right)), each a number or (n,)."""
        m = np.empty((2, 2, self.n))
        m[0, 0], m[0, 1], m[1, 0], m[1, 1] = down_down, down_right, right_down, right_right
        # products written out: those of the BLAS may round otherwise in a batch of another size
        self.matrix = m[:, 0, None] * self.matrix[0] + m[:, 1, None] * self.matrix[1]
        self.offset = m[:, 0] * self.offset[0] + m[:, 1] * self.offset[1]
        if self.field is not None:
            (a, b), (c, d) = _single(m)[..., None, None]
            down, right = self.field
            part = np.multiply(b, right, out=self.buffer("part", right.shape))
            right *= d
            right += np.multiply(c, down, out=self.buffer("other part", down.shape))
            down *= a
            down += part

    def shift(self, down: Any, right: Any) -> None:
        """q = q + (down, right), in pixels, each a number or (n,)."""
        self.offset[0] += down
        self.offset[1] += right

    def displace(self, field: Array) -> None:
        """q = q + field[:, :, p]: (2, n, height, width), in pixels, down and right. The places may overwrite it."""
        if self.field is None:
            self.field = field
        else:
            self.field += field

    def read(self, images: Array, fill: float, whole: bool, out: Array) -> None:
        """Write the values of images (n, channels, height, width) at these places into `out`, which may be `images`.

        Outside of an image is `fill`. Between four pixels it is their bilinear interpolation; `whole` says that no
        place lies between, and that its row depends on the pixel's row alone, as its column on the column.
        """
        n, channels, height, width = images.shape
        tall, wide = height + BEFORE + AFTER, width + BEFORE + AFTER
        padded = self.buffer("padded", (channels * n, tall, wide), out.dtype).reshape(channels, n, tall, wide)
        padded.fill(fill)
        np.copyto(padded[:, :, BEFORE:-AFTER, BEFORE:-AFTER], images.swapaxes(0, 1))
        start = (np.arange(n) * (tall * wide) + BEFORE * (wide + 1))[:, None, None]
        index = self.buffer("index", (n, height, width), np.intp)
        if whole:
            rows, columns = self._lines()
            np.add(rows * wide + start, columns, out=index)
            for channel in range(channels):
                np.take(padded[channel], index, out=out[:, channel], mode="clip")
            return
        places = self._points()
        rows, columns = pixels = np.floor(places, out=self.pair("pixels"))
        down, right = np.subtract(places, pixels, out=places)
        rows *= wide
        np.add(rows, columns, out=index, casting="unsafe")
        index += start
        for channel in range(channels):
            flat, target = padded[channel].reshape(-1), out[:, channel]
            upper = self._take("upper", flat, index)
            upper += self._toward(flat[1:], index, upper, right)
            lower = self._take("lower", flat[wide:], index)
            lower += self._toward(flat[wide + 1 :], index, lower, right)
            lower -= upper
            lower *= down
            np.add(upper, lower, out=target)

    def pair(self, name: str, *size: int) -> Array:
        """A buffer (2, n, height, width), or of another height and width: one part for rows, one for columns."""
        size = size or self.size
        return self.buffer(name, (2 * self.n, *size)).reshape(2, self.n, *size)

    def _lines(self) -> tuple[Array, Array]:
        """Rows (n, height, 1) and columns (n, 1, width), at most one pixel outside of the image."""
        rows, columns = (
            np.clip(self.matrix[i, i, :, None] * _centred(length) + self._middle(i), -1, length).astype(np.intp)
            for i, length in enumerate(self.size)
        )
        return rows[:, :, None], columns[:, None, :]

    def _points(self) -> Array:
        """Rows and columns (2, n, height, width), at most one pixel outside of the image."""
        places = self.pair("places")
        rows, columns = map(_centred, self.size)
        for i, length in enumerate(self.size):
            of_row = self.matrix[i, 0, :, None] * rows + self._middle(i)
            of_column = self.matrix[i, 1, :, None] * columns
            np.add(_single(of_row)[:, :, None], _single(of_column)[:, None, :], out=places[i])
            if self.field is not None:
                places[i] += self.field[i]
            np.clip(places[i], -1, length, out=places[i])
        return places

    def _middle(self, axis: int) -> Array:
        """(n, 1): where the middle of the output is read, counted from the first pixel of that axis."""
        return (self.offset[axis] + (self.size[axis] - 1) / 2)[:, None]

    def _take(self, name: str, flat: Array, index: Array) -> Array:
        return np.take(flat, index, out=self.buffer(name, index.shape, flat.dtype), mode="clip")

    def _toward(self, flat: Array, index: Array, here: Array, share: Array) -> Array:
        """`share` of the way from the values `here` to those at `index` of `flat`."""
        step = self._take("step", flat, index)
        step -= here
        step *= share
        return step


def _centred(length: int) -> Array:
    """The pixels of an axis from its middle."""
    return np.arange(length) - (length - 1) / 2


def _single(numbers: Array) -> Array:
    return numbers.astype(np.float32)
