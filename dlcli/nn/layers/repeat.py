"""The same layers several times over."""

from __future__ import annotations

import copy
from dataclasses import dataclass
from typing import Annotated, ClassVar

from annotated_types import Len

from dlcli.core.errors import ConfigError
from dlcli.core.options import Count, example
from dlcli.nn.layer import Layer, layers
from dlcli.nn.layers.sequential import Chain, Part

MOST = 1_000
"""Layers that one Repeat may come to."""


@layers.register
@dataclass(eq=False)
class Repeat(Chain):
    """y = f_times(... f_2(f_1(x))), where each f_i is a copy of `layers` with parameters of its own

    x (N, *in_shape), y (N, *out_shape of the last copy).  dx by the chain rule, from the last copy to the first.

    Source: the chain rule; a stack of equal blocks as in He et al. 2016, https://arxiv.org/abs/1512.03385
    """

    times: Count
    layers: Annotated[list[Layer], Len(1)]

    complex_step: ClassVar[bool] = True
    examples: ClassVar = (example((5,), times=3, layers=[{"Linear": {"out_features": 4}}, "Tanh"]),)

    def __post_init__(self) -> None:
        inside = sum(map(count, self.layers))
        if self.times * inside > MOST:
            raise ConfigError(f"got {self.times:,} times {inside:,} layers, expected at most {MOST:,} in all")
        self.chain = [Part(copy.deepcopy(self.layers)) for _ in range(self.times)]


def count(layer: Layer) -> int:
    """How many layers a layer comes to, itself and all inside."""
    return (not isinstance(layer, Part)) + sum(map(count, layer.children().values()))
