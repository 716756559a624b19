"""The user's own table of comma-separated values."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Annotated

import numpy as np
from annotated_types import Gt, Lt

from dlcli.core.errors import ConfigError, DataError, quote, short_path
from dlcli.core.options import example
from dlcli.core.rng import stream
from dlcli.data.dataset import Access, DataInfo, Dataset, Loaded, Samples, datasets
from dlcli.data.files import read, sha256
from dlcli.data.table import Table, is_number, number, read_table

HEAD = 1 << 20
"""How much of a file is read to know its columns, in bytes."""


@datasets.register
@dataclass(kw_only=True, eq=False)
class Csv(Dataset):
    """A table with a line of column names: `target` is one column or several, every other column is an input.

    Inputs are numbers. A target of text becomes classes, in alphabetical order. A target of numbers becomes what the
    loss wants: classes (whole numbers, in order of size) or values, and several targets are always values. `test` is
    another file with the same columns, or the share of the rows that is held out as the test set, the same rows for
    every seed; without it there is no test set. Source: the format of RFC 4180, https://www.rfc-editor.org/rfc/rfc4180,
    in UTF-8.
    """

    path: str
    target: str | list[str]
    test: str | Annotated[float, Gt(0), Lt(1)] | None = None
    examples = (
        example(path="irises.csv", target="species", test=0.2),
        example(path="houses.csv", target=["price"], test="houses-test.csv"),
    )

    @property
    def targets(self) -> list[str]:
        """The names of the target columns."""
        names = [self.target] if isinstance(self.target, str) else list(self.target)
        if not names or len(set(names)) < len(names):
            raise ConfigError(f"data.dataset.Csv.target: got {quote(names)}, expected one or more different columns")
        return names

    def info(self, seed: int) -> DataInfo:
        count = len(self.targets)
        shape: tuple[int, ...] = (count,) if self.wanted == "values" or count > 1 else ()
        path = Path(self.path)
        if not path.exists():
            return DataInfo(None, None, shape, None, None)
        table = read_table(read(path, limit=HEAD), short_path(path), most=1)
        if self._has_classes(table):
            shape = ()
        inputs = tuple(self._inputs(table))
        return DataInfo((len(inputs),), None, shape, None, 0 if self.test is None else None, input_names=inputs)

    def load(self, seed: int, access: Access) -> Loaded:
        paths = [self.path, self.test] if isinstance(self.test, str) else [self.path]
        contents = [read(Path(path)) for path in paths]
        files = {path: sha256(data) for path, data in zip(paths, contents, strict=True)}
        if len(set(files.values())) < len(paths):
            raise DataError(
                f"{short_path(Path(paths[1]))}: the same content as {short_path(Path(paths[0]))}, expected other rows"
            )
        tables = [read_table(data, short_path(Path(path))) for path, data in zip(paths, contents, strict=True)]
        names, inputs = self._class_names(tables[0]), self._inputs(tables[0])
        splits = [self._samples(table, inputs, names) for table in tables]
        if isinstance(self.test, float):
            splits = split(splits[0], self.test)
        train, test = splits[0], splits[1] if len(splits) > 1 else None
        shape, classes = train.inputs.shape[1:], len(names) if names else None
        held = len(test.inputs) if test else 0
        info = DataInfo(shape, classes, train.targets.shape[1:], len(train.inputs), held, names, tuple(inputs))
        return Loaded(info, train, test, files)

    def _samples(self, table: Table, inputs: list[str], names: tuple[str, ...] | None) -> Samples:
        if extra := [name for name in table.columns if name not in inputs and name not in self.targets]:
            raise DataError(
                f"{table.where}:1: column {quote(extra[0])} is not in {short_path(Path(self.path))}; remove it"
            )
        x = table.numbers(inputs)
        if names is None:
            return Samples(x, table.numbers(self.targets))
        column = self.targets[0]
        known = {name: index for index, name in enumerate(names)}
        found = labels(table, column, numeric=is_number(names[0]))
        for row, label in enumerate(found):
            if label not in known:
                raise table.problem(row, column, f"one of the {len(known)} classes in {short_path(Path(self.path))}")
        return Samples(x, np.array([known[label] for label in found], np.int64))

    def _inputs(self, table: Table) -> list[str]:
        positions = {table.position(name) for name in self.targets}
        if len(positions) == len(table.columns):
            raise DataError(f"{table.where}:1: got only target columns, expected an input column, separated by commas")
        return [name for name in table.columns if name not in self.targets]

    def _has_classes(self, table: Table) -> bool:
        """The first row decides whether a column holds text, so that a slip further down is an error, not a class."""
        if len(self.targets) > 1:
            return False
        first = table.rows[0][table.position(self.targets[0])]
        return self.wanted == "classes" or (bool(first.strip()) and not is_number(first))

    def _class_names(self, table: Table) -> tuple[str, ...] | None:
        if not self._has_classes(table):
            return None
        column = self.targets[0]
        numeric = is_number(table.rows[0][table.position(column)])
        return tuple(sorted(set(labels(table, column, numeric)), key=int if numeric else None))


def labels(table: Table, column: str, numeric: bool) -> list[str]:
    """The labels in a column, whole numbers in one spelling; DataError where one is missing or is no whole number."""
    position = table.position(column)
    cells = [row[position].strip() for row in table.rows]
    for row, cell in enumerate(cells):
        if not cell:
            raise table.problem(row, column, "a class")
        if numeric and not (is_number(cell) and number(cell).is_integer()):
            hint = "; for other numbers use a loss on values such as MSELoss" if is_number(cell) else ""
            raise table.problem(row, column, "a class as a whole number" + hint)
    return [str(int(number(cell))) for cell in cells] if numeric else cells


def split(samples: Samples, share: float) -> list[Samples]:
    """Samples without and with the `share` that is held out: at least one each, the same rows for every seed."""
    n = len(samples.inputs)
    if n < 2:
        raise DataError("data.dataset.Csv.test: got one row, expected at least two to hold some out")
    order = stream(0, "split").permutation(n)
    held = min(max(round(n * share), 1), n - 1)
    return [Samples(*(a[np.sort(rows)] for a in samples)) for rows in (order[held:], order[:held])]
