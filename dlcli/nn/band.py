"""Kernels of convolutions laid out for several neighbouring pixels at once."""

from __future__ import annotations

import math
from dataclasses import replace

import numpy as np
from numpy.lib.stride_tricks import as_strided

from dlcli.core.arena import Array, Scratch
from dlcli.nn.windows import Windows

COLUMNS = 16
"""Columns that a matrix product makes at a time: with fewer it takes as long."""

START = 24
"""Terms that a product could add up in the time in which it writes a sum."""

COPIED = 45
"""Terms that a product adds up while a number of a patch is copied, or added to where it came from."""


class Band:
    """The weight (out, in / groups, kh, kw) as a matrix that gives `tile` neighbouring pixels of a row from one patch.

    The patch is all that these pixels see together, and pixel t sees it from column t * stride on: so the matrix holds
    the kernels `tile` times, in a band that goes a step further for each pixel, and zeros elsewhere. Where channels are
    few the product is so wide enough to be fast, and a number is copied fewer times, at the price of the zeros.
    A convolution by `windows` gives the tiles as pixels with tile * out channels. Without `tiles`, and where nothing is
    faster, the tile is 1 and this is the plain matrix.
    """

    def __init__(
        self, windows: Windows, channels: int, out: int, groups: int, scratch: Scratch, *, tiles: bool
    ) -> None:
        self.groups, self.scratch = groups, scratch
        self.kernel, self.stride, self.gap = windows.kernel, windows.stride[1], windows.dilation[1]
        self.tile = self._fastest(windows.count()[1], channels, out) if tiles and groups == 1 else 1
        if self.tile > 1:
            wide = (windows.kernel[0], self._span(self.tile))
            stride, dilation = (windows.stride[0], self.tile * self.stride), (windows.dilation[0], 1)
            self.windows = replace(windows, kernel=wide, stride=stride, dilation=dilation)
        else:
            self.windows, self.gap = windows, 1
        self.shape = (self.tile, out, *self.windows.kernel, channels // groups)

    def _span(self, tile: int) -> int:
        """The columns of an image that a tile sees."""
        return (tile - 1) * self.stride + (self.kernel[1] - 1) * self.gap + 1

    def _fastest(self, count: int, channels: int, out: int) -> int:
        """The tile that costs least by the pixel, of those that cut a row of `count` pixels evenly."""

        def cost(tile: int) -> float:
            terms, columns = self.kernel[0] * self._span(tile) * channels, -(-tile * out // COLUMNS) * COLUMNS
            return ((terms + START) * columns + COPIED * terms) / tile

        return min((tile for tile in range(1, count + 1) if count % tile == 0), key=cost)

    def matrix(self, weight: Array) -> Array:
        """The weight as a matrix (tile * out / groups, terms of a patch) for each group."""
        band = self.scratch.buffer("band", (math.prod(self.shape),)).reshape(self.shape)
        band.fill(0)
        np.copyto(self._kernels(band), weight.transpose(0, 2, 3, 1))
        return band.reshape(self.groups, -1, math.prod(self.shape[2:]))

    def give(self, gradient: Array, dweight: Array) -> None:
        """Set dweight by the gradient of the matrix."""
        kernels = self._kernels(gradient.reshape(self.shape))
        np.add.reduce(kernels, axis=0, out=dweight.transpose(0, 2, 3, 1))

    def pixels(self, images: Array) -> Array:
        """Images (n, H', W', out) with the pixels of a tile as one, (n, H', W' / tile, tile * out)."""
        return images.reshape(*images.shape[:2], -1, self.tile * images.shape[3])

    def _kernels(self, band: Array) -> Array:
        """A view (tile, out, kh, kw, in / groups) of the kernels in a band."""
        tile, out, down, across, channel = band.strides
        strides = (tile + self.stride * across, out, down, self.gap * across, channel)
        return as_strided(band, (*band.shape[:2], *self.kernel, band.shape[4]), strides)
