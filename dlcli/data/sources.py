"""The files of the data sets that are downloaded: their sizes, their hashes, and the mirrors that serve them."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import NamedTuple


class Fingerprint(NamedTuple):
    """What a file's bytes have to match before one of them is used."""

    size: int
    sha256: str


@dataclass(frozen=True)
class Source:
    """A set of files that belong together."""

    name: str
    folder: str
    """The folder inside the cache; empty for the cache itself."""
    files: Mapping[str, Fingerprint]
    mirrors: tuple[str, ...]
    """Base URLs, in the order of trying; each ends in a slash."""
    decoded: Mapping[str, Fingerprint] = field(default_factory=dict)
    """What gzip files hold, by their names, where that is known: it is kept beside them, as decoding takes long."""


TRAIN_IMAGES = "train-images-idx3-ubyte.gz"
TRAIN_LABELS = "train-labels-idx1-ubyte.gz"
TEST_IMAGES = "t10k-images-idx3-ubyte.gz"
TEST_LABELS = "t10k-labels-idx1-ubyte.gz"

MNIST = Source(
    "mnist",
    "",
    {
        TRAIN_IMAGES: Fingerprint(9912422, "440fcabf73cc546fa21475e81ea370265605f56be210a4024d2ca8f203523609"),
        TRAIN_LABELS: Fingerprint(28881, "3552534a0a558bbed6aed32b30c495cca23d567ec52cac8be1a0730e8010255c"),
        TEST_IMAGES: Fingerprint(1648877, "8d422c7b0a1c1c79245a5bcf07fe86e33eeafee792b84584aec276f5a2dbc4e6"),
        TEST_LABELS: Fingerprint(4542, "f7ae60f92e00ec6debd23a6088c31dbd2371eca3ffa0defaefb259924204aec6"),
    },
    (
        "https://ossci-datasets.s3.amazonaws.com/mnist/",
        "https://storage.googleapis.com/cvdf-datasets/mnist/",
        "https://raw.githubusercontent.com/fgnt/mnist/master/",
    ),
    {
        TRAIN_IMAGES: Fingerprint(47040016, "ba891046e6505d7aadcbbe25680a0738ad16aec93bde7f9b65e87a2fc25776db"),
        TRAIN_LABELS: Fingerprint(60008, "65a50cbbf4e906d70832878ad85ccda5333a97f0f4c3dd2ef09a8a9eef7101c5"),
        TEST_IMAGES: Fingerprint(7840016, "0fa7898d509279e482958e8ce81c8e77db3f2f8254e26661ceb7762c4d494ce7"),
        TEST_LABELS: Fingerprint(10008, "ff7bcfd416de33731a308c3f266cc351222c34898ecbeaf847f06e48f7ec33f2"),
    },
)

FASHION_MNIST = Source(
    "fashion-mnist",
    "fashion-mnist",  # the names of its files are those of mnist
    {
        TRAIN_IMAGES: Fingerprint(26421880, "3aede38d61863908ad78613f6a32ed271626dd12800ba2636569512369268a84"),
        TRAIN_LABELS: Fingerprint(29515, "a04f17134ac03560a47e3764e11b92fc97de4d1bfaf8ba1a3aa29af54cc90845"),
        TEST_IMAGES: Fingerprint(4422102, "346e55b948d973a97e58d2351dde16a484bd415d4595297633bb08f03db6a073"),
        TEST_LABELS: Fingerprint(5148, "67da17c76eaffca5446c3361aaab5c3cd6d1c2608764d35dfb1850b086bf8dd5"),
    },
    (
        "https://storage.googleapis.com/tensorflow/tf-keras-datasets/",
        "http://fashion-mnist.s3-website.eu-central-1.amazonaws.com/",
        "https://raw.githubusercontent.com/zalandoresearch/fashion-mnist/master/data/fashion/",
    ),
)

SOURCES: dict[str, Source] = {source.name: source for source in (MNIST, FASHION_MNIST)}
