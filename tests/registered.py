"""The rows of the table-driven tests: every registered component with each of its examples, built as a config would."""

from __future__ import annotations

from typing import Any

import pytest

import dlcli.nn.layers
import dlcli.nn.losses
import dlcli.optim
import dlcli.training.metrics  # noqa: F401
from dlcli.config.single import component
from dlcli.core.options import Example
from dlcli.core.registry import Registry


def build(plural: str, name: str, options: dict[str, Any]) -> Any:
    """The component of that name with options as a config gives them; ConfigError where they do not fit."""
    return component(plural, {name: options} if options else name, "example").build()


def names(plural: str) -> list[str]:
    """Every built-in component of a kind."""
    return [entry.name for entry in Registry.all[plural].entries() if entry.origin is None]


def rows(plural: str) -> list[Any]:
    """A test parameter (name, example) for every example of every built-in component of a kind."""
    registry = Registry.all[plural]
    return [
        pytest.param(name, shown, id=f"{name}-{i}")
        for name in names(plural)
        for i, shown in enumerate(registry.get(name).examples)
    ]


def of(plural: str, name: str, shown: Example, **changes: Any) -> Any:
    """The component of an example, some options changed."""
    return build(plural, name, {**shown.options, **changes})
