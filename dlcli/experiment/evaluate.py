"""The engine of `eval`: checkpoints, alone or as an ensemble, measured on one split."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from dlcli.config.schema import Config
from dlcli.core.arena import Array
from dlcli.data.batches import Normalizer
from dlcli.data.dataset import Access
from dlcli.experiment.assemble import EMA, build_metrics, build_network, learned, load_learned
from dlcli.experiment.ensemble import together
from dlcli.experiment.evaluated import Evaluated, Figures
from dlcli.experiment.opened import Opened
from dlcli.experiment.requirement import Requirement
from dlcli.experiment.session import Note
from dlcli.experiment.split import load_split
from dlcli.nn.layers.flatten import Flatten
from dlcli.nn.layers.linear import Linear
from dlcli.nn.network import Network
from dlcli.training import checkpoint
from dlcli.training.evaluate import Evaluator
from dlcli.training.metrics import Metric, metrics

OF_CLASSES = ("accuracy", "top_k_accuracy", "balanced_accuracy", "f1", "log_loss", "brier", "calibration_error")
OF_VALUES = ("rmse", "mae", "r2")
"""What is measured whatever the config lists."""

MANY = 5
"""With more classes than that a sample counts for `top_k_accuracy` if its class is among so many; else among two."""


def restore(opened: Opened) -> tuple[Network, Normalizer]:
    """The network of a checkpoint with its values, averaged where `train.ema` is set, and its normalisation."""
    network, arrays = build_network(opened.config, opened.info), opened.snapshot.arrays
    prefix = EMA if opened.config.train.ema is not None else ""
    own = learned(network) | learned(network, prefix)
    expected: dict[str, tuple[tuple[int, ...], Any]] = {name: (a.shape, a.dtype) for name, a in own.items()}
    rest = {n: (a.shape, a.dtype) for n, a in arrays.items() if n.startswith(("optim.", "data."))}
    normal = dict.fromkeys(("data.mean", "data.std"), ((), np.float64))
    checkpoint.check_fit(arrays, expected | normal | rest, str(opened.path))
    load_learned(network, arrays, prefix)
    return network, Normalizer(arrays["data.mean"], arrays["data.std"])


def reported(config: Config, classes: int | None) -> dict[str, Metric]:
    """The metrics by name that give a number: those of the config, then what is always measured."""
    found = build_metrics(config)
    for name in OF_CLASSES if classes else OF_VALUES:
        if name not in found and not (name == "top_k_accuracy" and classes == 2):
            options = {"k": MANY if classes and classes > MANY else 2} if name == "top_k_accuracy" else {}
            found[name] = metrics.get(name)(**options)
    return found


def evaluate(
    members: list[Opened],
    name: str | None,
    access: Access,
    threads: int,
    note: Note,
    required: Sequence[Requirement] = (),
) -> Evaluated:
    """Evaluate checkpoints, several of them as one, on a split: `val` unless given, `train` where nothing is held out.

    UsageError where a figure is required that there is not, before anything is evaluated.
    """
    split = load_split(members, name, access, note)
    measured = reported(members[0].config, split.info.classes)
    for requirement in required:
        requirement.known(measured if len(members) > 1 else ["loss", *measured])
    networks = [restore(opened) for opened in members]
    found = []
    for opened, (network, normalizer) in zip(members, networks, strict=True):
        loss = opened.config.loss.build()
        found.append(Evaluator(network, loss, measured, split.samples, normalizer, threads).run(collect=True))
    own = [Figures.of({"loss": e.loss} | e.values, e.sums, measured) for e in found]
    outputs = together([np.asarray(e.outputs) for e in found], bool(split.info.classes))
    note_broken(outputs, note)
    figures = own[0] if len(own) == 1 else _figures(outputs, split.samples.targets, measured)
    comparison = _compare(*networks[0], split.truth) if split.truth and len(members) == 1 else {}
    return Evaluated(members, own, figures, split, outputs, comparison)


@np.errstate(all="ignore")
def _figures(outputs: Array, targets: Array, measured: Mapping[str, Metric]) -> Figures:
    """The figures of an ensemble. It has no loss of its own: its members may differ in it."""
    sums = {name: metric.sums(outputs, targets) for name, metric in measured.items()}
    return Figures.of({name: float(metric.value(sums[name])) for name, metric in measured.items()}, sums, measured)


def broken(outputs: Array) -> str | None:
    """What to say where outputs (N, ...) are not finite, so that a figure may count them as anything."""
    bad = np.count_nonzero(~np.isfinite(outputs).all(axis=tuple(range(1, outputs.ndim))))
    return f"the outputs for {bad:,} of {len(outputs):,} samples are not finite" if bad else None


def note_broken(outputs: Array, note: Note) -> None:
    """A warning where outputs (N, ...) are not finite."""
    what = broken(outputs)
    if what is not None:
        note(f"warning: {what}")


def _compare(network: Network, normalizer: Normalizer, truth: Mapping[str, Array]) -> dict[str, tuple[Array, Array]]:
    """The generating parameters beside the learned ones, the normalisation folded in: w / std, b - w . mean / std."""
    learned = [layer for layer in network.layers if not isinstance(layer, Flatten)]
    if (
        len(learned) != 1
        or not isinstance(learned[0], Linear)
        or learned[0].params["weight"].shape != truth["weight"].shape
    ):
        return {}
    params = {name: a.astype(np.float64) for name, a in learned[0].params.items()}
    weight = params["weight"] / normalizer.std
    found = {
        "weight": weight,
        "bias": params.get("bias", 0.0) - weight @ np.broadcast_to(normalizer.mean, weight.shape[1:]),
    }
    return {name: (np.asarray(value, np.float64), found[name]) for name, value in truth.items() if name in found}
