"""The checkpoint file: round trips, one spelling only, every damaged, foreign or hostile file refused in one line."""

from __future__ import annotations

import copy
import hashlib
import io
import json
import math
import os
import pickle
import random
import struct
import tarfile
import zipfile
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp

from dlcli.core.errors import CheckpointError, DivergedError, OutputError
from dlcli.training import archive
from dlcli.training.checkpoint import Snapshot, check_fit, decode, encode, read

META = {
    "step": 7,
    "epoch": 1,
    "batch_in_epoch": 2,
    "metrics_lines": 1,
    "seed": 2**63,
    "config_sha256": "ab" * 32,
    "config": {"name": "tiny", "lr": 0.1},
    "best": {"metric": "val.loss", "value_hex": (0.3).hex(), "step": 5},
}


def tiny() -> Snapshot:
    arrays = {"0.weight": np.arange(6, dtype="f4").reshape(2, 3), "0.bias": np.array([-0.0, 1e-40], dtype="f8")}
    return Snapshot(copy.deepcopy(META), arrays)


DATA = encode(tiny())


def same(a: Snapshot, b: Snapshot) -> bool:
    return json.dumps(a.meta, sort_keys=True) == json.dumps(b.meta, sort_keys=True) and [
        (k, v.dtype, v.shape, v.tobytes()) for k, v in sorted(a.arrays.items())
    ] == [(k, v.dtype, v.shape, v.tobytes()) for k, v in sorted(b.arrays.items())]


def refused(data: bytes) -> str:
    """The one line with which `data` is refused."""
    with pytest.raises(CheckpointError) as caught:
        decode(data, "x.npz")
    (line,) = caught.value.lines()
    assert line.startswith("error: x.npz: ")
    assert len(line) <= 400
    assert line.isprintable()
    return line


def forge(members: list[tuple[str, bytes, bytes]], **changes: Any) -> bytes:
    """A file with these members and a description that lists what `changes` says, signed as it should be."""
    meta = {**META, "format": archive.FORMAT, "version": archive.VERSION, "arrays": [], **changes}
    meta = {key: value for key, value in meta.items() if value is not None}
    meta["meta_sha256"] = hashlib.sha256(archive._canonical(meta)).hexdigest()
    rest = [(name, header, memoryview(payload)) for name, header, payload in members]
    return archive._assemble([archive._meta_member(archive._canonical(meta)), *rest])


def entry(name: object = "w", dtype: object = "<f4", shape: object = (1,), payload: bytes = bytes(4)) -> dict[str, Any]:
    return {"name": name, "dtype": dtype, "shape": shape, "sha256": hashlib.sha256(payload).hexdigest()}


def member(header: bytes | None = None, name: str = "w", payload: bytes = bytes(4)) -> tuple[str, bytes, bytes]:
    return name, archive._npy_header("<f4", (1,)) if header is None else header, payload


# ---------------------------------------------------------------- what is good


def test_what_is_packed_comes_back_aligned_and_writable() -> None:
    back = decode(DATA, "x")
    assert same(back, tiny())
    assert all(a.flags.aligned and a.flags.writeable and a.flags.c_contiguous for a in back.arrays.values())


FINITE = st.floats(allow_nan=False, allow_infinity=False)
JSON = st.recursive(
    st.none() | st.booleans() | st.integers(-(2**70), 2**70) | FINITE | st.text(max_size=10),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(max_size=5), inner, max_size=4),
    max_leaves=10,
)
ARRAY = st.sampled_from(["f4", "f8", "i4", "i8", "u1", "?"]).flatmap(
    lambda dtype: hnp.arrays(
        dtype,
        hnp.array_shapes(min_dims=0, max_dims=4, min_side=0, max_side=4),
        elements={"allow_nan": False, "allow_infinity": False} if dtype[0] == "f" else None,
    )
)


@settings(max_examples=150, deadline=None)
@given(
    st.dictionaries(st.from_regex(r"[A-Za-z0-9_.-]{1,128}", fullmatch=True).filter(lambda n: n != "meta"), ARRAY),
    JSON,
)
def test_any_arrays_and_json_come_back(arrays: dict[str, Any], extra: Any) -> None:
    snapshot = Snapshot({**META, "extra": extra}, arrays)
    data = encode(snapshot)
    assert same(decode(data, "x"), snapshot)
    assert encode(decode(data, "x")) == data


def test_the_bytes_depend_on_the_content_alone() -> None:
    shuffled = Snapshot(dict(reversed(META.items())), dict(reversed(tiny().arrays.items())))
    shuffled.arrays["0.weight"] = np.asfortranarray(shuffled.arrays["0.weight"])
    shuffled.arrays["0.bias"] = shuffled.arrays["0.bias"].astype(">f8")
    assert encode(shuffled) == DATA
    assert hashlib.sha256(DATA).hexdigest()[:16] == "60adb0d71f08668e"  # on every machine


def test_other_tools_read_it(tmp_path: Path) -> None:
    path = tmp_path / "x.npz"
    path.write_bytes(DATA)
    with zipfile.ZipFile(path) as file:
        assert file.testzip() is None
        assert file.namelist() == ["meta.npy", "0.bias.npy", "0.weight.npy"]
        assert {i.date_time for i in file.infolist()} == {(1980, 1, 1, 0, 0, 0)}
    with np.load(path) as loaded:
        assert np.array_equal(loaded["0.weight"], tiny().arrays["0.weight"])
        assert json.loads(loaded["meta"].tobytes())["step"] == 7


@pytest.mark.parametrize("n", [1, 9, 10, 99_999, archive.MAX_META])
def test_the_description_starts_at_a_fixed_place(n: int) -> None:
    assert 38 + len(archive._npy_header("|u1", (n,))) == archive.META_START


@pytest.mark.parametrize("value", [math.nan, math.inf, -math.inf])
def test_numbers_that_are_not_finite_are_not_saved(value: float) -> None:
    weights, metric = tiny(), tiny()
    weights.arrays["0.bias"][1] = value
    metric.meta["best"]["value"] = value
    for snapshot in (weights, metric):
        with pytest.raises(DivergedError):
            encode(snapshot)


@pytest.mark.parametrize(
    ("name", "array"),
    [
        ("meta", np.zeros(1)),
        ("a/b", np.zeros(1)),
        ("", np.zeros(1)),
        ("x" * 129, np.zeros(1)),
        ("ä", np.zeros(1)),
        ("w", np.array([None])),
        ("w", np.zeros(1, "f2")),
        ("w", np.zeros(1, "c8")),
        ("w", np.array(["a"])),
    ],
)
def test_what_could_not_be_read_is_not_saved(name: str, array: Any) -> None:
    with pytest.raises(ValueError, match="no place in a checkpoint"):
        encode(Snapshot(META, {name: array}))


def test_a_state_beyond_the_format_is_refused_before_it_is_built(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(archive, "MAX_SIZE", archive.MAX_META + 300)
    with pytest.raises(OutputError, match="2 arrays and"):
        encode(tiny())


# ---------------------------------------------------------------- what is not


def test_r19_every_flipped_bit_and_every_truncation_is_refused() -> None:
    for end in range(len(DATA)):
        refused(DATA[:end])
    for i in range(len(DATA)):
        for bit in range(8):
            damaged = bytearray(DATA)
            damaged[i] ^= 1 << bit
            with pytest.raises(CheckpointError):
                decode(bytes(damaged), "x")


def test_r19_the_description_alone_defends_itself() -> None:
    end = archive.meta_end(DATA, "x")
    assert archive.unpack_meta(DATA[:end], "x")["step"] == 7
    for i in range(archive.META_START, end):
        for bit in range(8):
            damaged = bytearray(DATA[:end])
            damaged[i] ^= 1 << bit
            with pytest.raises(CheckpointError):
                archive.unpack_meta(bytes(damaged), "x")


def mutated(rng: random.Random, data: bytes) -> bytes:
    for _ in range(rng.randint(1, 4)):
        i, j = sorted(rng.randrange(len(data) + 1) for _ in range(2))
        match rng.randrange(5):
            case 0:
                data = data[:i] + data[j:]
            case 1:
                data = data[:i] + rng.randbytes(rng.randint(1, 9)) + data[i:]
            case 2:
                data = data[:i] + rng.randbytes(min(j - i, 9)) + data[i + min(j - i, 9) :]
            case 3:
                data = data[:j] + data[i:]
            case _:
                data = data[:i] + struct.pack("<I", rng.choice([0, 1, 2**31, 2**32 - 1])) + data[i + 4 :]
    return data


def test_r18_2000_mutations_give_our_own_error_or_the_same_content() -> None:
    for seed in range(2000):
        data = mutated(random.Random(seed), DATA)
        try:
            snapshot = decode(data, "x")
        except CheckpointError:
            continue
        assert same(snapshot, tiny())


ODD: list[Any] = [None, True, -1, 1, 1.5, "", "x", [], {}, [[]], 2**63, 2**70, "\ud800", [1, "a"], {"a": None}]

ACCEPTED: dict[str, list[Any]] = {
    "step": [1],
    "seed": [1, 2**63],
    "config": [{}, {"a": None}],
    "config_sha256": ["", "x", "\ud800"],
    "arrays": [[]],
    "version": [1],
    "format": [],
    "extra": ODD,
}


@pytest.mark.parametrize("key", ACCEPTED)
def test_r18_odd_values_in_a_signed_description(key: str) -> None:
    for odd in ODD:
        data = forge([], **{key: odd})
        if (odd, type(odd)) in [(g, type(g)) for g in ACCEPTED[key]]:
            decode(data, "x")
        else:
            refused(data)


@pytest.mark.parametrize("key", ["name", "dtype", "shape", "sha256"])
def test_r18_odd_values_in_a_signed_list(key: str) -> None:
    for odd in ODD:
        refused(forge([member(name="v")], arrays=[{**entry("v"), key: odd}]))


def npz(compression: int = zipfile.ZIP_STORED, **members: bytes) -> bytes:
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w", compression) as file:
        for name, content in members.items():
            file.writestr(f"{name}.npy", content)
    return buffer.getvalue()


def npy(array: Any) -> bytes:
    buffer = io.BytesIO()
    np.save(buffer, array)
    return buffer.getvalue()


class Payload:
    def __reduce__(self) -> tuple[Any, ...]:
        return os.mkdir, ("canary",)


def tar() -> bytes:
    buffer = io.BytesIO()
    with tarfile.open(fileobj=buffer, mode="w") as file:
        file.addfile(tarfile.TarInfo("a"))
    return buffer.getvalue()


FOREIGN = {
    "75-empty": b"",
    "78-text": b"hello\n",
    "78-html": b"<!doctype html>" + b" " * 500,
    "78-png": b"\x89PNG\r\n\x1a\n" + bytes(500),
    "78-tar": tar(),
    "78-npy": npy(np.zeros(100)),
    "79-pickle": pickle.dumps(Payload()),
    "79-object-array": npz(meta=npy(np.array([Payload()], dtype=object))),
    "80-bomb": npz(zipfile.ZIP_DEFLATED, meta=npy(np.zeros(2**22))),
    "80-nested": npz(meta=DATA),
    "84-meta-missing": npz(w=npy(np.zeros(3))),
    "84-no-npy-magic": npz(meta=b"{}" * 200),
    "86-junk-before": b"x" + DATA,
    "86-junk-after": DATA + b"x",
    "86-comment": DATA[:-2] + b"\1\0x",
    "86-twice": DATA + DATA,
    "90-no-meta": forge([], format=None),
    "90-newer": forge([], version=2),
    "90-other-format": forge([], format="other"),
}


@pytest.mark.parametrize("case", FOREIGN)
def test_foreign_files(case: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    refused(FOREIGN[case])
    assert list(tmp_path.iterdir()) == []


def test_the_messages_say_what_is_wrong() -> None:
    assert refused(b"") == "error: x.npz: empty, expected a checkpoint"
    assert "not a dlcli checkpoint" in refused(b"hello" * 100)
    assert "format version 2, expected 1" in refused(forge([], version=2))
    broken = bytearray(DATA)
    broken[DATA.index(tiny().arrays["0.weight"].tobytes()) + 5] ^= 1
    assert "array '0.weight' is damaged: sha256 " in refused(bytes(broken))
    assert "holds nan or inf" in refused(signed_nan())
    assert "step is -1, expected a whole number from 0" in refused(forge([], step=-1))


def signed_nan() -> bytes:
    payload = np.array([np.nan], "f4").tobytes()
    return forge([member(payload=payload)], arrays=[entry(payload=payload)])


LISTS = {
    "81-huge": [entry(shape=[2**40])],
    "81-overflow": [entry(shape=[2**32, 2**32])],
    "81-2**63": [entry(shape=[2**63])],
    "81-negative": [entry(shape=[-1])],
    "81-bool": [entry(shape=[True])],
    "81-zero-and-huge": [entry(shape=[0, 2**62, 2**62])],
    "81-deep": [entry(shape=[1] * 100)],
    "81-not-a-list": [entry(shape="1")],
    "83-object": [entry(dtype="|O")],
    "83-structured": [entry(dtype=[["a", "<f4"]])],
    "83-void": [entry(dtype="|V4")],
    "83-big-endian": [entry(dtype=">f4")],
    "83-complex": [entry(dtype="<c8")],
    "83-text": [entry(dtype="<U1")],
    "83-half": [entry(dtype="<f2")],
    "84-missing-member": [entry(), entry("x")],
    "84-extra-member": [],
    "84-twice": [entry(), entry()],
    "84-not-sorted": [entry("x"), entry("w")],
    "85-parent": [entry("../../x")],
    "85-absolute": [entry("/abs")],
    "85-folder": [entry("w/")],
    "85-meta-again": [entry("meta")],
    "85-control": [entry("\x1b[31m")],
    "85-long": [entry("w" * 129)],
    "82-extra-key": [{**entry(), "more": 1}],
    "82-key-missing": [{"name": "w"}],
    "82-not-a-dict": [3],
    "82-null": None,
}


@pytest.mark.parametrize("case", LISTS)
def test_signed_lists_that_do_not_describe_the_file(case: str) -> None:
    refused(forge([member()], arrays=LISTS[case]))


@pytest.mark.parametrize("descr", [">f4", "<c8", "<f2", "|V4", "<U1", "<M8[s]", "<u4", "float32"])
def test_83_dtypes_beyond_the_six_even_where_all_agrees(descr: str) -> None:
    payload = bytes(np.dtype(descr).itemsize)
    listed = [entry(dtype=descr, payload=payload)]
    assert "dtype" in refused(forge([member(archive._npy_header(descr, (1,)), payload=payload)], arrays=listed))


@pytest.mark.parametrize("shape", [(True,), (-1, -1), (1, True), (0, -1)])
def test_81_shapes_that_are_none_even_where_all_agrees(shape: tuple[int, ...]) -> None:
    payload = bytes(4 * max(0, math.prod(shape)))
    listed = [entry(shape=list(shape), payload=payload)]
    refused(forge([member(archive._npy_header("<f4", shape), payload=payload)], arrays=listed))


HEADERS = {
    "82-long": b"\x93NUMPY\1\0" + struct.pack("<H", 20_000) + b" " * 20_000,
    "82-unbalanced": archive._npy_header("<f4", (1,)).replace(b"}", b" "),
    "82-version-2": b"\x93NUMPY\2\0" + archive._npy_header("<f4", (1,))[8:],
    "82-fortran": archive._npy_header("<f4", (1,)).replace(b"False", b"True "),
    "82-other-shape": archive._npy_header("<f4", (2,)),
    "82-other-dtype": archive._npy_header("<i4", (1,)),
    "82-none": b"",
}


@pytest.mark.parametrize("case", HEADERS)
def test_npy_headers_that_are_not_the_one(case: str) -> None:
    assert same(decode(forge([member()], arrays=[entry()]), "x"), Snapshot(META, {"w": np.zeros(1, "f4")}))
    refused(forge([member(HEADERS[case])], arrays=[entry()]))


def zip_fields() -> list[tuple[str, int]]:
    start, found = 0, []
    for signature, fields in (
        (b"PK\3\4", {"flags": 6, "method": 8, "time": 10, "crc": 14, "size": 18, "extra": 28}),
        (b"PK\1\2", {"made by": 4, "flags": 8, "method": 10, "comment": 32, "attributes": 38, "offset": 42}),
        (b"PK\5\6", {"disk": 4, "count": 10, "size": 12, "offset": 16, "comment": 20}),
    ):
        start = DATA.index(signature)
        found += [(f"{signature!r} {name}", start + at) for name, at in fields.items()]
    return found


@pytest.mark.parametrize(("name", "at"), zip_fields())
def test_86_zip_headers_that_lie(name: str, at: int) -> None:
    refused(DATA[:at] + bytes([DATA[at] ^ 0xFF]) + DATA[at + 1 :])


@pytest.mark.parametrize(
    "text",
    [
        b"",
        b"x" * 300,
        b"[]",
        b'{"a":NaN}' + b" " * 99,
        b"[" * 100_000,
        b'{"step":' + b"9" * 5000 + b"}",
        b"\xff" * 99,
        archive._canonical({"format": archive.FORMAT, "step": 1, "version": 1})[:-1] + b',"step":1}',
    ],
)
def test_90_descriptions_that_are_not_canonical_json(text: bytes) -> None:
    refused(archive._assemble([archive._meta_member(text)]) + bytes(200))


@pytest.mark.parametrize(
    ("old", "new"),
    [(b'"step":7,', b'"step":1,"step":7,'), (b'"step":7,', b'"step": 7,'), (b"tiny", b"\\u0074iny"), (b"0.1", b"0.10")],
)
def test_90_a_signed_description_has_one_spelling(old: bytes, new: bytes) -> None:
    signed = DATA[archive.META_START : archive.meta_end(DATA, "x")]
    assert old in signed
    assert json.loads(signed.replace(old, new)) == json.loads(signed)
    rest = [(n, archive._npy_header(a.dtype.str, a.shape), memoryview(a.tobytes())) for n, a in tiny().arrays.items()]
    assert archive._assemble([archive._meta_member(signed), *sorted(rest)]) == DATA
    refused(archive._assemble([archive._meta_member(signed.replace(old, new)), *sorted(rest)]))


def test_90_a_huge_description_is_not_read() -> None:
    data = bytearray(DATA)
    data[22:26] = struct.pack("<I", 50_000_000)
    assert "expected at most" in refused(bytes(data))


@pytest.mark.parametrize("key", ["step", "epoch", "batch_in_epoch", "metrics_lines", "seed"])
@pytest.mark.parametrize("value", [-1, 2**64, 1.0, True, "1", None])
def test_91_counters_out_of_range(key: str, value: object) -> None:
    assert f"{key} is " in refused(forge([], **{key: value}))


@pytest.mark.parametrize(
    ("expected", "message"),
    [
        ({"w": ((3, 2), "f4")}, "got (2, 3) float32, expected (3, 2) float32"),
        ({"w": ((2, 3), "f8")}, "got (2, 3) float32, expected (2, 3) float64"),
        ({"w": ((6,), "f4")}, "got (2, 3) float32, expected (6,) float32"),
        ({}, "array 'w' has no place in this model"),
        ({"w": ((2, 3), "f4"), "b": ((3,), "f4")}, "array 'b' is missing"),
    ],
)
def test_87_arrays_that_do_not_fit_the_model(expected: dict[str, Any], message: str) -> None:
    arrays = {"w": np.zeros((2, 3), "f4")}
    check_fit(arrays, {"w": ((2, 3), np.float32)}, "x.npz")
    with pytest.raises(CheckpointError) as caught:
        check_fit(arrays, expected, "x.npz")
    assert str(caught.value).startswith("x.npz: array ")
    assert message in str(caught.value)


def test_96_97_files_that_cannot_be_read(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "dangling").symlink_to(tmp_path / "nowhere")
    (tmp_path / "loop").symlink_to(tmp_path / "loop")
    os.mkfifo(tmp_path / "fifo")
    (tmp_path / "folder").mkdir()
    with (tmp_path / "large").open("wb") as file:
        file.truncate(archive.MAX_SIZE + 1)
    for name, reason in {
        "missing": "no such file or directory",
        "dangling": "no such file or directory",
        "loop": "too many levels of symbolic links",
        "fifo": "not a regular file",
        "folder": "is a directory",
        "large": "bytes, expected at most",
        "x" * 300: "file name too long",
    }.items():
        with pytest.raises(CheckpointError, match=reason) as caught:
            read(tmp_path / name)
        assert len(caught.value.lines()) == 1
    (tmp_path / "good").write_bytes(DATA)
    os.link(tmp_path / "good", tmp_path / "hard")
    (tmp_path / "soft").symlink_to(tmp_path / "good")
    for name in ("good", "hard", "soft"):
        assert same(read(tmp_path / name), tiny())

    def refuse(*_: object) -> int:
        raise PermissionError(13, "Permission denied")

    monkeypatch.setattr(os, "open", refuse)
    with pytest.raises(CheckpointError, match="cannot read: permission denied"):
        read(tmp_path / "good")
