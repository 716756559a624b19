"""Images moved by whole pixels."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

from dlcli.core.errors import ShapeError
from dlcli.core.options import Count, example
from dlcli.data.augment.augmentation import Warp, augmentations
from dlcli.data.augment.draws import Draws
from dlcli.data.augment.places import Places


@augmentations.register
@dataclass(eq=False)
class RandomShift(Warp):
    """y[i, j] = x[i - u, j - v], u and v whole numbers from -pixels to pixels, all equally likely

    x, y (channels, height, width).

    Source: Simard et al. 2003, "Best practices for convolutional neural networks applied to visual document analysis",
    https://doi.org/10.1109/ICDAR.2003.1227801: translations as the simplest way to more training data
    """

    pixels: Count

    whole: ClassVar[bool] = True
    examples: ClassVar = (example((1, 8, 8), pixels=2), example((3, 5, 7), pixels=1, fill=128.0))

    def check(self, shape: tuple[int, ...]) -> None:
        super().check(shape)
        if self.pixels >= min(shape[1:]):
            most = min(shape[1:]) - 1
            raise ShapeError(
                f"got pixels = {self.pixels}, which can move an image of {shape[1]} x {shape[2]} out of sight; "
                + (f"use at most {most}" if most else "remove it")
            )

    def trace(self, places: Places, draws: Draws) -> None:
        down, right = draws.integers(*[(-self.pixels, self.pixels)] * 2)
        places.shift(-down, -right)
