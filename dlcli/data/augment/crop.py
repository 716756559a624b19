"""Images padded and cropped to their size again."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

from dlcli.core.errors import ShapeError
from dlcli.core.options import Natural, example, pair
from dlcli.data.augment.augmentation import Warp, augmentations
from dlcli.data.augment.draws import Draws
from dlcli.data.augment.places import Places


@augmentations.register
@dataclass(eq=False)
class RandomCrop(Warp):
    """y = a window of the size of x, anywhere in x with `padding` pixels of `fill` around it, all equally likely

    x, y (channels, height, width). padding: a number for all sides, or [left and right, top and bottom].
    The window has no size of its own, because what is validated and predicted is not cropped.

    Source: https://docs.pytorch.org/vision/stable/generated/torchvision.transforms.RandomCrop.html
    """

    padding: Natural | tuple[Natural, Natural]

    whole: ClassVar[bool] = True
    examples: ClassVar = (example((1, 8, 8), padding=2), example((3, 5, 7), padding=(0, 3), fill=128.0))

    def check(self, shape: tuple[int, ...]) -> None:
        super().check(shape)
        across, along = pair(self.padding)
        if along >= shape[1] or across >= shape[2]:
            raise ShapeError(
                f"got padding = {self.padding}, which can leave nothing of an image of {shape[1]} x {shape[2]}; "
                "use less"
            )

    def trace(self, places: Places, draws: Draws) -> None:
        across, along = pair(self.padding)
        places.shift(*draws.integers((-along, along), (-across, across)))
