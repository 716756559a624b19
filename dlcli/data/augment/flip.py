"""Images mirrored left to right."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

import numpy as np

from dlcli.core.options import Share, example
from dlcli.data.augment.augmentation import Warp, augmentations
from dlcli.data.augment.draws import Draws
from dlcli.data.augment.places import Places


@augmentations.register
@dataclass(eq=False)
class RandomHorizontalFlip(Warp):
    """y[i, j] = x[i, width - 1 - j] with probability p, else y = x

    x, y (channels, height, width). For clothes and animals, not for digits and letters.

    Source: https://docs.pytorch.org/vision/stable/generated/torchvision.transforms.RandomHorizontalFlip.html
    """

    p: Share = 0.5

    whole: ClassVar[bool] = True
    examples: ClassVar = (example((1, 8, 8)), example((3, 5, 7), p=1.0))

    def trace(self, places: Places, draws: Draws) -> None:
        places.linear(1, 0, 0, np.where(draws.uniform((0, 1))[0] < self.p, -1, 1))
