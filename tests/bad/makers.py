"""Inputs that are made rather than stored: binary, huge, damaged or of a kind that no repository can hold.

A line of `make` in expect.json is the name of a function here and its arguments; the first is the working directory.
"""

from __future__ import annotations

import atexit
import gzip
import hashlib
import io
import json
import os
import pickle
import shutil
import socket as sockets
import subprocess
import sys
import tarfile
import tempfile
import zipfile
import zlib
from functools import cache
from pathlib import Path
from typing import Any

import numpy as np

from dlcli.data.sources import SOURCES
from dlcli.training import archive


def folder(work: Path, name: str) -> None:
    """An empty folder."""
    (work / name).mkdir(parents=True)


def text(work: Path, name: str, content: str) -> None:
    """A file with a line of text."""
    (work / name).write_text(content + "\n")


def link(work: Path, name: str, target: str) -> None:
    """A symbolic link, which may dangle or lead to itself."""
    (work / name).symlink_to(target)


def fifo(work: Path, name: str) -> None:
    """A named pipe without a writer: reading it would wait for ever."""
    os.mkfifo(work / name)


def socket_file(work: Path, name: str) -> None:
    """A socket in the file system; it is bound elsewhere, for the name of a socket may have 107 bytes only."""
    with tempfile.TemporaryDirectory() as short, sockets.socket(sockets.AF_UNIX) as opened:
        opened.bind(f"{short}/s")
        Path(short, "s").rename(work / name)


def remove(work: Path, name: str) -> None:
    """Nothing, where something was."""
    path = work / name
    shutil.rmtree(path) if path.is_dir() else path.unlink()


@cache
def _trained(*arguments: str) -> Path:
    """A folder with a run of base.yaml in `run`, trained once for all cases."""
    work = Path(tempfile.mkdtemp())
    atexit.register(shutil.rmtree, work, ignore_errors=True)
    here = Path(__file__).parent
    shutil.copy(here / "base.yaml", work / "c.yaml")
    command = [sys.executable, "-m", "dlcli", "train", "c.yaml", "--run-dir", "run", *arguments]
    environment = {**os.environ, "PYTHONPATH": str(here.parents[1])}
    subprocess.run(command, cwd=work, env=environment, check=True, capture_output=True)
    return work


def run(work: Path, name: str = "run") -> None:
    """A run of the config in base.yaml, stopped at step 9 of 12, with checkpoints of the steps 4, 6, 8 and 9."""
    shutil.copytree(_trained("--max-steps", "9") / "run", work / name)


def complete_run(work: Path, name: str = "run") -> None:
    """The same run, trained to its end at step 12."""
    shutil.copytree(_trained() / "run", work / name)


def reencode(work: Path, name: str, encoding: str) -> None:
    """A text in another encoding."""
    path = work / name
    path.write_bytes(path.read_text(encoding="utf-8").encode(encoding))


def put(work: Path, name: str, position: str, data: str) -> None:
    """Bytes, given in hexadecimal digits, set into a file at a position; `-1` is its end."""
    path = work / name
    content, at = path.read_bytes(), int(position)
    at = len(content) if at < 0 else at
    path.write_bytes(content[:at] + bytes.fromhex(data) + content[at:])


def write_repeated(work: Path, name: str, before: str, piece: str, times: str, after: str = "") -> None:
    """A text with a piece in its middle that comes thousands of times."""
    (work / name).write_text(before + piece * int(times) + after + "\n")


def stretch(work: Path, name: str, old: str, piece: str, times: str) -> None:
    """A text with one word replaced by a piece that comes thousands of times."""
    path = work / name
    path.write_text(path.read_text().replace(old, piece * int(times)))


def line_ends(work: Path, name: str, end: str) -> None:
    """A text with other line ends: `crlf` or `cr`."""
    path = work / name
    path.write_bytes(path.read_bytes().replace(b"\n", {"crlf": b"\r\n", "cr": b"\r"}[end]))


def truncate(work: Path, name: str, size: str) -> None:
    """The first bytes of a file; a negative number is how many are missing at the end."""
    path = work / name
    path.write_bytes(path.read_bytes()[: int(size)])


def flip(work: Path, name: str, position: str, mask: str = "1") -> None:
    """Some bits of one byte turned over; a negative position counts from the end."""
    path = work / name
    data = bytearray(path.read_bytes())
    data[int(position)] ^= int(mask)
    path.write_bytes(data)


class Payload:
    """What would create the file `canary` if it were ever unpickled."""

    def __reduce__(self) -> tuple[Any, ...]:
        return os.system, ("touch canary",)


def disguise(work: Path, name: str, kind: str) -> None:
    """A file of another kind under this name."""
    buffer = io.BytesIO()
    if kind == "tar":
        with tarfile.open(fileobj=buffer, mode="w") as tar:
            tar.addfile(tarfile.TarInfo("x"))
    elif kind == "npy":
        np.save(buffer, np.zeros(3))
    elif kind == "npz":
        np.savez(buffer, x=np.zeros(3))
    elif kind == "compressed":
        np.savez_compressed(buffer, meta=np.zeros(8 << 20, np.float32))
    elif kind == "objects":
        np.savez(buffer, meta=np.array([Payload()], object))
    elif kind == "pickle":
        buffer.write(pickle.dumps(Payload()))
    elif kind == "nested":
        with zipfile.ZipFile(buffer, "w") as outer:
            outer.writestr("meta.npy", (inner := io.BytesIO()).getvalue() or b"PK")
            np.savez(inner, x=np.zeros(3))
            outer.writestr("inner.npz", inner.getvalue())
    else:
        texts = {
            "text": b"hello\n" * 100,
            "html": b"<!DOCTYPE html><html><body>403 Forbidden</body></html>" * 9,
            "png": bytes.fromhex("89504e470d0a1a0a0000000d49484452") + bytes(400),
            "gzip": bytes.fromhex("1f8b0800000000000003") + bytes(400),
        }
        buffer.write(texts[kind])
    (work / name).write_bytes(buffer.getvalue())


def _read(path: Path) -> tuple[dict[str, Any], list[tuple[str, bytes]]]:
    """The description of a checkpoint, and its arrays as the bytes of their members."""
    with zipfile.ZipFile(path) as opened:
        members = [(n.removesuffix(".npy"), opened.read(n)) for n in opened.namelist()]
    return json.loads(members[0][1][128:]), members[1:]


def _forge(path: Path, meta: dict[str, Any], members: list[tuple[str, bytes]]) -> None:
    """Write a checkpoint that is signed as it should be, whatever it says."""
    meta.pop("meta_sha256", None)
    meta["meta_sha256"] = hashlib.sha256(archive._canonical(meta)).hexdigest()
    rest = [(name, b"", memoryview(data)) for name, data in members]
    path.write_bytes(archive._assemble([archive._meta_member(archive._canonical(meta)), *rest]))


def claim(work: Path, name: str, key: str, value: str) -> None:
    """A checkpoint whose description says something else at a dotted key, correctly signed; `drop` removes the key."""
    meta, members = _read(work / name)
    *outer, last = (int(part) if part.isdigit() else part for part in key.split("."))
    inner: Any = meta
    for part in outer:
        inner = inner[part]
    if value == "drop":
        del inner[last]
    else:
        inner[last] = json.loads(value)
    _forge(work / name, meta, members)


def change_array(work: Path, name: str, array: str, how: str) -> None:
    """A checkpoint with one array changed, correctly signed: transposed, of another type, not finite, gone, renamed."""
    meta, members = _read(work / name)
    entry = next(e for e in meta["arrays"] if e["name"] == array)
    place = next(i for i, (n, _) in enumerate(members) if n == array)
    data = np.load(io.BytesIO(members[place][1]))
    if how in ("nan", "inf"):
        data.flat[0] = float(how)
    changed = {"transpose": data.T.copy(), "float64": data.astype(np.float64), "flat": data.ravel()}.get(how, data)
    new = f"{array}_" if how == "rename" else array
    header = archive._npy_header(changed.dtype.str, changed.shape)
    digest = hashlib.sha256(changed.tobytes()).hexdigest()
    entry.update(name=new, dtype=changed.dtype.str, shape=list(changed.shape), sha256=digest)
    members[place] = (new, header + changed.tobytes())
    if how == "drop":
        del members[place]
        meta["arrays"].remove(entry)
    _forge(work / name, meta, members)


def change_header(work: Path, name: str, array: str, text: str, times: str = "1") -> None:
    """A checkpoint with another text in the npy header of one array."""
    meta, members = _read(work / name)
    place = next(i for i, (n, _) in enumerate(members) if n == array)
    words = (text * int(times)).encode().ljust(117)[:60_000] + b"\n"
    payload = members[place][1][128:]
    members[place] = (array, b"\x93NUMPY\1\0" + len(words).to_bytes(2, "little") + words + payload)
    _forge(work / name, meta, members)


def rezip(work: Path, name: str, how: str, member: str = "") -> None:
    """A checkpoint whose zip file was written anew with one thing wrong."""
    path = work / name
    with zipfile.ZipFile(path) as opened:
        members = [(info, opened.read(info)) for info in opened.infolist()]
    methods = {"deflate": zipfile.ZIP_DEFLATED, "bzip2": zipfile.ZIP_BZIP2, "lzma": zipfile.ZIP_LZMA}
    if how == "drop":
        members = [(info, data) for info, data in members if info.filename != member]
    if how == "reverse":
        members.reverse()
    with zipfile.ZipFile(path, "w", methods.get(how, zipfile.ZIP_STORED)) as new:
        for info, data in members:
            new.writestr(info.filename, data)
        if how == "add":
            extra = zipfile.ZipInfo(member.replace("1.bias.npy", "1.bias.NPY"))
            extra.external_attr = 0o120777 << 16 if member == "link.npy" else 0
            new.writestr(extra, members[-1][1] if not member.endswith("/") else b"")
        if how == "comment":
            new.comment = b"hello"
    path.write_bytes(path.read_bytes().replace(b"1.bias.NPY", b"1.bias.npy"))  # zipfile warns of double names


def copy(work: Path, source: str, target: str) -> None:
    """A second file with the same content."""
    shutil.copy(work / source, work / target)


def hard_link(work: Path, source: str, target: str) -> None:
    """A second name of the same file."""
    (work / target).hardlink_to(work / source)


def forbid(work: Path, name: str, mode: str = "000") -> None:
    """A file or folder without permissions; the case runs without the powers of root."""
    (work / name).chmod(int(mode, 8))


def keep_lines(work: Path, name: str, count: str) -> None:
    """The first lines of a file; a negative number is how many are missing at the end."""
    path = work / name
    path.write_bytes(b"".join(path.read_bytes().splitlines(keepends=True)[: int(count)]))


def swap_lines(work: Path, name: str) -> None:
    """A file with its lines in reverse order."""
    path = work / name
    path.write_bytes(b"".join(reversed(path.read_bytes().splitlines(keepends=True))))


def overwrite(work: Path, name: str, position: str, data: str) -> None:
    """Bytes, given in hexadecimal digits, in place of those at a position."""
    path = work / name
    content = bytearray(path.read_bytes())
    content[int(position) : int(position) + len(data) // 2] = bytes.fromhex(data)
    path.write_bytes(content)


def idx_pair(work: Path, images: str, labels: str) -> None:
    """40 images of 6 by 6 pixels and their labels, as IDX files, gzipped where the name says so."""
    pixels = np.random.default_rng(0).integers(0, 256, (40, 6, 6), np.uint8)
    _write_idx(work / images, pixels)
    idx_labels(work, labels, "40")


def idx_labels(work: Path, name: str, count: str) -> None:
    """An IDX file with that many labels."""
    _write_idx(work / name, (np.arange(int(count)) % 10).astype(np.uint8))


def _write_idx(path: Path, array: np.ndarray) -> None:
    header = bytes([0, 0, 8, array.ndim]) + b"".join(n.to_bytes(4, "big") for n in array.shape)
    data = header + array.tobytes()
    path.write_bytes(gzip.compress(data, mtime=0) if path.suffix == ".gz" else data)


def gzip_twice(work: Path, name: str) -> None:
    """A gzip file of two members, each whole."""
    path = work / name
    path.write_bytes(path.read_bytes() * 2)


def gzip_zeros(work: Path, name: str, megabytes: str) -> None:
    """The header of an IDX file and then so many megabytes of zeros, in a thousandth of the size."""
    packer = zlib.compressobj(9, wbits=31)
    with (work / name).open("wb") as file:
        file.write(packer.compress(bytes([0, 0, 8, 3, 0, 0, 0, 40, 0, 0, 0, 6, 0, 0, 0, 6])))
        for _ in range(int(megabytes)):
            file.write(packer.compress(bytes(1 << 20)))
        file.write(packer.flush())


def cached(work: Path, state: str) -> None:
    """A cache folder for mnist with files that are not the true ones, the first in this state."""
    folder = work / "cache"
    folder.mkdir()
    first, *others = SOURCES["mnist"].files
    for name in others:
        (folder / name).write_bytes(gzip.compress(name.encode(), mtime=0))
    content = {
        "truncated": gzip.compress(bytes(1000), mtime=0)[:20],
        "flipped": gzip.compress(bytes(1000), mtime=0)[:-1] + b"x",
        "empty": b"",
        "html": b"<!DOCTYPE html><html><body>403 Forbidden</body></html>",
    }
    if state == "folder":
        (folder / first).mkdir()
    elif state in content:
        (folder / first).write_bytes(content[state])


def run_without_validation(work: Path) -> None:
    """A run that holds nothing out."""
    shutil.copytree(_trained("--max-steps", "1", "--set", "data.validation=0") / "run", work / "run")


def npz_data(work: Path, name: str, kind: str) -> None:
    """40 samples of 6 inputs and their classes in an npz archive, with one thing wrong or extreme."""
    x = np.random.default_rng(0).standard_normal((40, 6))
    y: np.ndarray = np.arange(40) % 10
    if kind in ("nan", "inf"):
        x[7, 3] = float(kind)
    elif kind == "nan-targets":
        y = np.where(y == 3, np.nan, y)
    changed = {
        "zeros": np.zeros((40, 6)),
        "constant": np.full((40, 6), 7.0),
        "huge": np.full((40, 6), 1e300) * np.sign(x),
        "objects": np.array([[Payload()]] * 40, object),
        "text": np.full((40, 6), "a"),
        "complex": np.full((40, 6), 1j),
        "empty": x[:, :0],
        "no-samples": x[:0],
        "counts": x[:39],
        "one-dimension": x[:, 0],
    }
    labels = {"float-labels": y + 0.5, "negative-labels": y - 1}
    np.savez(work / name, x_train=changed.get(kind, x), y_train=labels.get(kind, y))
