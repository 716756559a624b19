"""A config read and diagnosed, before anything that only training needs is imported."""

from __future__ import annotations

from collections.abc import Callable, Sequence

from dlcli.config.diagnosis import Diagnosis
from dlcli.config.doctor import diagnose
from dlcli.config.load import load_config
from dlcli.config.schema import Config


def prepare(source: str, overrides: Sequence[str], note: Callable[[str], None]) -> tuple[Config, Diagnosis]:
    """A config that has been read and diagnosed; its warnings and notes go to `note`."""
    config = load_config(source, overrides)
    diagnosis = diagnose(config).check()
    for line in diagnosis.warning_lines():
        note(f"warning: {line}")
    return config, diagnosis
