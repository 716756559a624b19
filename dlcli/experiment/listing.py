"""The engine of `runs list` and `runs show`: what the files of runs say, read while others may be writing them."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any, TypeVar

from dlcli import runs
from dlcli.config.resolved import differences, flow
from dlcli.config.yamlfile import parse
from dlcli.core import fsio
from dlcli.core.errors import CheckpointError, DlcliError, UsageError, quote, suggest
from dlcli.core.records import figures
from dlcli.core.registry import Registry
from dlcli.experiment.session import Note
from dlcli.runs import Run
from dlcli.training import checkpoint
from dlcli.training.metrics import better

T = TypeVar("T")


@dataclass(frozen=True)
class Row:
    """One run in the list."""

    run: Run
    status: str
    started: str | None
    seconds: float | None
    set: dict[str, Any]
    """The config keys in which the listed runs differ, with this run's values."""
    best: dict[str, Any] | None
    metrics: dict[str, Any]
    loss: list[float | None]
    test: list[dict[str, Any]]
    """The openings of the test split."""

    def document(self) -> dict[str, Any]:
        """One element of `runs list --json`."""
        return {
            "run": str(self.run.path),
            "status": self.status,
            "started": self.started,
            "seconds": self.seconds,
            "set": self.set,
            "best": self.best,
            "metrics": self.metrics,
            "test": self.test,
        }


@dataclass(frozen=True)
class Detail:
    """One run in full."""

    row: Row
    facts: dict[str, Any]
    config: str
    epochs: list[dict[str, Any]]
    checkpoints: list[str]
    evaluations: list[dict[str, Any]]
    layers: dict[str, Any]
    """The step at which figures of single layers were last taken, and those by their full names; or nothing."""

    def document(self) -> dict[str, Any]:
        """The JSON of `runs show --json`."""
        config = parse(self.config, str(self.row.run.config_file)).value
        own = {"facts": self.facts, "config": config, "epochs": self.epochs, "evaluations": self.evaluations}
        return {**self.row.document(), "checkpoints": self.checkpoints, **own, "layers": self.layers}


def overview(names: list[str], parent: Path, sort: str, note: Note) -> list[Row]:
    """The runs of those names, or all, sorted; a run whose files are damaged gives a note and what is left of it."""
    found = [runs.find(name, parent) for name in names] if names else runs.all_runs(parent)
    configs = [_config(run) for run in found]
    first: dict[Any, dict[str, Any]] = {}
    keys: set[str] = set()
    for config in configs:
        # Without a choice of runs, those of one name are compared: what a sweep has varied, not all that differs.
        reference = first.setdefault(None if names else str(config.get("name")), config)
        keys |= {key for key, _, _ in differences(reference, config) if key != "name"}
    rows = [
        _row(run, {key: _at(config, key) for key in sorted(keys)}, note)
        for run, config in zip(found, configs, strict=True)
    ]
    return _sorted(rows, sort)


def detail(run: Run) -> Detail:
    """Everything that the files of one run say."""
    facts, epochs, evaluations = run.facts(), run.epochs(), run.evaluations()
    run.summary()  # here damage is an error, not a note
    names = [path.name for _, path in checkpoint.steps(run.checkpoints)]
    if (run.checkpoints / checkpoint.BEST).exists():
        names.append(checkpoint.BEST)
    layers = next((row for row in map(_of_layers, reversed(run.metrics())) if row), {})
    return Detail(_row(run, {}, lambda line: None), facts, _text(run), epochs, names, evaluations, layers)


def _of_layers(row: dict[str, Any]) -> dict[str, Any]:
    """The figures of single layers in a line of metrics.jsonl, with its step; nothing where it has none."""
    found = {
        key: value
        for key, value in row.items()
        if key.startswith("layer.") and (value is None or isinstance(value, (int, float)))
    }
    return {"step": row["step"], **found} if found else {}


def short(value: Any) -> str:
    """A config value for a table."""
    text = flow(value) if value != "" else "-"
    return text if len(text) <= 24 else text[:21] + "..."


def _row(run: Run, different: dict[str, Any], note: Note) -> Row:
    facts = _left(run.facts, {"status": "failed"}, note)
    summary = _left(run.summary, None, note) or {}
    none: list[dict[str, Any]] = []
    epochs, evaluations = _left(run.epochs, none, note), _left(run.evaluations, none, note)
    last = epochs[-1] if epochs else {}
    return Row(
        run,
        run.status(facts),
        facts.get("start"),
        summary.get("seconds", last.get("seconds")),
        different,
        summary.get("best") or _best(run, epochs),
        summary.get("metrics", figures(last)),
        [row.get("val.loss", row.get("train.loss")) for row in epochs],
        [row for row in evaluations if row["split"] == "test"],
    )


def _left(read: Callable[[], T], instead: T, note: Note) -> T:
    """What a file of a run says; where it is damaged a note, and `instead`."""
    try:
        return read()
    except CheckpointError as error:
        note(str(error))
        return instead


def _best(run: Run, epochs: list[dict[str, Any]]) -> dict[str, Any] | None:
    """The best value so far of what a run that is not complete goes by."""
    metric = str(_at(_config(run), "train.monitor"))
    values = [(row[metric], row["step"]) for row in epochs if row.get(metric) is not None]
    if not values:
        return None
    value, step = (max if better(metric) == "max" else min)(values, key=lambda pair: pair[0])
    return {"metric": metric, "value": value, "step": step}


def _config(run: Run) -> dict[str, Any]:
    """The resolved config as plain data; `{}` where it cannot be read."""
    try:
        found = parse(_text(run), str(run.config_file)).value
    except DlcliError:
        return {}
    return found if isinstance(found, dict) else {}


def _text(run: Run) -> str:
    return fsio.read_regular(run.config_file, 1 << 20, CheckpointError).decode("utf-8", "replace")


def _at(config: Any, key: str) -> Any:
    for part in key.split("."):
        if isinstance(config, list):
            config = config[int(part)] if part.isdecimal() and int(part) < len(config) else None
        else:
            config = config.get(part) if isinstance(config, dict) else None
    return config


def _sorted(rows: list[Row], key: str) -> list[Row]:
    """Ascending, but figures with the best first, each monitor's by itself; runs without the value stand last."""
    keys = {name for row in rows for name in row.set}
    # The name of a component may be left out: optimizer.lr is optimizer.SGD.lr and optimizer.Adam.lr.
    meant = [name for name in sorted(keys) if key in (name, _without_components(name))]

    def value(row: Row) -> Any:
        known = {"start": row.started, "seconds": row.seconds, "best": (row.best or {}).get("value")}
        of_config = next((row.set[name] for name in meant if row.set[name] is not None), None)
        return known.get(key, row.metrics.get(key, of_config))

    if rows and all(value(row) is None for row in rows):
        names = {"start", "seconds", "best", *(name for row in rows for name in row.metrics), *keys}
        if key in names or meant:
            raise UsageError(f"--sort: {quote(key)} is not known, or not finite, in any run; sort by another")
        raise UsageError(f"--sort: no run has {quote(key)}; {suggest(key, names)}")
    have, have_not = [r for r in rows if value(r) is not None], [r for r in rows if value(r) is None]
    numbers = all(isinstance(value(r), (int, float)) for r in have)

    def order(row: Row) -> tuple[str, Any]:
        figure = str(row.best["metric"]) if key == "best" and row.best else key
        if not numbers:
            return figure, str(value(row))
        return figure, -value(row) if better(figure) == "max" else value(row)

    return sorted(have, key=order) + have_not


def _without_components(key: str) -> str:
    """A config key without the names of components in it: `optimizer.lr` for `optimizer.SGD.lr`."""
    return ".".join(part for part in key.split(".") if not any(part in registry for registry in Registry.all.values()))
