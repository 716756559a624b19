"""Images turned about their middle."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

import numpy as np

from dlcli.core.options import example
from dlcli.data.augment.augmentation import Range, Warp, around_zero, augmentations
from dlcli.data.augment.draws import Draws
from dlcli.data.augment.places import Places


@augmentations.register
@dataclass(eq=False)
class RandomRotation(Warp):
    """y = x turned counter-clockwise about its middle by an angle that is uniform in [-degrees, degrees]

    x, y (channels, height, width), bilinear. degrees: a number, or [least, greatest].

    Source: https://docs.pytorch.org/vision/stable/generated/torchvision.transforms.RandomRotation.html, which takes
    the nearest pixel unless told otherwise
    """

    degrees: float | Range

    examples: ClassVar = (example((1, 8, 8), degrees=15.0), example((3, 5, 7), degrees=(0.0, 90.0), fill=128.0))

    def __post_init__(self) -> None:
        self.range = around_zero("degrees", self.degrees)

    def trace(self, places: Places, draws: Draws) -> None:
        angle = np.radians(draws.uniform(self.range)[0])
        cos, sin = np.cos(angle), np.sin(angle)
        places.linear(cos, sin, -sin, cos)
