"""What gzip files hold, kept beside them: used only where its sha256 is the known one, and else made again."""

from __future__ import annotations

import gzip
import os
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from loopback import decodable, idx, source_of

from dlcli.core.errors import UnavailableError
from dlcli.data import cache
from dlcli.data.cache import decoded
from dlcli.data.dataset import Access
from dlcli.data.mnist import Mnist
from dlcli.data.sources import TRAIN_IMAGES, TRAIN_LABELS

PLAIN = TRAIN_IMAGES.removesuffix(".gz")


@pytest.fixture
def folder(tmp_path: Path, files: dict[str, bytes]) -> Path:
    """A cache with the four gzip files."""
    for name, data in files.items():
        (tmp_path / name).write_bytes(data)
    return tmp_path


def content(files: dict[str, bytes]) -> dict[str, tuple[str, bytes]]:
    return {name: (name.removesuffix(".gz"), gzip.decompress(data)) for name, data in files.items()}


def test_it_is_decoded_once(folder: Path, files: dict[str, bytes]) -> None:
    source = decodable(files)
    assert decoded(source, Access(folder, offline=True)) == content(files)
    for name in files:
        (folder / name).unlink()
    assert decoded(source, Access(folder, offline=True)) == content(files)
    assert sorted(path.name for path in folder.iterdir()) == sorted(name.removesuffix(".gz") for name in files)


@pytest.mark.parametrize("damage", ["flipped", "short", "long", "empty", "another"])
def test_a_damaged_copy_is_noticed_and_made_again(folder: Path, files: dict[str, bytes], damage: str) -> None:
    source, notes = decodable(files), list[str]()
    access = Access(folder, offline=True, note=notes.append)
    decoded(source, access)
    good = (folder / PLAIN).read_bytes()
    middle = len(good) // 2
    bad = {
        "flipped": good[:middle] + bytes([good[middle] ^ 1]) + good[middle + 1 :],
        "short": good[:-1],
        "long": good + b"\0",
        "empty": b"",
        "another": idx(np.zeros((30, 28, 28))),
    }[damage]
    (folder / PLAIN).write_bytes(bad)
    assert decoded(source, access) == content(files)
    assert notes == [f"{folder / PLAIN}: damaged; decoding it again"]
    assert (folder / PLAIN).read_bytes() == good


def test_a_damaged_copy_without_its_gzip_file_is_not_used(folder: Path, files: dict[str, bytes]) -> None:
    source = decodable(files)
    decoded(source, Access(folder, offline=True))
    (folder / TRAIN_IMAGES).unlink()
    (folder / PLAIN).write_bytes(b"?")
    with pytest.raises(UnavailableError, match=TRAIN_IMAGES):
        decoded(source, Access(folder, offline=True))


def test_a_source_that_does_not_know_the_content_keeps_no_copy(folder: Path, files: dict[str, bytes]) -> None:
    found = decoded(source_of(files), Access(folder, offline=True))
    assert found == {name: (name, data) for name, data in files.items()}
    assert {path.name for path in folder.iterdir()} == set(files)


def test_a_cache_that_cannot_be_written_is_no_failure(
    folder: Path, files: dict[str, bytes], monkeypatch: pytest.MonkeyPatch
) -> None:
    def full(fd: int, data: bytes) -> None:
        raise OSError(28, os.strerror(28))

    monkeypatch.setattr(cache.fsio, "write", full)
    assert decoded(decodable(files), Access(folder, offline=True)) == content(files)
    assert {path.name for path in folder.iterdir()} == set(files)


def test_the_data_set_is_the_same_from_either(
    folder: Path, files: dict[str, bytes], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(Mnist, "source", source_of(files))
    plain = Mnist().load(0, Access(folder, offline=True))
    monkeypatch.setattr(Mnist, "source", decodable(files))
    for _ in range(2):
        kept = Mnist().load(0, Access(folder, offline=True))
        np.testing.assert_array_equal(kept.train.inputs, plain.train.inputs)
        np.testing.assert_array_equal(kept.train.targets, plain.train.targets)
        assert kept.files == plain.files
        assert set(kept.files) == set(files)


CHILD = """
import sys
from pathlib import Path
from dlcli.data.cache import decoded
from dlcli.data.dataset import Access
from dlcli.data.sources import Fingerprint, Source
folder, name, size, digest, inside, inner = sys.argv[1:]
source = Source("small", "", {name: Fingerprint(int(size), digest)}, (), {name: Fingerprint(int(inside), inner)})
print(len(decoded(source, Access(Path(folder), offline=True))[name][1]))
"""


def test_processes_that_decode_at_once_do_no_harm(folder: Path, files: dict[str, bytes]) -> None:
    source = decodable(files)
    print_, inside = source.files[TRAIN_LABELS], source.decoded[TRAIN_LABELS]
    arguments = [str(folder), TRAIN_LABELS, *map(str, print_), *map(str, inside)]
    children = [
        subprocess.Popen([sys.executable, "-c", CHILD, *arguments], stdout=subprocess.PIPE, text=True) for _ in range(4)
    ]
    assert [child.communicate(timeout=60)[0] for child in children] == [f"{inside.size}\n"] * 4
    assert not list(folder.glob(".tmp-*"))
