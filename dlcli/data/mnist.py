"""MNIST and Fashion-MNIST: 28x28 grey images of ten classes, downloaded once and verified at every start."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar, cast

import numpy as np

from dlcli.core.arena import Array
from dlcli.core.options import example
from dlcli.data.cache import decoded
from dlcli.data.dataset import Access, DataInfo, Dataset, Loaded, Samples, datasets
from dlcli.data.idx import image_samples
from dlcli.data.sources import FASHION_MNIST, MNIST, TEST_IMAGES, TEST_LABELS, TRAIN_IMAGES, TRAIN_LABELS, Source


@dataclass(kw_only=True, eq=False)
class DownloadedImages(Dataset):
    """Images (1, 28, 28) uint8 with labels 0 to 9 in the four files of a source."""

    source: ClassVar[Source]
    facts: ClassVar[DataInfo] = DataInfo((1, 28, 28), 10, (), 60000, 10000, image=True)

    def info(self, seed: int) -> DataInfo:
        return self.facts

    def load(self, seed: int, access: Access) -> Loaded:
        files = decoded(self.source, access)
        train, test = (
            image_samples(files[images], files[labels], 10)
            for images, labels in ((TRAIN_IMAGES, TRAIN_LABELS), (TEST_IMAGES, TEST_LABELS))
        )
        return Loaded(self.facts, train, test, {name: known.sha256 for name, known in self.source.files.items()})


@datasets.register
@dataclass(kw_only=True, eq=False)
class Mnist(DownloadedImages):
    """Handwritten digits: 60,000 training and 10,000 test images, (1, 28, 28) uint8, of ten classes.

    Source: Y. LeCun, L. Bottou, Y. Bengio and P. Haffner, "Gradient-based learning applied to document recognition",
    Proceedings of the IEEE 86 (1998), https://doi.org/10.1109/5.726791.
    """

    config_name: ClassVar[str] = "mnist"
    source = MNIST
    examples = (example(),)


@datasets.register
@dataclass(kw_only=True, eq=False)
class FashionMnist(DownloadedImages):
    """Photographs of clothes in MNIST's form: 60,000 training and 10,000 test images, (1, 28, 28) uint8, ten classes.

    Source: H. Xiao, K. Rasul and R. Vollgraf, "Fashion-MNIST: a novel image dataset for benchmarking machine learning
    algorithms" (2017), https://arxiv.org/abs/1708.07747.
    """

    config_name: ClassVar[str] = "fashion-mnist"
    source = FASHION_MNIST
    facts = DataInfo(
        (1, 28, 28), 10, (), 60000, 10000,
        ("T-shirt/top", "Trouser", "Pullover", "Dress", "Coat", "Sandal", "Shirt", "Sneaker", "Bag", "Ankle boot"),
        image=True,
    )  # fmt: skip
    examples = (example(),)


def load_mnist(access: Access | None = None) -> tuple[tuple[Array, Array], tuple[Array, Array]]:
    """MNIST as a small network takes it: `(X_train, y_train), (X_test, y_test)`.

    X (N, 784) float32 = (pixel / 255 - mean) / sd, with the mean and the standard deviation of all training pixels;
    y (N,) int64. Downloads what is not in the cache yet; UnavailableError where it cannot be had.
    """
    loaded = Mnist().load(0, access or Access.from_environment())
    train, test = loaded.train, cast(Samples, loaded.test)
    x_train, x_test = (np.asarray(s.inputs, np.float32).reshape(len(s.inputs), -1) / 255 for s in (train, test))
    mean, sd = x_train.mean(), x_train.std()
    return ((x_train - mean) / sd, train.targets), ((x_test - mean) / sd, test.targets)
