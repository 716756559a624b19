"""The IDX reader: what it reads, and the one kind of error for everything else (bad inputs 100 to 105, R18)."""

from __future__ import annotations

import gzip
import struct

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from loopback import idx

from dlcli.core.errors import DataError
from dlcli.data.idx import idx_shape, image_samples, read_idx

IMAGES = np.arange(2 * 3 * 4).reshape(2, 3, 4)
GOOD = idx(IMAGES)
PACKED = gzip.compress(GOOD, mtime=0)


def header(*dims: int, kind: int = 8, ndim: int | None = None) -> bytes:
    return struct.pack(f">4B{len(dims)}I", 0, 0, kind, len(dims) if ndim is None else ndim, *dims)


@pytest.mark.parametrize(("data", "name"), [(GOOD, "a"), (PACKED, "a.gz")])
def test_reads_back_what_was_written(data: bytes, name: str) -> None:
    np.testing.assert_array_equal(read_idx(data, name, 3), IMAGES)
    assert idx_shape(data, name, 3) == (2, 3, 4)


@pytest.mark.parametrize(
    ("data", "words"),
    [
        (b"", "got 0 bytes"),
        (b"\0\0\x08", "got 3 bytes"),
        (b"<!DO" + GOOD, "not an IDX file"),
        (header(2, 3, 4, kind=0x0A) + GOOD[16:], "type 0x0a"),
        (header(2, 3, 4, kind=0x0D) + GOOD[16:], "type 0x0d"),
        (header(ndim=0), "0 dimensions"),
        (header(1, 2, 3, 4) + GOOD[16:], "4 dimensions"),
        (header(2, 3, 4, ndim=255) + GOOD[16:], "255 dimensions"),
        (header(24) + GOOD[16:], "images and labels swapped"),
        (GOOD[:11], "header cut after 11 bytes"),
        (header(2, 0, 4), "expected each from 1"),
        (header(2**32 - 1, 2**32 - 1, 2**32 - 1), "expected each from 1"),
        (header(2**31, 2**31, 2**31) + GOOD[16:], "more than the"),
        (header(2**20, 2**10, 2) + GOOD[16:], "more than the"),
        (GOOD[:-1], "got 23 bytes after the header, expected 24"),
        (GOOD + b"\0", "got more after the header, expected 24"),
        (PACKED, "without .gz"),
    ],
)
def test_e100_raw_file_that_lies(data: bytes, words: str) -> None:
    with pytest.raises(DataError, match=words):
        read_idx(data, "images", 3)


@pytest.mark.parametrize(
    ("data", "words"),
    [
        (GOOD, "not gzip"),
        (b"<html>", "not gzip"),
        (PACKED[:-4], "damaged or truncated"),
        (PACKED[:-8] + b"\0\0\0\0" + PACKED[-4:], "damaged or truncated"),
        (PACKED[:-4] + b"\0\0\0\0", "damaged or truncated"),
        (PACKED[:12] + b"\xff\xff" + PACKED[14:], "damaged or truncated"),
        (PACKED + b"junk", "damaged or truncated"),
        (PACKED + PACKED, "got more after the header"),
        (gzip.compress(bytes(10 << 20)), "type 0x00"),
        (gzip.compress(header(1, 2, 3) + bytes(10 << 20)), "got more after the header, expected 6"),
        (
            gzip.compress(header(100, 1 << 10, 1 << 10) + bytes(1 << 20)),
            "more than the 1... bytes of the file",
        ),
        (gzip.compress(header(1, 1 << 10, 1025) + bytes(1 << 20)), "got 1048576 bytes after the header"),
    ],
)
def test_e104_e105_gzip_that_lies(data: bytes, words: str) -> None:
    with pytest.raises(DataError, match=words):
        read_idx(data, "images.gz", 3)


def test_e101_counts_that_differ_name_both_files() -> None:
    with pytest.raises(DataError, match=r"images: got 2 images and 3 labels in labels, .*mixed up"):
        image_samples(("images", GOOD), ("labels", idx(np.zeros(3))), 10)


@pytest.mark.parametrize("label", [10, 255])
def test_e102_label_out_of_range_is_named(label: int) -> None:
    with pytest.raises(DataError, match=f"labels: got label {label} at index 1, expected 0 to 9"):
        image_samples(("images", GOOD), ("labels", idx(np.array([9, label]))), 10)


def test_e103_labels_given_as_images() -> None:
    with pytest.raises(DataError, match=r"images: got labels .* expected images .* swapped"):
        image_samples(("images", idx(np.zeros(2))), ("labels", GOOD), 10)


def test_samples_have_a_channel_axis() -> None:
    samples = image_samples(("images", GOOD), ("labels", idx(np.array([0, 9]))), 10)
    assert samples.inputs.shape == (2, 1, 3, 4)
    assert samples.inputs.dtype == np.uint8
    assert samples.targets.tolist() == [0, 9]
    assert samples.targets.dtype == np.int64


@given(
    packed=st.booleans(),
    edits=st.lists(st.tuples(st.integers(0, 80), st.integers(0, 255)), max_size=3),
    cut=st.none() | st.integers(0, 80),
    tail=st.binary(max_size=3),
)
@settings(max_examples=2000, deadline=None, derandomize=True)
def test_r18_mutations_give_data_errors_only(
    packed: bool, edits: list[tuple[int, int]], cut: int | None, tail: bytes
) -> None:
    data = bytearray(PACKED if packed else GOOD)
    for place, value in edits:
        data[place % len(data)] = value
    mutant = bytes(data[:cut]) + tail
    array, error = attempt(mutant, "images.gz" if packed else "images")
    if error is not None:
        assert len(error.lines()) == 1
        assert len(error.lines()[0]) <= 400
    if array is not None:
        assert array.ndim == 3
        assert packed or array.size + 16 == len(mutant)


def attempt(data: bytes, name: str) -> tuple[np.ndarray | None, DataError | None]:
    try:
        return read_idx(data, name, 3), None
    except DataError as error:
        return None, error
