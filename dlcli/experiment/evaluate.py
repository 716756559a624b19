"""The engine of `eval`: a checkpoint's figures on one split, intervals, confusion matrix and worst samples."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

import numpy as np

from dlcli import runs
from dlcli.core.arena import Array
from dlcli.core.errors import (
    DataError,
    DlcliError,
    OutputError,
    ShapeError,
    quote,
)
from dlcli.data.batches import Normalizer
from dlcli.data.dataset import Access, DataInfo, Samples
from dlcli.experiment.assemble import build_metrics, build_network, load_data
from dlcli.experiment.opened import Opened
from dlcli.experiment.session import Note
from dlcli.nn.layers.flatten import Flatten
from dlcli.nn.layers.linear import Linear
from dlcli.nn.network import Network
from dlcli.runs import Run
from dlcli.training import checkpoint, journal
from dlcli.training.evaluate import Evaluation, Evaluator
from dlcli.training.metrics import wilson


@dataclass(frozen=True)
class Evaluated:
    """What `eval` reports."""

    opened: Opened
    split: str
    samples: Samples
    evaluation: Evaluation
    intervals: dict[str, tuple[float, float]]
    class_names: tuple[str, ...] | None
    has_test: bool
    comparison: dict[str, tuple[Array, Array]]
    """Generating and learned parameters by name, where the data knows them and the model is one Linear."""

    def document(self, worst: int = 0) -> dict[str, Any]:
        """The JSON of `eval --json`; what is not finite is null."""
        run = self.opened.run
        found = {
            "run": str(run.path) if run else None,
            "checkpoint": str(self.opened.path),
            "split": self.split,
            "samples": self.evaluation.samples,
            "metrics": self.metrics(),
            "intervals": {name: list(ends) for name, ends in self.intervals.items()},
            **({"worst": self.worst(worst)} if worst else {}),
        }
        return {key: journal.finite(value, key, {}) for key, value in found.items()}

    def metrics(self) -> dict[str, float]:
        """The loss and every metric."""
        return {"loss": self.evaluation.loss, **self.evaluation.values}

    def names(self) -> tuple[str, ...]:
        """What the classes are called."""
        outputs = self.evaluation.outputs
        return self.class_names or tuple(str(i) for i in range(outputs.shape[1] if outputs is not None else 0))

    def confusion(self) -> Array | None:
        """How often class i (row) was taken for class j (column); None for regression."""
        outputs, targets = self.evaluation.outputs, self.samples.targets
        if outputs is None or targets.dtype.kind not in "iu":
            return None
        k = outputs.shape[1]
        return np.bincount(targets * k + outputs.argmax(axis=1), minlength=k * k).reshape(k, k)

    @np.errstate(all="ignore")
    def worst(self, n: int) -> list[dict[str, Any]]:
        """The n samples that the network is most wrong about: `index`, `target`, `predicted`.

        Of classes, those that it gives the least probability, among the ones taken for another, whose `probability`
        is told; of values, those farthest off.
        """
        outputs, targets = self.evaluation.outputs, self.samples.targets
        if outputs is None:
            return []
        z = outputs.astype(np.float64)
        if targets.dtype.kind not in "iu":
            far = np.square(z - targets).reshape(len(z), -1).sum(axis=1)
            order = np.argsort(-far, kind="stable")[:n]
            return [{"index": int(i), "target": targets[i].tolist(), "predicted": outputs[i].tolist()} for i in order]
        z -= z.max(axis=1, keepdims=True)
        p = np.exp(z) / np.exp(z).sum(axis=1, keepdims=True)
        taken = outputs.argmax(axis=1)
        wrong = np.flatnonzero(taken != targets)
        order = wrong[np.argsort(p[wrong, targets[wrong]], kind="stable")][:n]
        names = self.names()
        return [
            {
                "index": int(i),
                "target": names[targets[i]],
                "predicted": names[taken[i]],
                "probability": float(p[i, taken[i]]),
            }
            for i in order
        ]


def restore(opened: Opened, info: DataInfo) -> tuple[Network, Normalizer]:
    """The network of a checkpoint with its values, and its normalisation."""
    network, arrays = build_network(opened.config, info), opened.snapshot.arrays
    own = {**network.params, **network.state}
    expected: dict[str, tuple[tuple[int, ...], Any]] = {name: (a.shape, a.dtype) for name, a in own.items()}
    rest = {n: (a.shape, a.dtype) for n, a in arrays.items() if n.startswith(("optim.", "data."))}
    normal = dict.fromkeys(("data.mean", "data.std"), ((), np.float64))
    checkpoint.check_fit(arrays, expected | normal | rest, str(opened.path))
    network.arena.load(arrays)
    for name, view in network.state.items():
        np.copyto(view, arrays[name])
    return network, Normalizer(arrays["data.mean"], arrays["data.std"])


def evaluate(opened: Opened, split: str | None, access: Access, threads: int, note: Note) -> Evaluated:
    """Evaluate a checkpoint on a split: `val` unless given, `train` where nothing is held out."""
    config = opened.config
    splits = load_data(config, access)
    split = split or ("val" if splits.val is not None else "train")
    samples = splits.named(split)
    changed = [n for n, sha256 in splits.files.items() if opened.snapshot.meta.get("data", {}).get(n) != sha256]
    if changed:
        note(f"warning: the data has changed since the training: {', '.join(changed[:3])}")
    _same_classes(opened, splits.info.class_names)
    network, normalizer = restore(opened, splits.info)
    _same_targets(opened, splits.info, network.out_shape)
    metrics = build_metrics(config)
    evaluator = Evaluator(network, config.loss.build(), metrics, samples, normalizer, threads)
    evaluation = evaluator.run(collect=True)
    outputs = np.asarray(evaluation.outputs)
    bad = np.count_nonzero(~np.isfinite(outputs).all(axis=tuple(range(1, outputs.ndim))))
    if bad:
        note(f"warning: the outputs for {bad:,} of {len(outputs):,} samples are not finite")
    intervals = {
        name: wilson(float(evaluation.sums[name][0]), float(evaluation.sums[name][1]))
        for name, metric in metrics.items()
        if metric.proportion
    }
    comparison = _compare(network, normalizer, splits.truth) if splits.truth else {}
    names = splits.info.class_names
    return Evaluated(opened, split, samples, evaluation, intervals, names, splits.test is not None, comparison)


def _same_classes(opened: Opened, names: tuple[str, ...] | None) -> None:
    """DataError where the classes of the data are no longer those that the outputs of the network stand for."""
    learned = opened.snapshot.meta.get("class_names")
    if learned != (names and list(names)):
        got, expected = (", ".join(map(quote, some[:6])) if some else "no names" for some in (names, learned))
        raise DataError(f"data.dataset: got the classes {got}, expected those of {opened.path}: {expected}")


def _same_targets(opened: Opened, info: DataInfo, outputs: tuple[int, ...]) -> None:
    """DataError where the targets of the data are no longer such as the network was trained on."""
    if info.classes is None and not info.target_shape:
        return
    try:
        opened.config.loss.build().check(outputs, info.classes, info.target_shape)
    except ShapeError:
        got = f"targets of shape {info.target_shape}" if info.classes is None else f"{info.classes} classes"
        raise DataError(
            f"data.dataset: got {got}, which do not fit the outputs of {opened.path}, of shape {outputs}; "
            "restore the data, or train anew"
        ) from None


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


@contextmanager
def recorded(result: Evaluated, note: Note) -> Iterator[None]:
    """Appends the evaluation to the run's evals.jsonl before it is shown: so the openings of the test split count.

    Where that fails it is shown all the same; then OutputError for the test split, a warning for the others.
    """
    run = result.opened.run
    if run is None:
        note(f"{result.opened.path}: lies in no run directory, so this evaluation is recorded nowhere")
        yield
        return
    failure = None
    try:
        _record(run, result)
    except DlcliError as error:
        failure = f"{error}; this evaluation is not recorded"
        if result.split != "test":
            note(f"warning: {failure}")
    yield
    if failure is not None and result.split == "test":
        raise OutputError(failure)


def _record(run: Run, result: Evaluated) -> None:
    row = {"time": runs.now(), **result.document(), "step": result.opened.snapshot.step}
    del row["run"]
    with journal.Journal(run.evals_file) as file:
        file.append(row)
        file.sync()
