"""The arena: one vector, named windows that cannot part from it, and segments for optimizers."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from dlcli.core.arena import ALIGN, Arena, Parameter, Scratch, Segment, Views, aligned

PARAMETERS = [
    Parameter("0.weight", (2, 3)),
    Parameter("0.bias", (2,), decay=0.0),
    Parameter("1.weight", (4,), trainable=False),
    Parameter("2.weight", (3, 2)),
    Parameter("2.bias", (3,), decay=0.0, lr_mult=2.0),
]


@pytest.mark.parametrize("shape", [(), (0,), (1,), (3, 5), (2, 0, 4)])
@pytest.mark.parametrize("dtype", [np.float32, np.float64, np.complex128, bool])
def test_aligned_memory_starts_on_a_cache_line(shape: tuple[int, ...], dtype: Any) -> None:
    array = aligned(shape, dtype)
    assert (array.shape, array.dtype) == (shape, np.dtype(dtype))
    assert array.size == 0 or array.ctypes.data % ALIGN == 0
    assert not array.any()
    assert array.flags.c_contiguous


def test_windows_tile_the_vectors_without_gap_or_overlap() -> None:
    arena = Arena(PARAMETERS, np.float64)
    assert list(arena.params) == list(arena.gradients) == [p.name for p in PARAMETERS]
    for i, p in enumerate(PARAMETERS):
        assert arena.params[p.name].shape == p.shape
        arena.params[p.name] += i + 1
        arena.gradients[p.name] -= i + 1
    assert sorted(arena.values) == sorted(i + 1 for i, p in enumerate(PARAMETERS) for _ in range(p.size))
    np.testing.assert_array_equal(arena.values, -arena.grads)


def test_trained_parameters_come_first_and_decayed_ones_before_the_rest() -> None:
    arena = Arena(PARAMETERS, np.float32)
    assert arena.segments == [Segment(0, 12, 1.0, 1.0), Segment(12, 15, 2.0, 0.0), Segment(15, 17, 1.0, 0.0)]
    assert arena.trainable == 17
    assert arena.slices["1.weight"][0] == slice(17, 21)
    assert arena.values.dtype == arena.grads.dtype == np.float32


def test_no_parameters_and_none_trained() -> None:
    assert (Arena([], np.float32).trainable, Arena([], np.float32).segments) == (0, [])
    frozen = Arena([Parameter("w", (3,), trainable=False)], np.float32)
    assert (frozen.trainable, frozen.segments, frozen.values.size) == (0, [], 3)


def test_views_of_a_shorter_vector_are_those_it_holds() -> None:
    arena = Arena(PARAMETERS, np.float64)
    slot = np.arange(17.0)
    views = arena.views(slot)
    assert list(views) == ["0.weight", "0.bias", "2.weight", "2.bias"]
    assert all(np.shares_memory(v, slot) for v in views.values())


def test_load_copies_by_name() -> None:
    arena, source = Arena(PARAMETERS, np.float32), {p.name: np.full(p.shape, i) for i, p in enumerate(PARAMETERS)}
    arena.load({name: a.astype(np.float32) for name, a in source.items()})
    for name, array in source.items():
        np.testing.assert_array_equal(arena.params[name], array)


def test_assignment_writes_through() -> None:
    memory = np.zeros(6)
    views = Views({"w": memory.reshape(2, 3)})
    views["w"] = np.ones((2, 3))
    assert memory.sum() == 6
    views["w"] -= 0.5
    assert memory.sum() == 3
    views["w"] = [[1, 2, 3], [4, 5, 6]]
    assert memory.tolist() == [1, 2, 3, 4, 5, 6]
    assert np.shares_memory(views["w"], memory)


@pytest.mark.parametrize(
    ("name", "value", "error", "message"),
    [
        ("w", np.ones((3, 2)), ValueError, r"w: got shape \(3, 2\), expected \(2, 3\)"),
        ("w", 1.0, ValueError, r"w: got shape \(\), expected \(2, 3\)"),
        ("v", np.ones((2, 3)), KeyError, "no array named 'v'; there are w"),
        ("w", np.ones((2, 3), complex), TypeError, "Cannot cast"),
    ],
)
def test_assignment_is_checked(name: str, value: Any, error: type[Exception], message: str) -> None:
    views = Views({"w": np.zeros((2, 3))})
    with pytest.raises(error, match=message):
        views[name] = value
    assert not views["w"].any()


def test_scratch_outside_a_network_is_fresh_and_inside_it_is_kept() -> None:
    alone = Scratch()
    assert not np.shares_memory(alone.buffer("y", (4, 2)), alone.buffer("y", (4, 2)))
    kept = Scratch()
    kept.scratch, kept.dtype = {}, np.dtype(np.float32)
    first = kept.buffer("y", (4, 2))
    assert first.dtype == np.float32
    assert kept.buffer("y", (4, 2)) is first
    assert kept.buffer("mask", (4,), bool).dtype == bool
    short = kept.buffer("y", (3, 2))
    assert short.shape == (3, 2)
    assert np.shares_memory(short, first)
    assert kept.buffer("y", (4, 2)) is first
    longer = kept.buffer("y", (9, 2))
    assert longer.shape == (9, 2)
    assert not np.shares_memory(longer, first)
    assert kept.buffer("y", (9, 3)).shape == (9, 3)
