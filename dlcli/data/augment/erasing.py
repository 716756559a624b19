"""Images with a random rectangle blotted out."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Annotated, ClassVar, Literal

import numpy as np
from annotated_types import Gt, Le

from dlcli.core.arena import Array
from dlcli.core.options import Positive, Share, example
from dlcli.data.augment.augmentation import Augmentation, Scale, augmentations, ordered
from dlcli.data.augment.draws import Draws

ATTEMPTS = 10
"""How often a rectangle is drawn that may not fit into the image, before the image is left as it is."""

Area = Annotated[float, Gt(0), Le(1)]


@augmentations.register
@dataclass(eq=False)
class RandomErasing(Augmentation):
    """y = x, but `value` in a rectangle of random area, shape and place with probability p

    x, y (channels, height, width). The rectangle's share of the image is uniform in `scale`, and the logarithm of
    height / width is uniform between those of the two numbers in `ratio`. `value` is a raw value of the data, or
    `random` for noise that is standard normal once normalised.

    Source: Zhong et al. 2017, "Random erasing data augmentation", https://arxiv.org/abs/1708.04896, algorithm 1;
    https://docs.pytorch.org/vision/stable/generated/torchvision.transforms.RandomErasing.html
    """

    p: Share = 0.5
    scale: tuple[Area, Area] = (0.02, 0.33)
    ratio: tuple[Positive, Positive] = (0.3, 3.3)
    value: float | Literal["random"] = 0.0

    examples: ClassVar = (
        example((1, 8, 8)),
        example((3, 5, 7), p=1.0, scale=(0.1, 0.5), ratio=(0.5, 2.0), value="random"),
        example((1, 6, 6), value=16.0),
    )

    def __post_init__(self) -> None:
        ordered("scale", self.scale)
        self.slopes = math.log(ordered("ratio", self.ratio)[0]), math.log(self.ratio[1])

    def change(self, images: Array, draws: Draws, scale: Scale) -> None:
        inside = self._rectangles(images.shape[2:], draws)[:, None]
        if self.value == "random":
            noise = draws.normal(*images.shape[1:])
            noise = noise * scale.std.astype(images.dtype) + scale.mean.astype(images.dtype)
            np.copyto(images, noise, where=inside)
        else:
            np.copyto(images, self.value, where=inside)

    def _rectangles(self, size: tuple[int, ...], draws: Draws) -> Array:
        """(n, height, width) bool: what is erased."""
        height, width = size
        chosen, top, left = draws.uniform(*[(0, 1)] * 3)
        area = draws.uniform(*[self.scale] * ATTEMPTS) * (height * width)
        ratio = np.exp(draws.uniform(*[self.slopes] * ATTEMPTS))
        tall, wide = np.rint(np.sqrt(area * ratio)), np.rint(np.sqrt(area / ratio))
        fits = (tall < height) & (wide < width)
        first = fits.argmax(axis=0), np.arange(fits.shape[1])
        tall, wide = tall[first], wide[first]
        erased = (chosen < self.p) & fits[first]
        top, left = np.floor(top * (height - tall + 1)), np.floor(left * (width - wide + 1))
        rows, columns = np.arange(height)[:, None], np.arange(width)
        down, right = rows - top[:, None, None], columns - left[:, None, None]
        within = (down >= 0) & (down < tall[:, None, None]) & (right >= 0) & (right < wide[:, None, None])
        return np.logical_and(within, erased[:, None, None], out=within)
