"""The user's own arrays in a NumPy archive."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Annotated

import numpy as np

from dlcli.core.arena import Array
from dlcli.core.errors import ConfigError, DataError, short_path
from dlcli.core.options import Count, example
from dlcli.data.dataset import Access, DataInfo, Dataset, Loaded, Samples, Targets, datasets
from dlcli.data.files import read, sha256
from dlcli.data.npz import Archive, opened

MAX_CLASSES = 1 << 20
"""More classes than that are a mistake in the labels."""


@datasets.register
@dataclass(kw_only=True, eq=False)
class Npz(Dataset):
    """Arrays of a NumPy archive as `numpy.savez` writes it: inputs (N, ...) and targets (N,) or (N, T).

    Without the two test arrays there is no test set. For a loss on classes targets are whole numbers from 0 (the number
    of classes is the highest one + 1, or `classes`), else values. Inputs that are neither bytes nor floats become
    float64. Pickled objects are refused. Source: the NumPy enhancement proposal 1,
    https://numpy.org/neps/nep-0001-npy-format.html.
    """

    path: str
    x_train: Annotated[str, "the array of training inputs"] = "x_train"
    y_train: Annotated[str, "the array of their targets"] = "y_train"
    x_test: Annotated[str | None, "the array of test inputs"] = "x_test"
    y_test: Annotated[str | None, "the array of their targets"] = "y_test"
    classes: Count | None = None
    examples = (example(path="data.npz"), example(path="data.npz", x_train="x", y_train="y", x_test=None, y_test=None))

    def info(self, seed: int) -> DataInfo:
        path = Path(self.path)
        regression = self.wanted == "values"
        if not path.exists():
            return DataInfo(None, None if regression else self.classes, (1,) if regression else (), None, None)
        with opened(read(path), short_path(path)) as archive:
            pairs = [(archive.shape(x), archive.shape(y)) for x, y in self._names(archive)]
        (x, y), test = pairs[0], pairs[1][0] if len(pairs) > 1 else (0,)
        if len(x) < 2 or not x[0]:
            raise DataError(f"{short_path(path)}: {self.x_train}: got shape {x}, expected (N, ...) with N samples")
        return DataInfo(
            x[1:],
            None if regression else self.classes,
            (y[1:] or (1,)) if regression else (),
            x[0],
            test[0] if test else 0,
            image=len(x) > 2,
        )

    def load(self, seed: int, access: Access) -> Loaded:
        where = short_path(Path(self.path))
        data = read(Path(self.path))
        with opened(data, where) as archive:
            pairs = [
                (archive.array(x), archive.array(y), f"{where}: {x}", f"{where}: {y}") for x, y in self._names(archive)
            ]
        kind = np.float64 if self.wanted == "values" else np.int64
        samples = [
            Samples(check_inputs(x, at), check_targets(y, y_at, self.wanted, self.classes).astype(kind, copy=False))
            for x, y, at, y_at in pairs
        ]
        return loaded(samples, self._wanted_names(), where, self.wanted, self.classes, {self.path: sha256(data)})

    def _wanted_names(self) -> list[tuple[str, str]]:
        """(inputs, targets) of training and of the test, as the options name them."""
        if (self.x_test is None) != (self.y_test is None):
            raise ConfigError("data.dataset.Npz: got one of x_test and y_test as null, expected both or none")
        names = [(self.x_train, self.y_train)]
        return names if self.x_test is None or self.y_test is None else [*names, (self.x_test, self.y_test)]

    def _names(self, archive: Archive) -> list[tuple[str, str]]:
        """The same, without the test where the archive has none and the options did not ask for it by another name."""
        names = self._wanted_names()
        missing = not {"x_test", "y_test"} & set(archive.names)
        return names[:1] if missing and names[-1] == ("x_test", "y_test") else names


def check_targets(y: Array, where: str, wanted: Targets, classes: int | None) -> Array:
    """Whole numbers from 0 as they are where classes are wanted, else values (N, T) in float64; DataError."""
    if y.size == 0 or y.ndim not in ((1,) if wanted == "classes" else (1, 2)):
        raise DataError(f"{where}: got shape {y.shape}, expected (N,) for classes, (N,) or (N, T) for values")
    if wanted == "values":
        return _finite(y.astype(np.float64), where).reshape(len(y), -1)
    if y.dtype.kind == "f":
        raise DataError(
            f"{where}: got {y.dtype} targets, expected whole numbers as classes; "
            "store integers, or use a loss on values such as MSELoss"
        )
    top = classes - 1 if classes else MAX_CLASSES - 1
    wrong = np.flatnonzero((y < 0) | (y > top)) if y.dtype != bool else np.empty(0, np.int64)
    if wrong.size:
        raise DataError(f"{where}: got label {y[wrong[0]]} at index {wrong[0]}, expected 0 to {top}")
    return y.view(np.uint8) if y.dtype == bool else y


def loaded(
    pairs: list[Samples],
    names: list[tuple[str, str]],
    where: str,
    wanted: Targets,
    classes: int | None,
    files: dict[str, str],
) -> Loaded:
    """The training samples, and those of the test where there are two pairs, whose arrays have these names.

    DataError where the numbers or the shapes of the samples differ that have to agree.
    """
    for (x, y), (inputs, targets) in zip(names, pairs, strict=False):
        if len(inputs) != len(targets):
            raise DataError(f"{where}: got {len(inputs)} samples in {x} and {len(targets)} in {y}, expected as many")
    train, test = pairs[0], pairs[1] if len(pairs) > 1 else None
    if test is not None and [a.shape[1:] for a in train] != [a.shape[1:] for a in test]:
        raise DataError(f"{where}: training and test samples differ in shape, expected the same")
    if wanted == "classes":
        classes = classes or 1 + max(int(samples.targets.max()) for samples in pairs)
    shape = train.inputs.shape[1:]
    held = len(test.inputs) if test is not None else 0
    known = classes if wanted == "classes" else None
    info = DataInfo(shape, known, train.targets.shape[1:], len(train.inputs), held, image=len(shape) > 1)
    return Loaded(info, train, test, files)


def check_inputs(x: Array, where: str) -> Array:
    """(N, ...) uint8 or finite floats."""
    check_samples(x.shape, where)
    return numeric(x, where)


def check_samples(shape: tuple[int, ...], where: str) -> None:
    """DataError unless that is the shape of samples."""
    if len(shape) < 2 or 0 in shape:
        raise DataError(
            f"{where}: got shape {shape}, expected (N, ...) with N samples; reshape a single column to (N, 1)"
        )


def numeric(x: Array, where: str) -> Array:
    """Bytes and finite floats as they are, other numbers as float64."""
    if x.dtype.kind == "f":
        return _finite(x, where)
    return x if x.dtype == np.uint8 else x.astype(np.float64)


def _finite(a: Array, where: str) -> Array:
    wrong = np.argwhere(~np.isfinite(a))
    if len(wrong):
        place = tuple(wrong[0].tolist())
        raise DataError(f"{where}: got {a[place]} at {list(place)}, expected finite numbers")
    return a
