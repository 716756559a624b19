"""The user's own images in IDX files, the format of MNIST."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from dlcli.core.errors import ConfigError, DataError, short_path
from dlcli.core.options import Count, example
from dlcli.data.dataset import Access, DataInfo, Dataset, Loaded, datasets
from dlcli.data.files import read, sha256
from dlcli.data.idx import idx_shape, image_samples


@datasets.register
@dataclass(kw_only=True, eq=False)
class Idx(Dataset):
    """Images (N, H, W) and labels (N,) of unsigned bytes, in a pair of IDX files for training and one for the test.

    A name that ends in `.gz` is a gzip file. Labels are 0 to `classes` - 1. Source: Y. LeCun, C. Cortes and C. Burges,
    "The MNIST database of handwritten digits" (1998), where the format is defined.
    """

    train_images: str
    train_labels: str
    test_images: str | None = None
    test_labels: str | None = None
    classes: Count = 10
    examples = (
        example(train_images="images.idx3-ubyte", train_labels="labels.idx1-ubyte", classes=26),
        example(
            train_images="train-images-idx3-ubyte.gz",
            train_labels="train-labels-idx1-ubyte.gz",
            test_images="t10k-images-idx3-ubyte.gz",
            test_labels="t10k-labels-idx1-ubyte.gz",
        ),
    )

    def _pairs(self) -> list[tuple[str, str]]:
        """(images, labels) of training and, where there is one, of the test."""
        if self.test_images is None and self.test_labels is None:
            return [(self.train_images, self.train_labels)]
        if self.test_images is None or self.test_labels is None:
            raise ConfigError("data.dataset.Idx: got one of test_images and test_labels, expected both or none")
        return [(self.train_images, self.train_labels), (self.test_images, self.test_labels)]

    def info(self, seed: int) -> DataInfo:
        shapes = [
            idx_shape(read(path), short_path(path), 3) if path.exists() else None
            for path in (Path(images) for images, _ in self._pairs())
        ]
        counts = [shape[0] if shape else None for shape in shapes]
        shape = (1, *shapes[0][1:]) if shapes[0] else None
        return DataInfo(shape, self.classes, (), counts[0], counts[1] if len(counts) > 1 else 0, image=True)

    def load(self, seed: int, access: Access) -> Loaded:
        pairs = self._pairs()
        content = {name: read(Path(name)) for pair in pairs for name in pair}
        splits = [
            image_samples((short_path(Path(i)), content[i]), (short_path(Path(j)), content[j]), self.classes)
            for i, j in pairs
        ]
        train, test = splits[0], splits[1] if len(splits) > 1 else None
        files = {name: sha256(data) for name, data in content.items()}
        if test is not None:
            if files[pairs[0][0]] == files[pairs[1][0]]:
                raise DataError(f"{short_path(Path(pairs[1][0]))}: the same images as for training, expected others")
            if test.inputs.shape[1:] != train.inputs.shape[1:]:
                got, expected = ("x".join(map(str, s.inputs.shape[2:])) for s in (test, train))
                raise DataError(
                    f"{short_path(Path(pairs[1][0]))}: got images of {got}, expected {expected} as for training"
                )
        held = len(test.inputs) if test is not None else 0
        info = DataInfo(train.inputs.shape[1:], self.classes, (), len(train.inputs), held, image=True)
        return Loaded(info, train, test, files)
