"""Winograd's convolution: in tiles of 4 x 4 pixels of y, a kernel of 3 x 3 costs 36 products, where a sum takes 144."""

from __future__ import annotations

import math
from functools import lru_cache
from typing import Any

import numpy as np
from numpy.lib.stride_tricks import as_strided

from dlcli.core.arena import Array, Scratch
from dlcli.nn.windows import Windows

STEP, TILE = 4, 6
"""Pixels of y that a tile gives along an axis, and pixels of x that it takes: neighbouring tiles share two."""

BLOCK = 1 << 19
"""Numbers in the tiles of one block of images: more would fall out of the cache, fewer make the products small."""

WAY = 50
"""Multiply-adds that take as long as the way of a number into the tiles and back."""

A = np.array([[1, 0, 0, 0], [1, 1, 1, 1], [1, -1, 1, -1], [1, 2, 4, 8], [1, -2, 4, -8], [0, 0, 0, 1]])
"""(TILE, STEP): a tile of products to pixels of y is A.T."""
B = np.array(
    [
        [4, 0, 0, 0, 0, 0],
        [0, -4, 4, -2, 2, 4],
        [-5, -4, -4, -1, -1, 0],
        [0, 1, -1, 2, -2, -5],
        [1, 1, 1, 1, 1, 0],
        [0, 0, 0, 0, 0, 1],
    ]
)
"""(TILE, TILE): pixels of x to a tile is B.T."""
G = np.array([[6, 0, 0], [-4, -4, -4], [-4, 4, -4], [1, 2, 4], [1, -2, 4], [0, 0, 24]]) / [[24]]
"""(TILE, 3): the kernel to a tile."""
CONSTANT = TILE + 1
"""The place in a tile, row by row, that stands for a constant: what is added there comes to every pixel of y."""


@lru_cache
def matrices(dtype: Any) -> tuple[Array, Array, Array]:
    """A, B, and G for both axes of a kernel at once (36, 9)."""
    return A.astype(dtype), B.astype(dtype), np.kron(G, G).astype(dtype)


class Winograd:
    """The convolution of images (n, H, W, C) with kernels of 3 x 3, with stride 1, in tiles: F(4 x 4, 3 x 3).

    With x a tile of 6 x 6 pixels of one channel, w a kernel, and y the 4 x 4 pixels that they give:
    y = A.T @ (U * V) @ A,  U = G @ w @ G.T,  V = B.T @ x @ B.
    The sums over channels make * 36 matrix products, one for each place (i, j) in a tile:
    M[i, j] = V[i, j] @ U[i, j].T,  U (36, out, in), V (36, tiles, in), M (36, tiles, out).
    All of it is linear, so that gradients go through the transposed matrices the other way round.

    Letters: h, w pixels; t, u tiles down and across; i, j places in a tile; n images. The images of a block stand
    innermost but for their channels, so that a product with A or B runs over long rows. Each takes one axis: along w
    from pixels (h, w, n C) to lines (h, j, u, n C), then along h to tiles (i, j, t, u n C).

    Source: Lavin and Gray 2015, "Fast algorithms for convolutional neural networks", https://arxiv.org/abs/1509.09308
    """

    def __init__(self, windows: Windows, channels: int, out: int, scratch: Scratch) -> None:
        self.windows, self.channels, self.out, self.scratch = windows, channels, out, scratch
        down, across = windows.count()
        self.t, self.u = -(-down // STEP), -(-across // STEP)
        self.size = self.t * self.u * TILE**2 * max(channels, out)
        self.step = max(1, BLOCK // self.size)

    @staticmethod
    def fits(windows: Windows) -> bool:
        """Whether tiles can stand for these windows."""
        return (windows.kernel, windows.stride, windows.dilation) == ((3, 3), (1, 1), (1, 1))

    @property
    def pays(self) -> bool:
        """Whether this is faster than a product with all patches: what is saved must make good for the way of x and y.

        At least half of the products are saved, and by count the more, the more channels there are.
        """
        products, direct = self.t * self.u * TILE**2, 9 * math.prod(self.windows.count())
        way = WAY * (self.channels + self.out)
        return 2 * products <= direct and direct * self.channels * self.out >= way * products

    def kernels(self, weight: Array) -> Array:
        """U (36, out, in) of weight (out, in, 3, 3)."""
        u = self.scratch.buffer("U", (TILE**2, self.out, self.channels))
        np.matmul(matrices(weight.dtype)[2], _nine(weight), out=u.transpose(1, 0, 2))
        return u

    def give_kernels(self, du: Array, dweight: Array) -> None:
        """The gradient of weight from that of U."""
        np.matmul(matrices(du.dtype)[2].T, du.transpose(1, 0, 2), out=_nine(dweight))

    def forward(self, x: Array, u: Array, bias: Array | None, y: Array) -> None:
        """Set y (n, H', W', out) for a block of images x (n, H, W, in)."""
        products = self._own("products", (TILE**2, self.t * self.u * len(y), self.out))
        np.matmul(self._tiles(x), u.transpose(0, 2, 1), out=products)
        if bias is not None:
            products[CONSTANT] += bias
        a, _, _ = matrices(y.dtype)
        pixels, lines = self._room("y", y, 0)
        rows = lines.reshape(self.t, STEP, TILE, -1).transpose(0, 2, 1, 3)
        np.matmul(a.T, self._by_line(products), out=rows)
        np.matmul(a.T, lines.transpose(0, 2, 1, 3), out=pixels.reshape(len(pixels), self.u, STEP, -1))
        np.copyto(y, pixels[: y.shape[1], : y.shape[2]].transpose(2, 0, 1, 3))

    def backward(self, x: Array, dy: Array, u: Array, du: Array, dx: Array | None) -> None:
        """Set du and dx, the gradients of U and x, for a block of images x with the gradient dy of y."""
        products, tiles = self._spread(dy), self._tiles(x)
        np.matmul(products.transpose(0, 2, 1), tiles, out=du)
        if dx is None:
            return
        np.matmul(products, u, out=tiles)
        _, b, _ = matrices(x.dtype)
        pixels, lines = self._room("x", x, TILE - STEP)
        down = self._own("down", (self.t, TILE, *lines[0].shape))
        np.matmul(b, self._by_line(tiles), out=down.reshape(self.t, TILE, TILE, -1).transpose(0, 2, 1, 3))
        _add_up(down.reshape(1, self.t, TILE, -1), lines.reshape(1, len(lines), -1))
        across = self._own("across", (len(lines), self.u, TILE, lines.shape[3]))
        np.matmul(b, lines.transpose(0, 2, 1, 3), out=across)
        _add_up(across, pixels.reshape(*pixels.shape[:2], -1))
        np.copyto(dx, pixels[*self.windows.inner].transpose(2, 0, 1, 3))

    def _tiles(self, x: Array) -> Array:
        """V of a block of images."""
        _, b, _ = matrices(x.dtype)
        pixels, lines = self._room("x", x, TILE - STEP)
        pixels.fill(0)
        pixels[*self.windows.inner] = x.transpose(1, 2, 0, 3)
        np.matmul(b.T, _overlapping(pixels.reshape(*pixels.shape[:2], -1)), out=lines.transpose(0, 2, 1, 3))
        tiles = self._own("tiles", (TILE**2, self.t * self.u * len(x), self.channels))
        rows = _overlapping(lines.reshape(1, len(lines), -1)).reshape(self.t, TILE, TILE, -1)
        np.matmul(b.T, rows.transpose(0, 2, 1, 3), out=self._by_line(tiles))
        return tiles

    def _spread(self, dy: Array) -> Array:
        """The gradient of M from that of a block of images of y."""
        a, _, _ = matrices(dy.dtype)
        pixels, lines = self._room("y", dy, 0)
        pixels.fill(0)
        pixels[: dy.shape[1], : dy.shape[2]] = dy.transpose(1, 2, 0, 3)
        np.matmul(a, pixels.reshape(len(pixels), self.u, STEP, -1), out=lines.transpose(0, 2, 1, 3))
        products = self._own("products", (TILE**2, self.t * self.u * len(dy), self.out))
        rows = lines.reshape(self.t, STEP, TILE, -1).transpose(0, 2, 1, 3)
        np.matmul(a, rows, out=self._by_line(products))
        return products

    def _room(self, name: str, images: Array, beyond: int) -> tuple[Array, Array]:
        """Room for the pixels (h, w, n, C) that the tiles cover, with `beyond` after the last step, and for lines."""
        n, channels = len(images), images.shape[3]
        height, width = STEP * self.t + beyond, STEP * self.u + beyond
        pixels = self._own(name, (height, width, n, channels))
        return pixels, self._own(f"{name} lines", (height, TILE, self.u, n * channels))

    def _by_line(self, tiles: Array) -> Array:
        """Tiles (36, t u n, C) as (t, j, i, u n C), so that a product takes places i to lines."""
        return tiles.reshape(TILE, TILE, self.t, -1).transpose(2, 1, 0, 3)

    def _own(self, name: str, shape: tuple[int, ...]) -> Array:
        """The calling thread's own room for a block."""
        return self.scratch.own(name, (math.prod(shape),)).reshape(shape)


def _nine(weight: Array) -> Array:
    """weight (out, in, 3, 3) as (out, 9, in), as it lies in memory."""
    return weight.transpose(0, 2, 3, 1).reshape(len(weight), -1, weight.shape[1])


def _overlapping(x: Array) -> Array:
    """A view (rows, tiles, TILE, run) of x (rows, STEP * tiles + 2, run)."""
    rows, size, run = x.shape
    row, place, number = x.strides
    return as_strided(x, (rows, size // STEP, TILE, run), (row, STEP * place, place, number))


def _add_up(shares: Array, x: Array) -> None:
    """Set x to the sums of shares, shaped as `_overlapping` gives them, over the tiles that hold a place."""
    rows, tiles, _, run = shares.shape
    np.copyto(x[:, :-2].reshape(rows, tiles, STEP, run), shares[:, :, :STEP])
    x[:, STEP:-2].reshape(rows, tiles - 1, STEP, run)[:, :, : TILE - STEP] += shares[:, :-1, STEP:]
    x[:, -2:] = shares[:, -1, STEP:]
