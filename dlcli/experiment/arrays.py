"""What a user's own data set gives, checked before anything is computed with it."""

from __future__ import annotations

from typing import Any

import numpy as np

from dlcli.config.components import Component
from dlcli.core.blame import place
from dlcli.core.errors import ConfigError
from dlcli.data.dataset import Loaded
from dlcli.experiment.trial import kind, own


def check_data(component: Component, loaded: Any) -> None:
    """ConfigError, with file and line, where a user's data set gives other arrays than its info promises."""
    entry = own(component)
    if entry is None:
        return
    if not isinstance(loaded, Loaded):
        raise ConfigError(f"{place(entry)}: load gave {kind(loaded)}, expected a Loaded")
    for split, samples, count in (("train", loaded.train, loaded.info.train), ("test", loaded.test, loaded.info.test)):
        problem = _problem(loaded, *samples, count) if samples is not None else None
        if problem is not None:
            raise ConfigError(f"{place(entry)}: load gave {split} {problem}")


def _problem(loaded: Loaded, x: Any, y: Any, count: int | None) -> str | None:
    """What is wrong with one split, if anything."""
    info = loaded.info
    if not isinstance(x, np.ndarray) or x.dtype.kind not in "uif" or not x.ndim or x.shape[1:] != info.input_shape:
        return f"inputs of {kind(x)}, expected an array of numbers, each row of shape {info.input_shape}"
    if count is not None and len(x) != count:
        return f"inputs of {kind(x)}, expected {count} rows as info says"
    wanted = (len(x), *info.target_shape)
    if not isinstance(y, np.ndarray) or y.shape != wanted:
        return f"targets of {kind(y)}, expected an array of shape {wanted}"
    if info.classes is None:
        return None if y.dtype.kind in "uif" else f"targets of type {y.dtype}, expected numbers"
    if y.dtype.kind not in "ui":
        return f"targets of type {y.dtype}, expected whole numbers, the classes"
    if y.size and not 0 <= y.min() <= y.max() < info.classes:
        return f"targets from {y.min()} to {y.max()}, expected 0 to {info.classes - 1}"
    return None
