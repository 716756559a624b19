"""The config doctor: how the parts of a config fit together, told before any data is touched or memory taken."""

from __future__ import annotations

import math
from collections.abc import Iterator
from typing import Any

from dlcli.config.advice import advise
from dlcli.config.components import Component, below
from dlcli.config.diagnosis import Diagnosis, LayerShape
from dlcli.config.document import dotted
from dlcli.config.memory import check_counts, check_memory
from dlcli.config.output import check_output
from dlcli.config.schema import NAME, NAME_WORDS, Config
from dlcli.config.targets import only_task, wanted_targets
from dlcli.core.blame import refusal
from dlcli.core.errors import ConfigError, ShapeError, quote, suggest
from dlcli.core.options import Length
from dlcli.data.dataset import DataInfo, Dataset
from dlcli.nn.layer import Layer
from dlcli.nn.layers.repeat import Repeat
from dlcli.nn.network import walk


def diagnose(config: Config, info: DataInfo | None = None) -> Diagnosis:
    """Check how the parts of `config` fit; nothing is loaded and no parameter takes memory.

    `info` is what loading the data has told, where that is done already; by default what is known without the data.
    Raises DataError where the header of a user's file is wrong; everything else is in the diagnosis.
    """
    task = only_task(config)
    found = Diagnosis(config, info or _info(config))
    _names(found)
    _metrics(found, task)
    _sizes(found)
    _lengths(found)
    _task(found, task)
    _augment(found)
    _shapes(found)
    if found.shapes and not found.problems:
        check_output(found)
        check_memory(found)
    if not found.problems:
        advise(found)
    return found


def _info(config: Config) -> DataInfo:
    dataset: Dataset = config.data.dataset.build()
    try:
        return dataset.with_targets(wanted_targets(config)).info(config.seed)
    except ConfigError as error:
        where = config.document.where(config.data.dataset.path)
        raise ConfigError(*(f"{where}: {problem}" for problem in error.problems)) from None


def _layers(config: Config) -> Iterator[Component]:
    return (c for layer in config.model for c in layer.walk() if c.kind == "layers")


def _names(found: Diagnosis) -> None:
    """The names of layers: well formed, each once."""
    seen: dict[str, str] = {}
    for layer in _layers(found.config):
        name, path = layer.options.get("name"), (*layer.inside, "name")
        if name is None:
            continue
        if not NAME.fullmatch(name):
            found.problem(path, f"got {quote(name)}, expected {NAME_WORDS}")
        elif name in seen:
            found.problem(path, f"got {quote(name)}, which is the name of {seen[name]} already; choose another")
        seen.setdefault(name, dotted(layer.path))


def _metrics(found: Diagnosis, task: str | None) -> None:
    """Metrics that suit the loss (or the data, where the loss takes both), and a monitor that is logged."""
    config, info = found.config, found.info
    learned = task or ("classification" if info.classes else "regression" if info.target_shape else None)
    names = [metric.name for metric in config.metrics]
    for i, metric in enumerate(config.metrics):
        wants = getattr(metric.cls, "task", None)
        if wants and learned and wants != learned:
            what = {"classification": "classes", "regression": "values"}
            teacher = f"{config.loss.name} learns" if task else f"{config.data.dataset.name} has"
            found.problem(metric.path, f"{metric.name} measures {what[wants]}, but {teacher} {what[learned]}")
        if metric.name in names[:i]:
            found.problem(metric.path, f"{metric.name} is in the list already; remove one of them")
    splits = ["val", "train"] if config.data.validation else ["train"]
    numbers = [metric.name for metric in config.metrics if getattr(metric.cls, "scalar", True)]
    logged = [f"{split}.{name}" for split in splits for name in ("loss", *numbers)]
    monitor = config.train.monitor or ""
    if monitor not in logged:
        absent = (
            "; nothing is held out (data.validation is 0)" if monitor.startswith("val.") and "val" not in splits else ""
        )
        found.problem(
            ("train", "monitor"), f"got {quote(monitor)}, which is not logged{absent}; {suggest(monitor, logged)}"
        )


def _sizes(found: Diagnosis) -> None:
    """Samples, batches and steps."""
    data, n = found.config.data, found.info.train
    if n is None:
        found.notes.append(
            "the number of training samples is not known before the data is read: batches were not checked"
        )
        return
    held = data.validation if isinstance(data.validation, int) else round(data.validation * n)
    found.train = n - held
    if found.train < 1:
        found.problem(
            ("data", "validation"),
            f"got {data.validation}, which leaves nothing of {n:,} training samples; hold out fewer",
        )
        return
    if data.validation and not held:
        found.problem(
            ("data", "validation"),
            f"got {data.validation}, which is less than one of {n:,} training samples; hold out more, or 0 for none",
        )
    if data.drop_last and data.batch_size > found.train:
        found.problem(
            ("data", "batch_size"),
            f"got {data.batch_size:,} with drop_last, which leaves no batch of "
            f"{found.train:,} training samples; use at most that",
        )
        return
    batches = found.train // data.batch_size if data.drop_last else math.ceil(found.train / data.batch_size)
    found.steps_per_epoch = math.ceil(batches / found.config.train.accumulate)


def _lengths(found: Diagnosis) -> None:
    """Lengths of the schedule that the run does not reach."""
    schedule, epochs = found.config.schedule, found.config.train.epochs
    for name, value in schedule.options.items() if schedule else ():
        for length in value if isinstance(value, list) else [value]:
            if isinstance(length, Length) and _beyond(found, length):
                found.problem(
                    (*schedule.inside, name) if schedule else (),
                    f"got {quote(str(length))}, which is longer "
                    f"than the run ({Length(epochs, 'epoch')}); shorten it or raise train.epochs",
                )


def _beyond(found: Diagnosis, length: Length) -> bool:
    epochs, per_epoch = found.config.train.epochs, found.steps_per_epoch
    limit = {"epoch": epochs, "%": 100, "step": epochs * per_epoch if per_epoch else math.inf}.get(
        length.unit, math.inf
    )
    return length.value > limit


def _task(found: Diagnosis, task: str | None) -> None:
    """Classes for a loss on classes, values for one on values."""
    info, loss, dataset = found.info, found.config.loss, found.config.data.dataset.name
    if task == "classification" and info.classes is None and info.target_shape:
        found.problem(
            loss.path,
            f"{loss.name} learns classes, but {dataset} has values of shape {info.target_shape} "
            "as targets; use a loss on values such as MSELoss",
        )
    if task == "regression" and info.classes is not None:
        found.problem(
            loss.path,
            f"{loss.name} learns values, but {dataset} has {info.classes} classes as targets; "
            "use a loss on classes such as CrossEntropyLoss",
        )


def _augment(found: Diagnosis) -> None:
    """Augmentations against the shape of a sample."""
    for component in found.config.data.augment if found.info.input_shape is not None else ():
        try:
            component.build().check(found.info.input_shape)
        except Exception as error:  # a user's check may raise anything
            found.problem(component.inside, refusal(error))


def _shapes(found: Diagnosis) -> None:
    """The chain of shapes from the input to the output."""
    shape = found.info.input_shape
    if shape is None:
        found.notes.append("the data's file is not there: shapes were not checked")
        return
    if 0 in shape:  # no layer is to blame for empty samples: reading the data will tell
        return
    learns = False
    for component in found.config.model:
        layer: Layer = component.build()
        try:
            before, shape = shape, tuple(layer.setup(shape))
            whole = [layer, *(inner for _, inner in walk(layer))]
            check_counts(layer)
            parameters = sum(math.prod(s.shape) for inner in whole for s in inner.specs)
            activations = sum(inner.activations() for inner in whole)
        except Exception as error:  # a user's methods may raise anything, or give what nothing can be done with
            path = error.path if isinstance(error, ShapeError) else ()
            found.problem(inside(component, path).inside, f"{refusal(error)}{_chain(found)}")
            return
        learns = learns or layer.learns()
        found.shapes.append(LayerShape(component, before, shape, parameters, activations))
        _shortest(found, component, max(inner.fewest for inner in whole))
    if not learns:
        found.problem(("model",), "no layer has a parameter to train; add one such as Linear")


def _shortest(found: Diagnosis, component: Component, fewest: int) -> None:
    """The shortest batch of an epoch against what a layer needs to train on."""
    size, n = found.config.data.batch_size, max(0, found.train or 0)
    if min(size, n or size) < fewest:
        found.problem(component.inside, f"trains on batches of {fewest} samples or more; raise data.batch_size")
    elif 0 < n % size < fewest and not found.config.data.drop_last:
        found.problem(
            component.inside,
            f"trains on batches of {fewest} samples or more, but {n:,} samples in batches of {size:,} leave one of "
            f"{n % size}; set data.drop_last: true, or another data.batch_size",
        )


def inside(component: Component, path: tuple[int | str, ...]) -> Component:
    """The component at the end of a layer's path (`(1,)`, `("body", 0)`) through containers."""
    place: Any = None
    for part in path:
        if place is None:
            lists = [v for v in component.options.values() if isinstance(v, list) and list(below(v))]
            place = component.options.get(part) if isinstance(part, str) else lists[0] if lists else None
            if isinstance(part, str) or component.cls is Repeat:  # whose copies the config writes once
                continue
        if place is None:
            break
        place = place[part]
        if isinstance(place, Component):
            component, place = place, None
    return component


def _chain(found: Diagnosis) -> str:
    """The last shapes before a wrong one, input first."""
    steps = [f"{s.component.name} {s.out_shape}" for s in found.shapes]
    shown = [f"input {found.info.input_shape}", *steps[-3:]]
    if len(steps) > 3:
        shown.insert(1, "...")
    return f" (shapes: {' -> '.join(shown)})"
