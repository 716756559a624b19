"""PyTorch in eager mode on all cores, in both memory layouts, and fed by its DataLoader."""

from __future__ import annotations

from collections.abc import Iterable

import torch
from torch import Tensor, nn

from tests.benchmarks.nets import Data, Layer, Net

LAZY = {"Linear", "Conv2d", "BatchNorm2d"}
"""What has a twin in PyTorch that takes the size of its input from the first batch, as in dlcli."""


def module(layer: Layer) -> nn.Module:
    """The layer of that name with those options."""
    ((name, options),) = layer.items()
    made: nn.Module = getattr(nn, f"Lazy{name}" if name in LAZY else name)(**options)
    return made


class Eager:
    """Tensors in memory, a batch being the next rows of a permutation."""

    layout = torch.contiguous_format

    def __init__(self, net: Net, data: Data) -> None:
        self.size = net.batch
        self.x = torch.from_numpy(data.standardized()).to(memory_format=self.layout)
        self.y = torch.from_numpy(data.y)
        self.net = nn.Sequential(*map(module, net.model))
        self.net(self.x[:2])
        self.net.to(memory_format=self.layout)
        for param, value in zip(self.net.parameters(), net.weights(), strict=True):
            param.data.copy_(torch.from_numpy(value))
        self.optimizer = getattr(torch.optim, net.optimizer)(self.net.parameters(), lr=net.lr)
        self.loss = nn.CrossEntropyLoss()

    def batches(self) -> Iterable[tuple[Tensor, Tensor]]:
        """The batches of an epoch."""
        for rows in torch.randperm(len(self.y)).split(self.size):
            yield self.x[rows], self.y[rows]

    def epoch(self) -> float:
        """The mean loss of an epoch of training."""
        total = 0.0
        for x, y in self.batches():
            loss = self.loss(self.net(x), y)
            self.optimizer.zero_grad()
            loss.backward()
            self.optimizer.step()
            total += loss.item() * len(y)
        return total / len(self.y)


class ChannelsLast(Eager):
    """The channels of a pixel innermost in memory."""

    layout = torch.channels_last


class Loaded(Eager):
    """Batches put together by a DataLoader, as most programs do."""

    def batches(self) -> Iterable[tuple[Tensor, Tensor]]:
        """The batches of an epoch."""
        dataset = torch.utils.data.TensorDataset(self.x, self.y)
        return torch.utils.data.DataLoader(dataset, self.size, shuffle=True)


def contenders(net: Net) -> dict[str, type[Eager]]:
    """A layout matters to images alone."""
    layouts = {} if net.dense else {"torch eager, channels last": ChannelsLast}
    return {"torch eager": Eager, **layouts, "torch DataLoader": Loaded}
