"""The cache of downloaded files: every byte that leaves it has been checked against its known sha256 first.

A file is read whole, hashed, and those very bytes are handed on, so nothing can change between check and use. Files
are written in one step and are readable as the umask says; any number of processes may share the folder.
"""

from __future__ import annotations

import gzip
import time
from contextlib import suppress
from pathlib import Path
from typing import Literal, NamedTuple

from dlcli.core import fsio
from dlcli.core.errors import DataError, OutputError, UnavailableError, UsageError, quote, short_path, suggest
from dlcli.data.dataset import Access
from dlcli.data.download import Mirrors
from dlcli.data.files import read, sha256
from dlcli.data.sources import SOURCES, Fingerprint, Source

STALE = 24 * 3600.0
"""Seconds after which an unfinished file belongs to no living process."""

WAYS_OUT = (
    "ways out: 'dlcli data import DIR' with a folder that has the files, DLCLI_DATA_DIR=DIR, "
    "or configs/digits.yaml, which needs no download"
)


class FileStatus(NamedTuple):
    """One file of a source, as it is in the cache."""

    path: Path
    state: Literal["verified", "missing", "damaged"]
    size: int
    """The size that it ought to have, in bytes."""


def cache_folder(access: Access) -> Path:
    """The folder of the cache; it need not exist."""
    if access.cache is not None:
        return access.cache.expanduser()
    import pooch

    return Path(pooch.os_cache("dlcli")).expanduser()


def folder_of(source: Source, access: Access) -> Path:
    """The folder of the source's files; it need not exist."""
    return cache_folder(access) / source.folder


def obtain(source: Source, access: Access) -> dict[str, bytes]:
    """The verified content of every file of the source by name, downloaded where the cache has not got it.

    UnavailableError where a file can be had nowhere, OutputError where the cache cannot be written.
    """
    folder = folder_of(source, access)
    found = {name: _cached(folder / name, fingerprint) for name, fingerprint in source.files.items()}
    damaged = [folder / name for name, (state, _) in found.items() if state == "damaged"]
    missing = [name for name, (_, data) in found.items() if data is None]
    if missing and access.offline:
        raise UnavailableError(
            *(f"{short_path(folder / name)}: {found[name][0]}, and offline nothing is downloaded" for name in missing),
            WAYS_OUT,
        )
    if access.note:
        for path in damaged:
            access.note(f"{short_path(path)}: damaged; fetching it again")
    content = {name: data for name, (_, data) in found.items() if data is not None}
    if missing:
        fsio.make_dirs(folder)
        _sweep(folder)
        mirrors = Mirrors(source, access)
        for name in missing:
            try:
                content[name] = mirrors.download(name, source.files[name])
            except UnavailableError as error:
                raise UnavailableError(*error.problems, WAYS_OUT) from error
            fsio.write_atomic(folder / name, content[name])
    return content


def decoded(source: Source, access: Access) -> dict[str, tuple[str, bytes]]:
    """(name, content) of every file of the source by its name: of what a gzip file holds where the source knows that.

    It is decoded once and kept beside the file, and compared with its known sha256 at every start. A cache that cannot
    be written is no failure. Raises what `obtain` raises.
    """
    folder = folder_of(source, access)
    plain = {name: name.removesuffix(".gz") for name in source.decoded}
    kept = {name: _cached(folder / plain[name], known) for name, known in source.decoded.items()}
    found = {name: (plain[name], data) for name, (_, data) in kept.items() if data is not None}
    missing = [name for name in source.files if name not in found]
    files = obtain(source, access) if missing else {}
    for name in missing:
        if name not in plain:
            found[name] = (name, files[name])
            continue
        path = folder / plain[name]
        if access.note and kept[name][0] == "damaged":
            access.note(f"{short_path(path)}: damaged; decoding it again")
        found[name] = (plain[name], gzip.decompress(files[name]))
        with suppress(OutputError):
            fsio.write_atomic(path, found[name][1])
    return found


def source_named(name: str) -> Source:
    """The source of that name; UsageError with the near name where there is none."""
    if name not in SOURCES:
        raise UsageError(f"no data set {quote(name)} is downloaded; {suggest(name, SOURCES)}")
    return SOURCES[name]


def verify(name: str, access: Access) -> list[FileStatus]:
    """Every file of a source with the verdict of its sha256. Opens no socket and writes nothing."""
    source = source_named(name)
    folder = folder_of(source, access)
    return [FileStatus(folder / n, _cached(folder / n, f)[0], f.size) for n, f in source.files.items()]


def list_cached(access: Access) -> dict[str, list[FileStatus]]:
    """`verify` of every source by name."""
    return {name: verify(name, access) for name in SOURCES}


def fetch(name: str, access: Access) -> list[Path]:
    """The paths of a source's files, after all of them are in the cache and verified. Raises what `obtain` raises."""
    source = source_named(name)
    obtain(source, access)
    return [folder_of(source, access) / file for file in source.files]


def import_folder(name: str | None, folder: Path, access: Access) -> tuple[str, list[Path]]:
    """Copy the files of a source from a folder into the cache; its name and the copies' paths.

    Without a name it is the source that has most of its files in the folder. DataError with a line for each file that
    is missing or is not what it should be; then nothing is copied.
    """
    found = {
        n: {file: _cached(folder / file, fingerprint) for file, fingerprint in source_named(n).files.items()}
        for n in ([name] if name is not None else SOURCES)
    }
    best = max(found, key=lambda n: sum(data is not None for _, data in found[n].values()))
    problems = [
        f"{short_path(folder / file)}: {state}, expected the file of {best} "
        f"with sha256 {SOURCES[best].files[file].sha256}"
        for file, (state, data) in found[best].items()
        if data is None
    ]
    if problems:
        raise DataError(*problems)
    target = folder_of(SOURCES[best], access)
    fsio.make_dirs(target)
    for file, (_, data) in found[best].items():
        if data is not None:
            fsio.write_atomic(target / file, data)
    return best, [target / file for file in found[best]]


def _cached(path: Path, fingerprint: Fingerprint) -> tuple[Literal["verified", "missing", "damaged"], bytes | None]:
    """The state of a file, with its content where that is verified. A file that cannot be read counts as damaged."""
    try:
        data = read(path, limit=fingerprint.size + 1)
    except DataError:
        return ("damaged" if path.is_file() else "missing"), None
    if len(data) != fingerprint.size or sha256(data) != fingerprint.sha256:
        return "damaged", None
    return "verified", data


def _sweep(folder: Path) -> None:
    """Remove unfinished files that a killed process left long ago; younger ones may be in use."""
    for path in folder.glob(fsio.TEMP_PREFIX + "*"):
        try:
            old = time.time() - path.stat().st_mtime > STALE
        except OSError:
            continue  # another process was faster
        if old:
            fsio.discard(path)
