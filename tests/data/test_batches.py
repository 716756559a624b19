"""Batches: every sample once an epoch, in an order of (seed, epoch), normalised by the training part."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from dlcli.core.errors import DataError
from dlcli.data.batches import Batches, Normalizer, split_validation
from dlcli.data.dataset import Samples

AS_THEY_ARE = Normalizer(np.zeros(()), np.ones(()))


def numbered(n: int) -> Samples:
    """Sample i is [i, i] with target i."""
    return Samples(np.repeat(np.arange(float(n))[:, None], 2, axis=1), np.arange(n))


def order(batches: Batches, epoch: int, first: int = 0) -> list[list[int]]:
    found = []
    for x, y in batches.epoch(epoch, first):
        np.testing.assert_array_equal(x[:, 0], y)
        found.append(y.tolist())
    return found


@pytest.mark.parametrize(
    ("n", "size", "drop_last", "sizes"),
    [
        (10, 4, False, [4, 4, 2]),
        (10, 4, True, [4, 4]),
        (8, 4, True, [4, 4]),
        (3, 4, False, [3]),
        (3, 4, True, []),
        (5, 1, False, [1] * 5),
    ],
)
@pytest.mark.parametrize("shuffle", [False, True])
def test_sizes_of_batches(n: int, size: int, drop_last: bool, sizes: list[int], shuffle: bool) -> None:
    batches = Batches(numbered(n), AS_THEY_ARE, np.float32, size, shuffle=shuffle, drop_last=drop_last)
    found = order(batches, 0)
    assert [len(b) for b in found] == sizes
    assert len(batches) == len(sizes)
    rows = [row for b in found for row in b]
    assert len(set(rows)) == len(rows)
    if not drop_last:
        assert sorted(rows) == list(range(n))


def test_without_shuffle_the_order_is_that_of_the_data() -> None:
    batches = Batches(numbered(7), AS_THEY_ARE, np.float64, 3)
    assert order(batches, 5) == [[0, 1, 2], [3, 4, 5], [6]]


def test_the_order_is_a_function_of_seed_and_epoch() -> None:
    def made(seed: int) -> Batches:
        return Batches(numbered(30), AS_THEY_ARE, np.float32, 7, seed=seed, shuffle=True)

    batches = made(1)
    first, second = order(batches, 0), order(batches, 1)
    assert first != second
    assert order(batches, 0) == first
    assert order(made(1), 1) == second
    assert order(made(2), 0) != first


@pytest.mark.parametrize("first", [0, 1, 3, 5])
def test_an_epoch_may_be_entered_at_any_batch(first: int) -> None:
    batches = Batches(numbered(30), AS_THEY_ARE, np.float32, 7, seed=1, shuffle=True)
    assert order(batches, 2, first) == order(batches, 2)[first:]


def test_arrays_are_reused_and_of_the_dtype_asked_for() -> None:
    batches = Batches(numbered(9), AS_THEY_ARE, np.float32, 4)
    (x0, y0), (x1, y1), (x2, _) = batches.epoch(0)
    assert np.shares_memory(x0, x1)
    assert np.shares_memory(x0, x2)
    assert np.shares_memory(y0, y1)
    assert (x0.dtype, y0.dtype) == (np.float32, np.int64)


def test_the_data_is_never_written() -> None:
    inputs, targets = np.arange(12, dtype=np.uint8).reshape(6, 2), np.arange(6)
    inputs.flags.writeable = targets.flags.writeable = False
    normalizer = Normalizer.fit("standardize", inputs, image=False)
    for x, _ in Batches(Samples(inputs, targets), normalizer, np.float32, 4, shuffle=True).epoch(0):
        x += 1


def pictures(dtype: Any, channels: int = 1) -> Any:
    return np.random.default_rng(0).integers(3, 250, (40, channels, 4, 4)).astype(dtype)


@pytest.mark.parametrize("dtype", [np.uint8, np.float32, np.float64])
@pytest.mark.parametrize(
    ("inputs", "image", "axes", "shape"),
    [
        (pictures(np.uint8), True, None, ()),
        (pictures(np.uint8, 3), True, (0, 2, 3), (3, 1, 1)),
        (np.random.default_rng(1).integers(0, 99, (50, 5)), False, 0, (5,)),
    ],
    ids=["grey", "colour", "table"],
)
def test_standardized_inputs_have_mean_0_and_deviation_1(
    inputs: Any, image: bool, axes: Any, shape: tuple[int, ...], dtype: Any
) -> None:
    inputs = inputs.astype(dtype)
    normalizer = Normalizer.fit("standardize", inputs, image)
    assert normalizer.mean.shape == normalizer.std.shape == shape
    assert normalizer.mean.dtype == normalizer.std.dtype == np.float64
    x = normalizer.apply(inputs, np.empty(inputs.shape))
    np.testing.assert_allclose(x.mean(axis=axes), 0, atol=1e-12)
    np.testing.assert_allclose(x.std(axis=axes), 1, rtol=1e-12)
    narrow = normalizer.apply(inputs, np.empty(inputs.shape, np.float32))
    np.testing.assert_allclose(narrow, x, rtol=1e-4, atol=1e-5)


def test_unit_maps_the_range_to_0_and_1() -> None:
    inputs = np.array([[2.0, -4.0], [4.0, 4.0], [3.0, 0.0]])
    normalizer = Normalizer.fit("unit", inputs, image=False)
    np.testing.assert_allclose(normalizer.apply(inputs, np.empty((3, 2))), [[0, 0], [1, 1], [0.5, 0.5]])
    grey = np.array([[[[0, 255]]], [[[51, 0]]]], np.uint8)
    unit = Normalizer.fit("unit", grey, image=True)
    np.testing.assert_allclose(unit.apply(grey, np.empty(grey.shape)).ravel(), [0, 1, 0.2, 0])


def test_none_only_casts() -> None:
    inputs = pictures(np.uint8)
    normalizer = Normalizer.fit("none", inputs, image=True)
    np.testing.assert_array_equal(normalizer.apply(inputs, np.empty(inputs.shape, np.float32)), inputs)


@pytest.mark.parametrize("mode", ["unit", "standardize"])
def test_a_column_without_spread_is_only_shifted(mode: str) -> None:
    inputs = np.array([[5.0, 1.0], [5.0, 2.0]])
    x = Normalizer.fit(mode, inputs, image=False).apply(inputs, np.empty((2, 2)))
    np.testing.assert_array_equal(x[:, 0], [0.0, 0.0])
    assert np.ptp(x[:, 1]) > 0


def test_large_data_in_blocks_gives_the_plain_figures() -> None:
    inputs = np.random.default_rng(0).normal(50, 3, (10_000, 3)).astype(np.float32)
    normalizer = Normalizer.fit("standardize", inputs, image=False)
    np.testing.assert_allclose(normalizer.mean, inputs.mean(0, dtype=np.float64), rtol=1e-12)
    np.testing.assert_allclose(normalizer.std, inputs.std(0, dtype=np.float64), rtol=1e-12)


@pytest.mark.parametrize("mode", ["none", "unit", "standardize"])
@pytest.mark.parametrize("value", [np.nan, np.inf])
def test_inputs_that_are_not_finite_are_refused(mode: str, value: float) -> None:
    inputs = np.ones((4, 2))
    inputs[2, 1] = value
    with pytest.raises(DataError, match="the training inputs hold values that are not finite; clean the data"):
        Normalizer.fit(mode, inputs, image=False)


@pytest.mark.parametrize(("validation", "held"), [(0, 0), (30, 30), (0.25, 25), (0.0, 0), (0.005, 0), (0.999, 100)])
def test_split_holds_out_a_count_or_a_fraction(validation: float, held: int) -> None:
    train, val = split_validation(100, validation, seed=3)
    assert len(val) == held
    assert sorted([*train, *val]) == list(range(100))
    assert (np.diff(train) > 0).all()
    assert (np.diff(val) > 0).all()


def test_split_is_drawn_from_the_seed() -> None:
    np.testing.assert_array_equal(split_validation(100, 20, 1)[1], split_validation(100, 20, 1)[1])
    assert not np.array_equal(split_validation(100, 20, 1)[1], split_validation(100, 20, 2)[1])
    assert not np.array_equal(split_validation(100, 20, 1)[1], np.arange(20))


def test_a_column_without_spread_but_for_rounding_is_only_shifted() -> None:
    train = np.stack([np.arange(50.0), np.full(50, 0.1)], axis=1)
    normalizer = Normalizer.fit("standardize", train, image=False)
    test = np.array([[1.0, 0.10000001]])
    assert abs(normalizer.apply(test, np.empty((1, 2), np.float32))[0, 1]) < 1e-6


def test_a_large_offset_leaves_all_digits() -> None:
    raw = 1.7e9 + np.arange(100.0)[:, None]
    normalizer = Normalizer.fit("standardize", raw, image=False)
    wanted = (np.arange(100.0) - 49.5) / np.arange(100.0).std()
    np.testing.assert_allclose(normalizer.apply(raw, np.empty((100, 1), np.float32))[:, 0], wanted, rtol=1e-6)


def test_raw_samples_are_augmented_before_they_are_normalised() -> None:
    def augment(raw: Any, rows: Any, epoch: int) -> Any:
        seen.append((raw.shape, raw.dtype, rows.tolist(), epoch))
        return raw.astype(np.float32) + 1000 * epoch + rows[:, None, None, None]

    seen: list[Any] = []
    inputs = pictures(np.uint8, 3)
    normalizer = Normalizer.fit("standardize", inputs, image=True)
    batches = Batches(Samples(inputs, np.arange(40)), normalizer, np.float32, 16, seed=2, shuffle=True, augment=augment)
    for x, y in batches.epoch(3, first=1):
        raw = inputs[y] + 3000.0 + y[:, None, None, None]
        np.testing.assert_allclose(x, (raw - normalizer.mean) / normalizer.std, rtol=1e-4)
    plain = Batches(Samples(inputs, np.arange(40)), normalizer, np.float32, 16, seed=2, shuffle=True)
    order = [y.tolist() for _, y in plain.epoch(3, first=1)]
    assert seen == [((16, 3, 4, 4), np.uint8, order[0], 3), ((8, 3, 4, 4), np.uint8, order[1], 3)]


@pytest.mark.parametrize("channels", [1, 3])
def test_images_are_gathered_whole(channels: int) -> None:
    inputs, rows = pictures(np.uint8, channels), np.array([7, 0, 39, 7])
    x, y = Batches(Samples(inputs, np.arange(40)), AS_THEY_ARE, np.float32, 4).gather(rows)
    np.testing.assert_array_equal(x, inputs[rows])
    np.testing.assert_array_equal(y, rows)
