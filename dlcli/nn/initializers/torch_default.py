"""What PyTorch's own layers start from."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import ClassVar

import numpy as np

from dlcli.core.arena import Array
from dlcli.core.options import example
from dlcli.nn.initializer import Initializer, initializers


@initializers.register
@dataclass(eq=False)
class TorchDefault(Initializer):
    """w ~ U(-1 / sqrt(fan_in), 1 / sqrt(fan_in)); a bias takes the fan_in of its weight

    What torch.nn.Linear and torch.nn.Conv2d do: kaiming_uniform with a = sqrt(5).
    Source: https://docs.pytorch.org/docs/stable/generated/torch.nn.Linear.html
    """

    config_name: ClassVar[str] = "torch_default"
    examples: ClassVar = (example((4, 3)),)

    def draw(self, shape: tuple[int, ...], fan_in: int, fan_out: int, rng: np.random.Generator) -> Array:
        bound = 1 / math.sqrt(max(fan_in, 1))
        return rng.uniform(-bound, bound, shape)
