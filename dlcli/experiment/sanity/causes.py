"""The usual causes of a training that goes wrong, in the words of the config."""

from __future__ import annotations

import numpy as np

from dlcli.config.doctor import inside
from dlcli.config.document import dotted
from dlcli.experiment.sanity.bench import Bench
from dlcli.nn.network import Network, walk

USUAL = (0.01, 10.0)
"""The size that values to learn should have, to which outputs have to grow: about 1."""

USUAL_INPUTS = (0.01, 5.0)
"""The same of inputs."""

GRADIENTS = "gradient check"
"""The check without which no other can be trusted."""


def key(bench: Bench, name: str) -> str:
    """Where the config sets the layer of that name, `3.body.0`: `model.3.Residual.body.0.Linear`."""
    first, *path = (int(part) if part.isdigit() else part for part in name.split("."))
    return dotted(inside(bench.config.model[int(first)], tuple(path)).inside)


def label(network: Network, name: str) -> str:
    """A layer as tables name it: `1 Linear`."""
    return f"{name} {type(dict(walk(network.root))[name]).__name__}"


def size(values: object) -> float:
    """The root of the mean square of an array."""
    return float(np.sqrt(np.mean(np.square(np.asarray(values, np.float64)))))


def outside(values: object, bounds: tuple[float, float]) -> bool:
    """Whether the size of these is not within the bounds."""
    low, high = bounds
    return not low <= size(values) <= high


def rate(bench: Bench) -> str:
    """The learning rate as the config writes it: `optimizer.SGD.lr (0.1)`."""
    optimizer = bench.config.optimizer
    return f"{dotted((*optimizer.inside, 'lr'))} ({optimizer.options.get('lr')})"


def cause(bench: Bench, otherwise: str) -> str:
    """What lies behind a finding: data, first values, or what an earlier check has found; else `otherwise`.

    Before all of these comes a wrong gradient, which was checked on drawn numbers and so is no matter of the data.
    """
    if GRADIENTS in bench.faults:
        return f"see {GRADIENTS}"
    x, y = bench.batch
    if not bench.of_classes and outside(y, USUAL):
        mean, deviation = float(y.mean(dtype="f8")), float(y.std(dtype="f8"))
        return f"the targets have mean {mean:.4g} and deviation {deviation:.4g}: scale them to about 1"
    if outside(x, USUAL_INPUTS):
        return f"the inputs have size {size(x):.3g}: {normalizing(bench)}"
    blank = [name for name, layer in bench.untrained.trained.items() if _blank(layer.params.values())]
    if blank:
        return f"every weight of layer {', '.join(blank)} starts at 0: change {key(bench, blank[0])}.init"
    return f"see {bench.faults[0]}" if bench.faults else otherwise


def normalizing(bench: Bench) -> str:
    """How to bring inputs to about 1."""
    if bench.config.data.normalize == "standardize":
        return "look for outliers in the data"
    return "set data.normalize: standardize"


def _blank(arrays: object) -> bool:
    weights = [a for a in arrays if a.ndim > 1]  # type: ignore[attr-defined]
    return bool(weights) and not any(w.any() for w in weights)
