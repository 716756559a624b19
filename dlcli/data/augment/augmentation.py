"""The contract of an augmentation: what it may be given, and how it changes the images of a batch."""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Annotated, ClassVar, NamedTuple

from dlcli.core.arena import Array
from dlcli.core.component import Checked
from dlcli.core.errors import ConfigError, ShapeError
from dlcli.core.options import Example
from dlcli.core.registry import Registry
from dlcli.data.augment.draws import Draws
from dlcli.data.augment.places import Places

augmentations: Registry[Augmentation] = Registry("augmentation", "augmentations")

Range = tuple[float, float]
"""The least and the greatest value that is drawn."""


class Scale(NamedTuple):
    """How raw values and what the network sees belong together: raw = mean + std * seen."""

    mean: Array
    std: Array


@dataclass(kw_only=True, eq=False)
class Augmentation(metaclass=Checked):
    """One way to vary samples; its fields are what a config may set.

    All randomness comes from `draws`, so that a sample in an epoch is varied in one way, whatever stands beside it.
    """

    examples: ClassVar[tuple[Example, ...]] = ()

    def check(self, shape: tuple[int, ...]) -> None:
        """ShapeError unless samples of that shape, without the batch axis, can be varied so; by default images."""
        if len(shape) != 3:
            raise ShapeError(
                f"got samples of shape {shape}, expected images (channels, height, width); "
                "of all augmentations tables take GaussianNoise alone"
            )

    @abstractmethod
    def change(self, images: Array, draws: Draws, scale: Scale) -> None:
        """Change samples (n, *shape) in place. They are floats with the raw values of the data, not yet normalised."""


augmentations.base = Augmentation


@dataclass(kw_only=True, eq=False)
class Warp(Augmentation):
    """An augmentation that moves pixels. Those that follow one another share one bilinear interpolation."""

    fill: Annotated[float, "what comes from outside the image, a raw value of the data"] = 0.0

    whole: ClassVar[bool] = False
    """Whether pixels only move to places of other pixels, so that nothing lies between."""

    @abstractmethod
    def trace(self, places: Places, draws: Draws) -> None:
        """Take `places` back through this map: from where its output has a pixel to where its input has it."""

    def change(self, images: Array, draws: Draws, scale: Scale) -> None:
        warp([(self, draws)], images, out=images)


def warp(
    maps: Sequence[tuple[Warp, Draws]], images: Array, out: Array, scratch: dict[str, Array] | None = None
) -> None:
    """Write `images` warped by all these maps, of the same fill, into `out`; `scratch` keeps the arrays in between."""
    places = Places(len(images), images.shape[2:], scratch)
    for part, draws in reversed(maps):
        part.trace(places, draws)
    places.read(images, maps[0][0].fill, all(part.whole for part, _ in maps), out)


def ordered(name: str, given: Range) -> Range:
    """A range as it was given; ConfigError where its end lies before its start."""
    if given[0] > given[1]:
        raise ConfigError(f"got {name} = {list(given)}, expected the lesser value first")
    return given


def around_zero(name: str, given: float | Range) -> Range:
    """A range as it was given, or from -x to x for a number x. ConfigError where there is no such range."""
    if isinstance(given, tuple):
        return ordered(name, given)
    if given < 0:
        raise ConfigError(f"got {name} = {given:g}, expected a number >= 0 or a list of two")
    return -given, given
