"""Images bent by a smooth random field, as handwriting varies."""

from __future__ import annotations

import math
from dataclasses import dataclass
from functools import cache
from typing import Annotated, ClassVar

import numpy as np
from annotated_types import Ge

from dlcli.core.arena import Array
from dlcli.core.options import NonNegative, example
from dlcli.data.augment.augmentation import Warp, augmentations
from dlcli.data.augment.draws import Draws
from dlcli.data.augment.places import Places

REACH = 3
"""How many sigma around an image there is noise too, so that its border is bent like its middle."""


@augmentations.register
@dataclass(eq=False)
class ElasticTransform(Warp):
    """y(p) = x(p + alpha (G * u)(p)), G a Gaussian of deviation sigma, u noise in [-1, 1] for each pixel and direction

    x, y (channels, height, width), bilinear; alpha and sigma in pixels. The displacement in each direction has the
    deviation alpha / (sigma sqrt(12 pi)), 1.4 pixels by default, and its correlation over a distance d is
    exp(-d^2 / (4 sigma^2)). The noise is drawn on a lattice sigma wide, with the same covariance to three digits: what
    is finer does not pass G.

    Source: Simard et al. 2003, "Best practices for convolutional neural networks applied to visual document analysis",
    https://doi.org/10.1109/ICDAR.2003.1227801, whose best figures for digits the defaults are. PyTorch's alpha is
    twice as large for the same displacement, and its defaults (alpha 50, sigma 5) are meant for larger images.
    """

    alpha: NonNegative = 34.0
    sigma: Annotated[float, Ge(0.5)] = 4.0

    examples: ClassVar = (
        example((1, 28, 28)),
        example((1, 8, 8), alpha=8.0, sigma=2.0),
        example((3, 5, 7), alpha=5.0, sigma=1.5, fill=128.0),
    )

    def trace(self, places: Places, draws: Draws) -> None:
        height, width = places.size
        down, right = bumps(height, self.sigma), bumps(width, self.sigma)
        (_, m), (_, k) = down.shape, right.shape
        noise = draws.rough(2 * m * k).reshape(places.n, 2, m, k).swapaxes(0, 1)
        # one product a sample: the BLAS may round otherwise in a batch of another size
        rows = np.matmul(noise, right.T * np.float32(self.alpha), out=places.pair("noise", m, width))
        field = places.pair("field" if places.field is None else "another field")
        places.displace(np.matmul(down, rows, out=field))


@cache
def bumps(length: int, sigma: float) -> Array:
    """(length, m) float32: what each of m lattice points, sigma apart, adds at each pixel of an axis.

    A point stands for sigma independent pixels, and thus weighs sqrt(sigma) times a pixel's Gaussian.
    """
    points = (np.arange(math.ceil((length - 1) / sigma) + 1 + 2 * REACH) - REACH) * sigma
    distance = (np.arange(length)[:, None] - points) / sigma
    return (np.exp(-np.square(distance) / 2) / math.sqrt(math.tau * sigma)).astype(np.float32)
