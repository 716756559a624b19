"""Random streams: a function of (seed, purpose, indices), never the same for two keys."""

from __future__ import annotations

import itertools

import numpy as np
import pytest

from dlcli.core.rng import PURPOSES, quarters, stream


def first(seed: int, purpose: str, *indices: int) -> int:
    return int(stream(seed, purpose, *indices).integers(1 << 62))


def test_a_key_repeats() -> None:
    assert first(7, "shuffle", 3) == first(7, "shuffle", 3)


def test_different_keys_are_different_streams() -> None:
    seeds = [0, 1, 2**32 - 1, 2**32, 2**33, 2**63, 2**64 - 1]
    indices = [(), (0,), (1,), (0, 0), (0, 1), (1, 0), (2**32,), (0, 0, 0)]
    keys = list(itertools.product(seeds, PURPOSES, indices))
    assert len({first(seed, purpose, *index) for seed, purpose, index in keys}) == len(keys)


def test_purposes_keep_their_order() -> None:
    """The position is part of the bits of every run: new ones go to the end."""
    known = ("init", "shuffle", "split", "layer", "data", "gradcheck", "standalone", "augment", "sample")
    assert PURPOSES[: len(known)] == known


def test_the_bits_of_a_stream_are_pinned() -> None:
    assert stream(0, "init", 0, 0).bit_generator.random_raw() == 5253731862009951179


def test_an_unknown_purpose_is_a_bug() -> None:
    with pytest.raises(ValueError, match="tuple"):
        stream(0, "fun")


def test_parts_of_a_stream_are_what_the_whole_has_there() -> None:
    whole = stream(3, "layer").integers(0, 1 << 64, size=10, dtype=np.uint64).view(np.uint16)
    for first, last in itertools.combinations(range(len(whole) + 1), 2):
        np.testing.assert_array_equal(quarters(stream(3, "layer"), first, last), whole[first:last])
