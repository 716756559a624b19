"""The contract of a data set: what is known of it without its data, and the arrays that loading it gives."""

from __future__ import annotations

import copy
import os
from abc import abstractmethod
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import ClassVar, Literal, NamedTuple, Self

from dlcli.core.arena import Array
from dlcli.core.component import Checked
from dlcli.core.options import Example
from dlcli.core.registry import Registry
from dlcli.data.picked import Picked

datasets: Registry[Dataset] = Registry("data set", "datasets")

Targets = Literal["classes", "values"]
"""What a loss wants: class indices, or numbers to come close to."""


class Samples(NamedTuple):
    """The samples of one split; arrays may be read-only."""

    inputs: Array | Picked
    """(N, *input_shape), uint8 or float."""
    targets: Array
    """(N,) class indices, or (N, T) float64 regression targets."""


@dataclass(frozen=True)
class DataInfo:
    """What is known of a data set. Built-in sets know all; of a user's file only the header is read."""

    input_shape: tuple[int, ...] | None
    """Of one sample; None where the user's file is not there."""
    classes: int | None
    """None for regression, and where only reading all rows would tell (`target_shape` is then `()`)."""
    target_shape: tuple[int, ...]
    """`()` for class indices, `(T,)` for T regression targets."""
    train: int | None
    """The number of training samples, before validation is held out; None where only reading all rows would tell."""
    test: int | None
    """The number of test samples, 0 where the set has none; None where only reading all rows would tell."""
    class_names: tuple[str, ...] | None = None
    input_names: tuple[str, ...] | None = None
    """The columns of a table in their order, where they have names."""
    image: bool = False
    """Whether the whole input has one mean and deviation, rather than each column its own."""

    @property
    def names(self) -> tuple[str, ...]:
        """What the classes are called, by their numbers where they have no names; none for values."""
        return self.class_names or tuple(map(str, range(self.classes or 0)))


@dataclass(frozen=True)
class Loaded:
    """A data set in memory."""

    info: DataInfo
    """Complete: nothing in it is unknown any more."""
    train: Samples
    test: Samples | None
    files: dict[str, str]
    """The sha256 of every file that was used, by name."""
    truth: dict[str, Array] | None = None
    """The generating parameters, named and shaped as those of a layer that could learn them."""


@dataclass(frozen=True)
class Access:
    """Where data may be found, and how to tell what happens on the way. Making one touches no disk and no network."""

    cache: Path | None = None
    """The cache folder; None for the system's own place for caches."""
    mirrors: tuple[str, ...] = ()
    """Base URLs to ask before the known mirrors."""
    offline: bool = False
    """Open no socket."""
    progress: Callable[[str, int, int], None] | None = None
    """Called with (file name, bytes done, bytes in all) during a download."""
    note: Callable[[str], None] | None = None
    """Called with one line about something worth knowing, such as a mirror that failed."""

    @classmethod
    def from_environment(
        cls,
        offline: bool = False,
        progress: Callable[[str, int, int], None] | None = None,
        note: Callable[[str], None] | None = None,
    ) -> Self:
        """Read the cache folder from `DLCLI_DATA_DIR` and more mirrors, separated by commas, from `DLCLI_MIRRORS`."""
        folder = os.environ.get("DLCLI_DATA_DIR", "").strip()
        mirrors = (url.strip() for url in os.environ.get("DLCLI_MIRRORS", "").split(","))
        return cls(Path(folder) if folder else None, tuple(url for url in mirrors if url), offline, progress, note)


@dataclass(kw_only=True, eq=False)
class Dataset(metaclass=Checked):
    """One data set, or one way to read a user's own; its fields are what a config may set."""

    examples: ClassVar[tuple[Example, ...]] = ()

    wanted: Targets = field(default="classes", init=False, repr=False)
    """What the loss wants of targets that could be both. Not an option: `with_targets` sets it."""

    def with_targets(self, wanted: Targets) -> Self:
        """The same data set for a loss that wants class indices or values.

        It matters only to users' files, where whole numbers can be either; other sets know what their targets are.
        """
        other = copy.copy(self)
        other.wanted = wanted
        return other

    @abstractmethod
    def info(self, seed: int) -> DataInfo:
        """What is known without the data: nothing is downloaded, a user's file is read as far as its header.

        A user's file that is not there leaves the shape and sizes None; DataError where the header is wrong.
        """

    @abstractmethod
    def load(self, seed: int, access: Access) -> Loaded:
        """All samples. DataError for wrong data or a user's missing file, UnavailableError for an unreachable one."""


datasets.base = Dataset
