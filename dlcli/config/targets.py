"""What a config wants of targets that could be read both ways: class indices or values."""

from __future__ import annotations

from dlcli.config.schema import Config
from dlcli.data.dataset import Targets


def only_task(config: Config) -> str | None:
    """The loss's task, `classification` or `regression`; None where it takes both classes and values."""
    loss = config.loss.cls
    return None if getattr(loss, "one_hot", False) else getattr(loss, "task", None)


def wanted_targets(config: Config) -> Targets:
    """The loss decides; one that takes both leaves it to the metrics, and without those takes what it is made for.

    A user's own loss that names no task is taken for one on classes.
    """
    metrics = [getattr(metric.cls, "task", None) for metric in config.metrics]
    tasks = [only_task(config), *metrics, getattr(config.loss.cls, "task", None)]
    return "values" if next((task for task in tasks if task), None) == "regression" else "classes"
