"""What layers over channels share: samples (N, C, *spatial) seen with their channels innermost, and checks of C."""

from __future__ import annotations

import numpy as np

from dlcli.core.arena import Array
from dlcli.core.errors import ShapeError
from dlcli.nn.layer import Shape


def pixels(x: Array) -> Array:
    """x (N, C, *spatial) as (N, P, C), P places in row-major order; a view where the channels lie innermost."""
    return np.ascontiguousarray(x.transpose(0, *range(2, x.ndim), 1)).reshape(len(x), -1, x.shape[1])


def images(y: Array, spatial: Shape) -> Array:
    """y (N, P, C) as (N, C, *spatial), the way back from `pixels`: always a view."""
    return y.reshape(len(y), *spatial, y.shape[2]).transpose(0, -1, *range(1, len(spatial) + 1))


def image_shape(in_shape: Shape) -> tuple[int, int, int]:
    """(channels, height, width) of a sample; ShapeError where it is no image."""
    if len(in_shape) != 3:
        raise ShapeError(
            f"got samples of shape {in_shape}, expected (channels, height, width); put a Reshape before it"
        )
    channels, height, width = in_shape
    return channels, height, width


def inferred(option: str, given: int | None, found: int, what: str = "channels") -> int:
    """How many channels there are; ShapeError where the option of that name says another number."""
    if given not in (None, found):
        raise ShapeError(f"got {found} {what}, expected {option} = {given}; leave {option} out to infer it")
    return found
