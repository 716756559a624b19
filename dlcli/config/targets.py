"""What a config wants of targets that could be read both ways: class indices or values."""

from __future__ import annotations

from dlcli.config.schema import Config
from dlcli.data.dataset import Targets


def wanted_targets(config: Config) -> Targets:
    """The loss decides; a loss for both (a user's own, say) leaves it to the metrics, and these to classes."""
    tasks = [getattr(component.cls, "task", None) for component in (config.loss, *config.metrics)]
    return "values" if next((task for task in tasks if task), None) == "regression" else "classes"
