"""What docstrings say of a layer or loss with its own sizes and numbers, over all that are registered."""

from __future__ import annotations

import re
from typing import Any

import numpy as np
import pytest
from registered import of, rows

from dlcli.experiment import formulas
from dlcli.nn.network import Network


@pytest.mark.parametrize(("name", "example"), rows("layers"))
def test_the_formulas_of_every_layer_have_its_own_sizes(name: str, example: Any) -> None:
    network = Network([of("layers", name, example)], example.shape, dtype=np.float64)
    layer = network.layers[0]
    arrays = {
        "x": (7, *network.in_shape),
        **{k: a.shape for k, a in layer.params.items()},
        "y": (7, *network.out_shape),
    }
    told, shapes = formulas.formula(layer, arrays), formulas.shapes(arrays, layer)
    assert re.match(r"y(\[n, o\])? = ", told.forward)
    assert re.search(r"\bdx (=|by) ", told.backward)
    assert all(f"d{parameter} = " in told.backward for parameter in layer.params)
    assert not any(f"d{parameter} = " in told.backward for parameter in {"weight", "bias"} - set(layer.params))
    assert not re.search(r"[^\w'][NCHW]'?[^\w'(]", told.forward + told.backward)
    for array, shape in arrays.items():
        assert re.search(rf"\b{array}\b[^()]*{re.escape(str(shape))}", shapes)
    assert not any(text.endswith((".", ";", " ")) for text in told)


@pytest.mark.parametrize(("name", "example"), rows("losses"))
def test_the_formulas_of_every_loss_name_their_sides(name: str, example: Any) -> None:
    loss = of("losses", name, example)
    predicted, target = formulas.sides(loss)
    told = formulas.formula(loss, {predicted: (7, *example.shape), target: (7,)})
    summed = loss.reduction == "sum"
    assert told.forward.startswith("L = sum over" if summed else "L = mean over")
    assert summed or re.search(r" / (7|sum over the batch of w_t|\d+)(?![\w.])", told.backward)
    assert not (summed and re.search(r" / (7|sum over the batch of w_t)\b", told.forward + told.backward))
    assert f"dL/d{predicted}" in told.backward
    for side in (predicted, target):
        assert re.search(rf"(?<![a-z]){side}(?![a-z])", told.forward)
    assert not re.search(r"\bN\b", told.backward)


def test_formulas_follow_the_options() -> None:
    def forward(name: str, **options: Any) -> str:
        network = Network([of("layers", name, rows("layers")[0].values[1]._replace(options=options))], (4,))
        return formulas.formula(network.layers[0], {"x": (2, 4), "y": (2, 4)}).forward

    assert forward("LeakyReLU", negative_slope=0.2) == "y = x where x > 0, else 0.2 * x"
    assert "tanh(u)" in forward("GELU", approximate="tanh")
    assert "tanh(u)" not in forward("GELU")
