"""The user's own arrays in npy files, which may be larger than the memory: rows are read as batches need them."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from dlcli.core.arena import Array
from dlcli.core.errors import ConfigError, short_path
from dlcli.core.options import Count, example
from dlcli.data.dataset import Access, DataInfo, Dataset, Loaded, Samples, datasets
from dlcli.data.files import fingerprint
from dlcli.data.npz import map_npy
from dlcli.data.npz_data import check_samples, check_targets, loaded


@datasets.register
@dataclass(kw_only=True, eq=False)
class Npy(Dataset):
    """Arrays in npy files as `numpy.save` writes them, which stay on disk: inputs (N, ...) and targets (N,) or (N, T).

    Each is the path of a file with one array of numbers, stored row by row; `numpy.lib.format.open_memmap` writes one
    piece by piece. Without the two test files there is no test set. For a loss on classes targets are whole numbers
    from 0 (the number of classes is the highest one + 1, or `classes`), else values, which are read into memory. The
    files have to stay as they are while they are in use. Of a file beyond 2 GiB a run records, after `sampled:`, the
    sha256 of its size and of 1024 samples of 64 kB. Source: the NumPy enhancement proposal 1,
    https://numpy.org/neps/nep-0001-npy-format.html.
    """

    x_train: str
    y_train: str
    x_test: str | None = None
    y_test: str | None = None
    classes: Count | None = None
    examples = (
        example(x_train="x.npy", y_train="y.npy"),
        example(x_train="x.npy", y_train="y.npy", x_test="x_test.npy", y_test="y_test.npy", classes=10),
    )

    def info(self, seed: int) -> DataInfo:
        regression = self.wanted == "values"
        classes = None if regression else self.classes
        paths = [Path(name) for pair in self._pairs() for name in pair]
        if not all(path.exists() for path in paths):
            return DataInfo(None, classes, (1,) if regression else (), None, None)
        x, y, *test = (map_npy(path).shape for path in paths)
        check_samples(x, short_path(paths[0]))
        target_shape = (y[1:] or (1,)) if regression else ()
        return DataInfo(x[1:], classes, target_shape, x[0], test[0][0] if test else 0, image=len(x) > 2)

    def load(self, seed: int, access: Access) -> Loaded:
        pairs = self._pairs()
        samples = [Samples(_inputs(Path(x)), self._targets(Path(y))) for x, y in pairs]
        files = {name: fingerprint(Path(name)) for pair in pairs for name in pair}
        return loaded(samples, pairs, "data.dataset.Npy", self.wanted, self.classes, files)

    def _pairs(self) -> list[tuple[str, str]]:
        """(inputs, targets) of training and, where there is one, of the test."""
        if self.x_test is None and self.y_test is None:
            return [(self.x_train, self.y_train)]
        if self.x_test is None or self.y_test is None:
            raise ConfigError("data.dataset.Npy: got one of x_test and y_test, expected both or none")
        return [(self.x_train, self.y_train), (self.x_test, self.y_test)]

    def _targets(self, path: Path) -> Array:
        return check_targets(map_npy(path), short_path(path), self.wanted, self.classes)


def _inputs(path: Path) -> Array:
    x = map_npy(path)
    check_samples(x.shape, short_path(path))
    return x
