"""The last layer of a config against its loss and targets: shapes, and whether it gives what the loss takes."""

from __future__ import annotations

from dlcli.config.components import Component
from dlcli.config.diagnosis import Diagnosis
from dlcli.config.targets import only_task
from dlcli.core.errors import ConfigError, ShapeError
from dlcli.nn.layers.repeat import Repeat
from dlcli.nn.layers.sequential import Sequential

ENDS = {
    "Linear": "logits",
    "Softmax": "probabilities",
    "Sigmoid": "probabilities",
    "LogSoftmax": "log-probabilities",
    "LogSigmoid": "log-probabilities",
}
"""What a network gives that ends with such a layer."""

LAST = {"probabilities": "Sigmoid", "log-probabilities": "LogSoftmax"}
"""The layer that makes of logits what a loss takes."""


def check_output(found: Diagnosis) -> None:
    """Add what is wrong with the last layer, or a note where it could not be checked."""
    config, info, last = found.config, found.info, found.shapes[-1]
    end = last.component
    while end.cls in (Sequential, Repeat) and end.options["layers"]:
        end = end.options["layers"][-1]
    _scale(found, end)
    if info.classes is None and not info.target_shape:
        found.notes.append("the number of classes is not known before the data is read: the last layer was not checked")
        return
    try:
        config.loss.build().check(last.out_shape, info.classes, info.target_shape)
    except ShapeError as error:
        own = config.data.dataset.name in ("Csv", "Npz", "Npy")
        either = only_task(config) is None and info.target_shape == (1,) and own
        hint = "; for classes, add a metric of classes such as accuracy" if either else ""
        found.problem(last.component.inside, f"{error}{hint}")
    except ConfigError as error:
        found.problem(config.loss.inside, str(error))


def _scale(found: Diagnosis, end: Component) -> None:
    """Whether the last layer gives what the loss takes: logits, probabilities, or their logarithms."""
    loss = found.config.loss
    takes, gives = getattr(loss.cls, "outputs", None), ENDS.get(end.name)
    if takes is None or gives is None or takes == gives:
        return
    if takes == "logits":
        holds = "sigmoid" if getattr(loss.cls, "binary", False) else "softmax"
        found.problem(end.inside, f"{end.name} before {loss.name}, which holds a {holds} already; remove this layer")
    else:
        found.problem(end.inside, f"{end.name} gives {gives}, but {loss.name} takes {takes}; end with {LAST[takes]}")
