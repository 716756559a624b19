"""Samples with noise added."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

from dlcli.core.arena import Array
from dlcli.core.options import NonNegative, example
from dlcli.data.augment.augmentation import Augmentation, Scale, augmentations
from dlcli.data.augment.draws import Draws


@augmentations.register
@dataclass(eq=False)
class GaussianNoise(Augmentation):
    """y = x + std * s * e,  e ~ N(0, 1) for every value,  s what data.normalize divides by

    x, y of any shape, tables among them. std is thus in the units of what the network sees: of the data's deviation
    with `standardize`, of its range with `unit`.

    Source: Bishop 1995, "Training with noise is equivalent to Tikhonov regularization",
    https://doi.org/10.1162/neco.1995.7.1.108
    """

    std: NonNegative = 0.1

    examples: ClassVar = (example((1, 8, 8)), example((4,), std=0.5), example((3, 5, 7), std=0.0))

    def check(self, shape: tuple[int, ...]) -> None:
        """Samples of every shape will do."""

    def change(self, images: Array, draws: Draws, scale: Scale) -> None:
        if self.std:
            noise = draws.normal(*images.shape[1:])
            images += noise * (self.std * scale.std).astype(images.dtype)
