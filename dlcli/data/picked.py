"""Rows of an array that stays where it is: a split of data without a copy of it."""

from __future__ import annotations

from typing import Any

import numpy as np

from dlcli.core.arena import Array


class Picked:
    """The rows `rows` of `whole`, as far as samples need an array: they are copied as they are asked for."""

    def __init__(self, whole: Array, rows: Array) -> None:
        self.whole, self.rows = whole, rows
        self.shape, self.dtype, self.ndim = (len(rows), *whole.shape[1:]), whole.dtype, whole.ndim

    def __len__(self) -> int:
        return len(self.rows)

    def __getitem__(self, rows: Any) -> Array:
        return self.whole[self.rows[rows]]

    def __array__(self, dtype: Any = None, copy: bool | None = None) -> Array:
        return np.asarray(self[:], dtype)
