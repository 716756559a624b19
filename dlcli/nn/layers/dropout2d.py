"""Whole channels dropped at random in training."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

from dlcli.core.options import example
from dlcli.nn.layer import Shape, layers
from dlcli.nn.layers.channels import image_shape
from dlcli.nn.layers.dropout import Dropout


@layers.register
@dataclass(eq=False)
class Dropout2d(Dropout):
    """y = x * m / (1 - p) in training, with m = 0 for a whole channel of a sample with probability p, else 1

    x and y (N, C, H, W), m (N, C, 1, 1).  dx = dy * m / (1 - p).  y = x in evaluation.
    The pixels of a channel say much the same, so that dropping single ones hides little.

    Source: Tompson et al. 2015, "Efficient object localization using convolutional networks",
    https://arxiv.org/abs/1411.4280; https://docs.pytorch.org/docs/stable/generated/torch.nn.Dropout2d.html
    """

    examples: ClassVar = (example((4, 2, 3)), example((4, 3, 2), p=0.2))

    def setup(self, in_shape: Shape) -> Shape:
        image_shape(in_shape)
        return in_shape

    def mask_shape(self, x_shape: Shape) -> Shape:
        return (*x_shape[:2], 1, 1)
