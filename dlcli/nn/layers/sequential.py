"""Layers one after the other."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

from dlcli.core.arena import Array
from dlcli.core.errors import ShapeError
from dlcli.core.options import example
from dlcli.nn.layer import Layer, Shape, layers


class Chain(Layer):
    """y = f_n(... f_2(f_1(x))) over the layers in `chain`, which a subclass fills."""

    chain: list[Layer]

    def children(self) -> dict[str, Layer]:
        return {str(i): layer for i, layer in enumerate(self.chain)}

    def setup(self, in_shape: Shape) -> Shape:
        shape, needed = in_shape, self.needs_input_grad
        for i, layer in enumerate(self.chain):
            layer.needs_input_grad = needed
            try:
                shape = layer.setup(shape)
            except ShapeError as error:
                raise error.inside(i) from None
            needed = needed or layer.learns()
        return shape

    def forward(self, x: Array, training: bool) -> Array:
        for layer in self.chain:
            x = layer.forward(x, training)
        return x

    def backward(self, dy: Array) -> Array | None:
        passed: Array | None = dy
        for layer in reversed(self.chain):
            if passed is None:
                return None
            passed = layer.backward(passed)
        return passed

    def flops(self) -> int:
        return sum(layer.flops() for layer in self.chain)

    def backward_flops(self) -> int:
        return sum(layer.backward_flops() for layer in self.chain)

    def activations(self) -> int:
        return 0


@layers.register
@dataclass(eq=False)
class Sequential(Chain):
    """y = f_n(... f_2(f_1(x)))

    x (N, *in_shape), y (N, *out_shape of the last layer).  dx by the chain rule, from the last layer to the first.

    Source: https://docs.pytorch.org/docs/stable/generated/torch.nn.Sequential.html
    """

    layers: list[Layer]

    complex_step: ClassVar[bool] = True
    examples: ClassVar = (
        example((5,), layers=[{"Linear": {"out_features": 4}}, "Tanh", {"Linear": {"out_features": 3}}]),
    )

    def __post_init__(self) -> None:
        self.chain = self.layers


@dataclass(eq=False)
class Part(Sequential):
    """A list of layers inside another container, such as the body of a Residual; empty, it is the identity."""
