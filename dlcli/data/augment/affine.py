"""Images turned, sheared, scaled and moved."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

import numpy as np

from dlcli.core.errors import ConfigError
from dlcli.core.options import Positive, Share, example
from dlcli.data.augment.augmentation import Range, Warp, around_zero, augmentations, ordered
from dlcli.data.augment.draws import Draws
from dlcli.data.augment.places import Places


@augmentations.register
@dataclass(eq=False)
class RandomAffine(Warp):
    """y(A p + t) = x(p), A = s R(angle) Y(shear y) X(shear x), for p = (column, row) from the middle of the image

    x, y (channels, height, width), bilinear. R turns clockwise, X = ((1, -tan), (0, 1)), Y = ((1, 0), (-tan, 1)).
    All are uniform: the angle in [-degrees, degrees] (a number, or [least, greatest]); t within the shares `translate`
    = [of the width, of the height] to both sides, not rounded to pixels; s in `scale`; the shear angles in degrees, a
    number or [least, greatest] for x alone, or [least x, greatest x, least y, greatest y].

    Source: https://docs.pytorch.org/vision/stable/generated/torchvision.transforms.RandomAffine.html
    """

    degrees: float | Range
    translate: tuple[Share, Share] | None = None
    scale: tuple[Positive, Positive] | None = None
    shear: float | Range | tuple[float, float, float, float] | None = None

    examples: ClassVar = (
        example((1, 8, 8), degrees=15.0, translate=(0.1, 0.1), scale=(0.9, 1.1), shear=10.0),
        example((3, 5, 7), degrees=(0.0, 90.0), shear=(-5.0, 5.0, 0.0, 10.0), fill=128.0),
        example((1, 6, 6), degrees=0.0, shear=(0.0, 20.0)),
    )

    def __post_init__(self) -> None:
        self.angles, self.scales = around_zero("degrees", self.degrees), ordered("scale", self.scale or (1.0, 1.0))
        shear = self.shear if self.shear is not None else 0.0
        across, along = (shear[:2], shear[2:]) if isinstance(shear, tuple) and len(shear) == 4 else (shear, 0.0)
        self.shears = around_zero("shear", across), around_zero("shear", along)
        if max(map(abs, (*self.shears[0], *self.shears[1]))) >= 90:
            raise ConfigError(f"got shear = {self.shear}, expected angles between -90 and 90 degrees")

    def trace(self, places: Places, draws: Draws) -> None:
        height, width = places.size
        across, along = self.translate or (0.0, 0.0)
        right, down, scale, *degrees = draws.uniform(
            (-across * width, across * width), (-along * height, along * height), self.scales, self.angles, *self.shears
        )
        angle, x, y = np.radians(degrees)
        cos, sin, x, y = np.cos(angle) / scale, np.sin(angle) / scale, np.tan(x), np.tan(y)
        places.shift(-down, -right)
        # the inverses of s R, Y and X one after the other
        below, beside = cos + y * sin, y * cos - sin
        places.linear(below, beside, sin + x * below, cos + x * beside)
