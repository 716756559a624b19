"""Augmentations: a function of (seed, epoch, sample), each equal to its textbook twin."""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
from registered import build, names, rows
from scipy.ndimage import gaussian_filter1d, map_coordinates

from dlcli.core.errors import ConfigError, ShapeError
from dlcli.core.options import Example
from dlcli.core.rng import stream
from dlcli.data.augment.augmentation import Augmentation, Scale, Warp, augmentations, warp
from dlcli.data.augment.draws import Draws
from dlcli.data.augment.elastic import bumps
from dlcli.data.augment.pipeline import Augmenter
from dlcli.data.augment.places import Places

SCALE = Scale(np.asarray(33.0), np.asarray(78.0))
TABLE = build("augmentations", "GaussianNoise", {"std": 0.5})


def made(name: str, **options: Any) -> Any:
    return build("augmentations", name, options)


def samples(shape: tuple[int, ...], n: int = 40, dtype: Any = np.uint8) -> Any:
    drawn = np.random.default_rng(1).integers(0, 256, (n, *shape)).astype(dtype)
    drawn.flags.writeable = False
    return drawn


def augmented(parts: list[Any], raw: Any, numbers: Any = None, epoch: int = 0, seed: int = 0) -> Any:
    return Augmenter(parts, seed, SCALE)(raw, np.arange(len(raw)) if numbers is None else numbers, epoch).copy()


CHAINS = {
    "affine-elastic": [
        made("RandomAffine", degrees=10.0, translate=(0.1, 0.1), scale=(0.9, 1.1), shear=10.0),
        made("ElasticTransform"),
    ],
    "elastic-twice-rotation": [
        made("ElasticTransform", alpha=8.0, sigma=2.0),
        made("ElasticTransform", alpha=3.0, sigma=1.0),
        made("RandomRotation", degrees=20.0),
    ],
    "crop-flip-erase-noise": [
        made("RandomCrop", padding=2),
        made("RandomHorizontalFlip"),
        made("RandomErasing", value="random"),
        made("GaussianNoise"),
        made("RandomShift", pixels=1),
    ],
    "fills": [made("RandomShift", pixels=2), made("RandomRotation", degrees=9.0, fill=7.0)],
}
ALL = [
    *[pytest.param([of], shown.shape, id=f"{name}-{i}") for p in rows("augmentations") for name, shown in [p.values]
      for i, of in [(p.id.rpartition("-")[2], build("augmentations", name, shown.options))]],
    *[pytest.param(parts, (channels, 12, 9), id=f"{name}-{channels}") for name, parts in CHAINS.items()
      for channels in (1, 3)],
]  # fmt: skip


@pytest.mark.parametrize(("parts", "shape"), ALL)
def test_a_sample_is_a_function_of_seed_epoch_and_its_number(parts: list[Any], shape: tuple[int, ...]) -> None:
    raw, numbers = samples(shape), np.arange(40) * 1_000 + 7
    whole = augmented(parts, raw, numbers, epoch=3)
    used = Augmenter(parts, 0, SCALE)
    for size in (1, 7, 32, 40):
        pieces = []
        for start in range(0, 40, size):
            used(raw[:5], numbers[:5], 2)  # another epoch before, and a smaller batch
            block = slice(start, start + size)
            pieces.append(used(raw[block], numbers[block], 3).copy())
        np.testing.assert_array_equal(np.concatenate(pieces), whole)
    order = np.random.default_rng(0).permutation(40)
    np.testing.assert_array_equal(augmented(parts, raw[order], numbers[order], epoch=3), whole[order])


@pytest.mark.parametrize("name", names("augmentations"))
def test_every_part_epoch_seed_and_sample_draws_its_own(name: str) -> None:
    shown = augmentations.get(name).examples[0]
    part = build("augmentations", name, shown.options)
    raw = np.broadcast_to(samples(shown.shape, 1), (64, *shown.shape))
    one = augmented([part], raw)
    for other in (augmented([part], raw, epoch=1), augmented([part], raw, seed=1), augmented([part, part], raw)):
        assert not np.array_equal(other, one)
    assert len(np.unique(one.reshape(64, -1), axis=0)) > 1


@pytest.mark.parametrize(("parts", "shape"), ALL)
def test_shapes_dtypes_and_memory(parts: list[Any], shape: tuple[int, ...]) -> None:
    raw = samples(shape)
    wanted = augmented(parts, raw)
    assert (wanted.shape, wanted.dtype) == (raw.shape, np.float32)
    assert augmented(parts, raw.astype(np.float32)).dtype == np.float32
    exact = augmented(parts, raw.astype(np.float64))
    assert exact.dtype == np.float64
    np.testing.assert_allclose(exact, wanted, atol=2e-3)
    double = Augmenter(parts, 0, SCALE, np.float64)(raw, np.arange(40), 0)
    np.testing.assert_array_equal(double, exact)
    if len(shape) == 3:  # the same pixels with the channels last in memory
        swapped = np.ascontiguousarray(raw.transpose(0, 2, 3, 1)).transpose(0, 3, 1, 2)
        np.testing.assert_array_equal(augmented(parts, swapped), wanted)


def test_large_batches_are_varied_in_blocks(monkeypatch: pytest.MonkeyPatch) -> None:
    raw = samples((1, 12, 9))
    wanted = augmented(CHAINS["affine-elastic"], raw)
    monkeypatch.setattr("dlcli.data.augment.pipeline.BLOCK", 12 * 9 * 7)
    np.testing.assert_array_equal(augmented(CHAINS["affine-elastic"], raw), wanted)


@pytest.mark.parametrize(
    "part",
    [
        made("RandomRotation", degrees=0.0),
        made("RandomAffine", degrees=0.0),
        made("RandomAffine", degrees=0.0, translate=(0.0, 0.0), scale=(1.0, 1.0), shear=0.0),
        made("ElasticTransform", alpha=0.0),
        made("RandomErasing", p=0.0),
        made("RandomCrop", padding=0),
        made("GaussianNoise", std=0.0),
        made("RandomHorizontalFlip", p=0.0),
    ],
    ids=repr,
)
def test_nothing_changes_where_nothing_may(part: Any) -> None:
    raw = samples((3, 7, 8))
    np.testing.assert_array_equal(augmented([part], raw), raw)


# ---------------------------------------------------------------- twins

KEY = 99


def read(image: Any, places: Any, fill: float) -> Any:
    """SciPy's bilinear interpolation of one image (channels, height, width) at places (2, height, width)."""
    return np.stack([map_coordinates(c.astype(float), places, order=1, mode="grid-constant", cval=fill) for c in image])


def forward(image: Any, matrix: Any, fill: float) -> Any:
    """An image whose pixel p = (column, row, 1) from the middle goes to matrix @ p."""
    _, height, width = image.shape
    middle = np.array([(width - 1) / 2, (height - 1) / 2])[:, None]
    row, column = np.mgrid[:height, :width].reshape(2, -1)
    points = np.stack([column - middle[0], row - middle[1], np.ones(row.shape)])
    source = (np.linalg.inv(matrix) @ points)[:2] + middle
    return read(image, source[::-1].reshape(2, height, width), fill)


def turned(degrees: float) -> Any:
    """Clockwise, where rows count downward."""
    a = math.radians(degrees)
    return np.array([[math.cos(a), -math.sin(a), 0], [math.sin(a), math.cos(a), 0], [0, 0, 1]])


def affine_twin(part: Any, image: Any, draws: Draws) -> Any:
    """PyTorch's matrix T R(angle) Y X s, from the numbers in the order in which the augmentation draws them."""
    _, height, width = image.shape
    (a, b), (low, high) = part.translate or (0, 0), part.scale or (1, 1)
    shear = part.shear if isinstance(part.shear, tuple) else (-(part.shear or 0), part.shear or 0)
    angles = part.degrees if isinstance(part.degrees, tuple) else (-part.degrees, part.degrees)
    u = draws.uniform(*[(0, 1)] * 6)[:, 0]
    across, along = (2 * u[0] - 1) * a * width, (2 * u[1] - 1) * b * height
    scale, angle = low + u[2] * (high - low), angles[0] + u[3] * (angles[1] - angles[0])
    x = shear[0] + u[4] * (shear[1] - shear[0])
    y = shear[2] + u[5] * (shear[3] - shear[2]) if len(shear) == 4 else 0.0
    move = np.array([[1, 0, across], [0, 1, along], [0, 0, 1]])
    tilt_y = np.array([[1, 0, 0], [-math.tan(math.radians(y)), 1, 0], [0, 0, 1]])
    tilt_x = np.array([[1, -math.tan(math.radians(x)), 0], [0, 1, 0], [0, 0, 1]])
    return forward(image, move @ turned(angle) @ tilt_y @ tilt_x @ np.diag([scale, scale, 1]), part.fill)


def rotation_twin(part: Any, image: Any, draws: Draws) -> Any:
    low, high = part.degrees if isinstance(part.degrees, tuple) else (-part.degrees, part.degrees)
    return forward(image, turned(-(low + draws.uniform((0, 1))[0, 0] * (high - low))), part.fill)


def shift_twin(part: Any, image: Any, draws: Draws) -> Any:
    down, right = (math.floor(u * (2 * part.pixels + 1)) - part.pixels for u in draws.uniform(*[(0, 1)] * 2)[:, 0])
    moved = np.full(image.shape, part.fill)
    for i, j in np.ndindex(*image.shape[1:]):
        if 0 <= i - down < image.shape[1] and 0 <= j - right < image.shape[2]:
            moved[:, i, j] = image[:, i - down, j - right]
    return moved


def crop_twin(part: Any, image: Any, draws: Draws) -> Any:
    across, along = part.padding if isinstance(part.padding, tuple) else (part.padding,) * 2
    _, height, width = image.shape
    padded = np.pad(image.astype(float), ((0, 0), (along, along), (across, across)), constant_values=part.fill)
    top, left = (
        math.floor(u * (2 * p + 1)) for u, p in zip(draws.uniform(*[(0, 1)] * 2)[:, 0], (along, across), strict=True)
    )
    return padded[:, top : top + height, left : left + width]


def flip_twin(part: Any, image: Any, draws: Draws) -> Any:
    return image[:, :, ::-1] if draws.uniform((0, 1))[0, 0] < part.p else image


def elastic_twin(part: Any, image: Any, draws: Draws) -> Any:
    """Every lattice point's Gaussian added to every pixel, one by one."""
    _, height, width = image.shape
    s = part.sigma
    down, right = ([(j - 3) * s for j in range(math.ceil((n - 1) / s) + 7)] for n in (height, width))
    noise = draws.rough(2 * len(down) * len(right))[0].reshape(2, len(down), len(right))
    places = np.mgrid[:height, :width].astype(float)
    for axis, j, k in np.ndindex(noise.shape):
        square = (np.arange(height)[:, None] - down[j]) ** 2 + (np.arange(width) - right[k]) ** 2
        places[axis] += part.alpha * s * noise[axis, j, k] * np.exp(-square / (2 * s**2)) / (2 * math.pi * s**2)
    return read(image, places, part.fill)


def erasing_twin(part: Any, image: Any, draws: Draws) -> Any:
    """PyTorch's loop over attempts, on the numbers of the augmentation."""
    _, height, width = image.shape
    chosen, top, left = draws.uniform(*[(0, 1)] * 3)[:, 0]
    areas, ratios = draws.uniform(*[(0, 1)] * 10)[:, 0], draws.uniform(*[(0, 1)] * 10)[:, 0]
    noise = draws.normal(image.size)[0].reshape(image.shape) if part.value == "random" else None
    found = image.astype(float)
    if chosen >= part.p:
        return found
    for area, ratio in zip(areas, ratios, strict=True):
        area = height * width * (part.scale[0] + area * (part.scale[1] - part.scale[0]))
        ratio = part.ratio[0] * (part.ratio[1] / part.ratio[0]) ** ratio
        h, w = round(math.sqrt(area * ratio)), round(math.sqrt(area / ratio))
        if h < height and w < width:
            i, j = math.floor(top * (height - h + 1)), math.floor(left * (width - w + 1))
            value = 33 + 78 * noise if noise is not None else np.full(image.shape, part.value)
            found[:, i : i + h, j : j + w] = value[:, i : i + h, j : j + w]
            break
    return found


def noise_twin(part: Any, image: Any, draws: Draws) -> Any:
    return image + part.std * 78 * draws.normal(image.size)[0].reshape(image.shape)


TWINS: dict[str, Callable[[Any, Any, Draws], Any]] = {
    "RandomAffine": affine_twin,
    "RandomRotation": rotation_twin,
    "RandomShift": shift_twin,
    "RandomCrop": crop_twin,
    "RandomHorizontalFlip": flip_twin,
    "ElasticTransform": elastic_twin,
    "RandomErasing": erasing_twin,
    "GaussianNoise": noise_twin,
}


@pytest.mark.parametrize(("name", "shown"), rows("augmentations"))
def test_equals_its_textbook_twin(name: str, shown: Example) -> None:
    part = build("augmentations", name, shown.options)
    raw, numbers = samples(shown.shape, 12), np.arange(12)
    found = raw.astype(np.float64)
    part.change(found, Draws(KEY, numbers), SCALE)
    for i in numbers:
        wanted = TWINS[name](part, raw[i], Draws(KEY, numbers[i : i + 1]))
        np.testing.assert_allclose(found[i], wanted, atol=0.02, err_msg=f"sample {i}")
    assert not np.array_equal(found, raw) or shown.options.get("std") == 0.0


class Field(Warp):
    """Moves by a field that is given."""

    def __init__(self, field: Any) -> None:
        self.field, self.fill = field, 0.0

    def trace(self, places: Places, draws: Draws) -> None:
        places.displace(self.field.copy())


def test_a_chain_is_one_interpolation_of_its_maps_one_inside_the_other() -> None:
    raw = samples((1, 9, 11), 1)
    field = np.random.default_rng(2).normal(0, 1.5, (2, 1, 9, 11)).astype(np.float32)
    affine = made("RandomAffine", degrees=(30.0, 30.0), scale=(1.2, 1.2), shear=(10.0, 10.0))
    matrix = turned(30) @ np.array([[1, -math.tan(math.radians(10)), 0], [0, 1, 0], [0, 0, 1]]) * 1.2
    inverse = np.linalg.inv(matrix[:2, :2])[::-1, ::-1]  # for (row, column)
    middle = np.array([4.0, 5.0])[:, None, None]
    grid = np.mgrid[:9, :11] - middle
    orders = {
        # the field last: it moves where the affine map's image is read
        (affine, Field(field)): np.einsum("ij,jhw->ihw", inverse, grid + field[:, 0]),
        (Field(field), affine): np.einsum("ij,jhw->ihw", inverse, grid) + field[:, 0],
    }
    for parts, places in orders.items():
        out = np.empty(raw.shape)
        warp([(part, Draws(0, np.arange(1))) for part in parts], raw, out)
        np.testing.assert_allclose(out[0], read(raw[0], places + middle, 0.0), atol=0.02)


class Negative(Augmentation):
    """y = 255 - x, as a user would write it"""

    def change(self, images: Any, draws: Draws, scale: Scale) -> None:
        np.subtract(255, images, out=images)


def test_an_augmentation_of_ones_own_needs_one_method() -> None:
    raw = samples((1, 6, 8))
    np.testing.assert_array_equal(augmented([Negative()], raw), 255.0 - raw)
    shift = made("RandomShift", pixels=1)
    np.testing.assert_array_equal(augmented([shift, Negative()], raw), 255 - augmented([shift], raw))
    with pytest.raises(ShapeError):
        Negative().check((4,))


def test_whole_moves_after_one_another_are_those_moves() -> None:
    raw, numbers = samples((3, 6, 8)), np.arange(40)
    flip, shift = made("RandomHorizontalFlip", p=1.0), made("RandomShift", pixels=2)
    out = np.empty(raw.shape)
    warp([(flip, Draws(0, numbers)), (shift, Draws(1, numbers))], raw, out)
    one = raw[..., ::-1].astype(np.float64)
    shift.change(one, Draws(1, numbers), SCALE)
    np.testing.assert_array_equal(out, one)


@pytest.mark.parametrize("name", ["crop-flip-erase-noise", "fills"])
def test_parts_that_share_nothing_are_applied_one_by_one(name: str) -> None:
    raw, numbers = samples((3, 6, 8)), np.arange(40)
    augmenter = Augmenter(CHAINS[name], 5, SCALE)
    one_by_one = raw.astype(np.float32)
    for i, part in enumerate(CHAINS[name]):
        key = int(stream(5, "augment", 2, i).bit_generator.random_raw())
        part.change(one_by_one, Draws(key, numbers), SCALE)
    np.testing.assert_array_equal(augmenter(raw, numbers, 2), one_by_one)


# ---------------------------------------------------------------- what is drawn


@pytest.mark.parametrize("sigma", [0.5, 1.0, 2.3, 4.0, 9.0])
def test_elastic_noise_has_the_covariance_of_filtered_noise(sigma: float) -> None:
    b = bumps(28, sigma).astype(np.float64)
    distance = np.subtract.outer(np.arange(28), np.arange(28))
    wanted = np.exp(-np.square(distance / sigma) / 4) / (2 * sigma * math.sqrt(math.pi))
    np.testing.assert_allclose(b @ b.T, wanted, atol=2e-3 * wanted.max())
    if sigma >= 1:  # SciPy's filter, far from any border
        one = np.zeros(401)
        one[200] = 1
        answer = gaussian_filter1d(one, sigma, truncate=8)
        scipy = np.correlate(answer, answer, "full")[400:428]
        np.testing.assert_allclose((b @ b.T)[0], scipy, atol=2e-3 * wanted.max())


def test_elastic_displacements_have_the_deviation_that_is_documented() -> None:
    places = Places(2000, (28, 28))
    made("ElasticTransform").trace(places, Draws(0, np.arange(2000)))
    assert places.field is not None
    np.testing.assert_allclose(places.field.std(axis=1), 34 / (4 * math.sqrt(12 * math.pi)), rtol=0.1)
    np.testing.assert_allclose(places.field.std(), 1.384, rtol=0.01)


def test_erasing_keeps_to_its_options() -> None:
    raw = np.ones((4000, 1, 20, 20))
    erased = augmented([made("RandomErasing", p=0.3, scale=(0.1, 0.2), ratio=(0.5, 2.0))], raw)[:, 0] == 0
    hit = erased[erased.any(axis=(1, 2))]
    assert abs(len(hit) / 4000 - 0.3) < 0.03
    area, tall, wide = hit.sum(axis=(1, 2)), hit.any(axis=2).sum(axis=1), hit.any(axis=1).sum(axis=1)
    np.testing.assert_array_equal(area, tall * wide)
    assert area.min() >= 0.1 * 400 - 10
    assert area.max() <= 0.2 * 400 + 10
    assert abs(np.log(tall / wide).mean()) < 0.03
    noisy = augmented([made("RandomErasing", p=1.0, scale=(0.9, 0.9), ratio=(1.0, 1.0), value="random")], raw)
    seen = (noisy[noisy != 1] - 33) / 78
    np.testing.assert_allclose([seen.mean(), seen.std()], [0, 1], atol=0.01)


def test_noise_is_in_the_units_of_what_the_network_sees() -> None:
    scale = Scale(np.array([5.0, -1.0]), np.array([10.0, 0.1]))
    x = Augmenter([TABLE], 0, scale)(np.zeros((20_000, 2), np.float32), np.arange(20_000), 0)
    np.testing.assert_allclose(x.std(axis=0), 0.5 * scale.std, rtol=0.02)
    np.testing.assert_allclose(x.mean(axis=0) / scale.std, 0, atol=0.02)


# ---------------------------------------------------------------- what is refused


@pytest.mark.parametrize("name", names("augmentations"))
def test_tables_take_noise_alone(name: str) -> None:
    part = build("augmentations", name, augmentations.get(name).examples[0].options)
    if name == "GaussianNoise":
        part.check((4,))
        return
    with pytest.raises(ShapeError, match=r"got samples of shape \(4,\), expected images .* GaussianNoise alone"):
        part.check((4,))


@pytest.mark.parametrize(
    ("name", "options", "message"),
    [
        ("RandomRotation", {"degrees": -1.0}, "got degrees = -1, expected a number >= 0 or a list of two"),
        ("RandomRotation", {"degrees": [2.0, 1.0]}, r"got degrees = \[2.0, 1.0\], expected the lesser value first"),
        ("RandomAffine", {"degrees": 0.0, "scale": [2.0, 1.0]}, "got scale = .*, expected the lesser value first"),
        ("RandomAffine", {"degrees": 0.0, "shear": 90.0}, "got shear = 90.0, expected angles between -90 and 90"),
        ("RandomErasing", {"ratio": [2.0, 1.0]}, "got ratio = .*, expected the lesser value first"),
    ],
)
def test_options_that_do_not_fit(name: str, options: dict[str, Any], message: str) -> None:
    with pytest.raises(ConfigError, match=message):
        build("augmentations", name, options)


@pytest.mark.parametrize(
    ("name", "options"),
    [("RandomShift", {"pixels": 5}), ("RandomCrop", {"padding": 5}), ("RandomCrop", {"padding": [9, 0]})],
)
def test_images_are_not_moved_out_of_sight(name: str, options: dict[str, Any]) -> None:
    build("augmentations", name, options).check((1, 6, 10))
    with pytest.raises(ShapeError, match="an image of 5 x 9"):
        build("augmentations", name, options).check((1, 5, 9))
    with pytest.raises(ShapeError, match="out of sight; remove it"):
        build("augmentations", "RandomShift", {"pixels": 1}).check((1, 1, 9))


@pytest.mark.parametrize("name", names("augmentations"))
def test_documented(name: str) -> None:
    doc = augmentations.get(name).__doc__ or ""
    assert doc.startswith("y")
    assert "Source: " in doc
    assert "y " in doc.split("\n\n")[1]  # the shapes
    assert set(names("augmentations")) == set(TWINS)
