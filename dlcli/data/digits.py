"""The 8x8 handwritten digits that ship inside the package, so that everything can be tried without a network."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import ClassVar

import numpy as np

from dlcli.core.arena import Array
from dlcli.core.errors import DataError
from dlcli.core.options import example
from dlcli.data.dataset import Access, DataInfo, Dataset, Loaded, Samples, datasets
from dlcli.data.files import read, sha256
from dlcli.data.idx import image_samples

FOLDER = Path(__file__).parent / "digits"
IMAGES = "digits-images-idx3-ubyte.gz"
LABELS = "digits-labels-idx1-ubyte.gz"
HASHES = {
    IMAGES: "1ebcab928aa173b092684da57973734c884bd56b66c89bee29bf79ba38232839",
    LABELS: "414a0f706bb31ebd6a846b0d29fec3103b3acf8ea623f594d97546e2e94a1229",
}
TEST_EVERY = 5


@datasets.register
@dataclass(kw_only=True, eq=False)
class Digits(Dataset):
    """Handwritten digits: 1,438 training and 359 test images, (1, 8, 8) uint8 with values 0 to 16, of ten classes.

    Of each class every fifth image, from the third on in the order of the file, is a test image; the run's seed has no
    part in that. Source: E. Alpaydin and C. Kaynak, "Optical Recognition of Handwritten Digits", UCI Machine Learning
    Repository (1998), https://doi.org/10.24432/C50P49, CC BY 4.0.
    """

    config_name: ClassVar[str] = "digits"
    examples = (example(),)

    def info(self, seed: int) -> DataInfo:
        return DataInfo((1, 8, 8), 10, (), 1438, 359, image=True)

    def load(self, seed: int, access: Access) -> Loaded:
        content = {name: read(FOLDER / name) for name in HASHES}
        for name, data in content.items():
            if sha256(data) != HASHES[name]:
                raise DataError(f"{FOLDER / name}: damaged, expected sha256 {HASHES[name]}; install dlcli again")
        everything = image_samples((IMAGES, content[IMAGES]), (LABELS, content[LABELS]), 10)
        test = held_out(everything.targets)
        train, held = (Samples(everything.inputs[rows], everything.targets[rows]) for rows in (~test, test))
        return Loaded(self.info(seed), train, held, dict(HASHES))


def held_out(targets: Array) -> Array:
    """(N,) bool: of every class the images number 3, 8, 13, ... in the order of the file."""
    chosen = np.zeros(len(targets), bool)
    for label in np.unique(targets):
        chosen[np.flatnonzero(targets == label)[TEST_EVERY // 2 :: TEST_EVERY]] = True
    return chosen
