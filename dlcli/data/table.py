"""A table of comma-separated values: a line of column names, then rows; every problem is named by line and column."""

from __future__ import annotations

import codecs
import csv
import io
import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from itertools import chain, islice

import numpy as np

from dlcli.core.arena import Array
from dlcli.core.errors import DataError, quote, suggest


@dataclass(frozen=True)
class Table:
    """The cells of a file as text."""

    where: str
    """The file, as messages name it."""
    columns: tuple[str, ...]
    rows: list[list[str]]
    lines: list[int]
    """The line of the file on which each row ends."""

    @property
    def named(self) -> bool:
        """Whether the file has a line of column names; else the columns are called 1, 2, ..."""
        return not all(map(is_number, self.columns))

    def position(self, column: str) -> int:
        """Where a column stands; DataError with the near name where there is none."""
        if column not in self.columns:
            raise DataError(f"{self.where}:1: no column {quote(column)}; {suggest(column, self.columns)}")
        return self.columns.index(column)

    def numbers(self, columns: Sequence[str]) -> Array:
        """(N, len(columns)) float64, all finite; DataError at the first cell that is no number."""
        positions = [self.position(column) for column in columns]
        result = np.empty((len(self.rows), len(positions)))
        for i, row in enumerate(self.rows):
            try:
                result[i] = [number(row[p]) for p in positions]
            except ValueError:
                wrong = next(p for p in positions if not is_number(row[p]))
                raise self.problem(i, self.columns[wrong], "a number") from None
        return result

    def problem(self, row: int, column: str, expected: str) -> DataError:
        """The error of one cell."""
        cell = self.rows[row][self.position(column)]
        got = quote(cell) if cell.strip() else "nothing"
        return DataError(f"{self.where}:{self.lines[row]}: column {quote(column)}: got {got}, expected {expected}")


def read_table(data: bytes, where: str, most: int | None = None, names: bool = True) -> Table:
    """The table in the bytes of a file, or its first `most` rows, with which the end of the data may be cut off.

    Without `names` a first line of numbers is a row, not a wrong line of names.
    DataError for text that is not UTF-8, a wrong line of names, a row of another length, and a table without rows.
    """
    try:
        text = codecs.getincrementaldecoder("utf-8-sig")().decode(data, final=most is None)
    except UnicodeDecodeError as error:
        line = data.count(b"\n", 0, error.start) + 1
        raise DataError(f"{where}:{line}: byte 0x{data[error.start]:02x} is not UTF-8, expected UTF-8 text") from error
    records = _records(text, where)
    first, cells = next(records, (1, []))
    if cells and not names and all(map(is_number, cells)):
        columns, records = tuple(str(i + 1) for i in range(len(cells))), chain([(first, cells)], records)
    else:
        columns = _header(cells, where)
    rows, lines = [], []
    for line, row in islice(records, most):
        if len(row) != len(columns):
            raise DataError(f"{where}:{line}: got {len(row)} cells, expected {len(columns)} as in line {first}")
        rows.append(row)
        lines.append(line)
    if not rows:
        raise DataError(f"{where}: got no rows, expected some below the line of column names")
    return Table(where, columns, rows, lines)


def number(text: str) -> float:
    """The finite number that `text` spells; ValueError where it spells none. Python's `1_000` is none."""
    value = float(text)
    if not math.isfinite(value) or "_" in text:
        raise ValueError(text)
    return value


def is_number(text: str) -> bool:
    """Whether `text` spells a finite number."""
    try:
        number(text)
    except ValueError:
        return False
    return True


def _records(text: str, where: str) -> Iterator[tuple[int, list[str]]]:
    """Each row with the line on which it ends; empty lines are passed over."""
    reader = csv.reader(io.StringIO(text, newline=""), strict=True)
    try:
        for row in reader:
            if row:
                yield reader.line_num, row
    except csv.Error as error:
        raise DataError(f"{where}:{reader.line_num}: {error}, expected comma-separated values") from error


def _header(cells: list[str], where: str) -> tuple[str, ...]:
    names = tuple(cell.strip() for cell in cells)
    if not names:
        raise DataError(f"{where}: got an empty file, expected a line of column names")
    for position, name in enumerate(names):
        if not name:
            raise DataError(f"{where}:1: column {position + 1} has no name, expected one; give it a name or remove it")
        if name in names[:position]:
            raise DataError(
                f"{where}:1: column {quote(name)} stands there twice ({names.index(name) + 1} and {position + 1}), "
                "expected different names"
            )
    if all(is_number(name) for name in names):
        raise DataError(f"{where}:1: got only numbers, expected a line of column names")
    return names
