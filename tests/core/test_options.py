"""Options read off constructors: names, types, bounds, defaults; and lengths with their units."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Annotated, Any

import pytest
from annotated_types import Ge, Gt, Interval, Le, Lt
from registered import names

from dlcli.core.annotations import bounds
from dlcli.core.options import MISSING, Count, Decay, Length, Padding, Pair, Positive, example, optional, options, pair
from dlcli.core.registry import Registry
from dlcli.core.values import plain
from dlcli.nn.layer import layers


@dataclass(kw_only=True)
class Base:
    label: str | None = None


@dataclass
class Typed(Base):
    size: Count
    width: Count | None
    rate: Positive = 0.5
    marks: list[int] = field(default_factory=lambda: [1, 2])


class Plain:
    def __init__(self, alpha=0.01, *args, on=True, free=None, needed: int, **more):
        pass


class Empty:
    pass


def test_options_of_a_dataclass() -> None:
    found = {o.name: o for o in options(Typed, Base)}
    assert list(found) == ["size", "width", "rate", "marks", "label"]
    assert {n: o.default for n, o in found.items()} == {
        "size": MISSING,
        "width": None,
        "rate": 0.5,
        "marks": [1, 2],
        "label": None,
    }
    assert [o.name for o in found.values() if o.required] == ["size"]
    assert [o.name for o in found.values() if o.common] == ["label"]
    assert bounds(found["size"].type) == [">= 1"]
    assert bounds(found["rate"].type) == ["> 0"]


def test_options_of_a_plain_class_have_the_types_of_their_defaults() -> None:
    found = {o.name: (o.type, o.default) for o in options(Plain)}
    assert found == {"alpha": (float, 0.01), "on": (bool, True), "free": (Any, None), "needed": (int, MISSING)}


def test_a_class_without_constructor_has_no_options() -> None:
    assert options(Empty) == []


@pytest.mark.parametrize("name", ["Tanh", "Linear", "Conv2d"])
def test_a_subclass_without_a_constructor_of_its_own_has_the_options_of_the_class_above(name: str) -> None:
    known = layers.get(name)
    assert options(type("Mine", (known,), {}), layers.base) == options(known, layers.base)


def test_an_adapted_class_has_its_own_options_and_the_common_ones() -> None:
    class Shifted:
        def __init__(self, by=1.0):
            self.by = by

        def forward(self, x):
            return x + self.by

        def backward(self, dy):
            return dy

    adapted = Registry("thing", "things of this test", adapt=layers._adapt)
    try:
        adapted.register(Shifted)
        found = options(adapted.get("Shifted"), layers.base)
    finally:
        del Registry.all["things of this test"]
    assert [o.name for o in found if not o.common] == ["by"]
    assert {"name", "trainable", "lr_mult", "weight_decay_mult", "init", "constraint"} == {
        o.name for o in found if o.common
    }


@pytest.mark.parametrize(
    "plural", ["layers", "losses", "optimizers", "schedules", "initializers", "constraints", "metrics"]
)
def test_every_builtin_option_has_a_type(plural: str) -> None:
    registry = Registry.all[plural]
    for name in names(plural):
        for option in options(registry.get(name), registry.base):
            assert option.type is not Any, f"{name}.{option.name}"


@pytest.mark.parametrize(
    ("annotation", "words"),
    [
        (Annotated[float, Gt(0)], ["> 0"]),
        (Annotated[float, Ge(0), Lt(1)], [">= 0", "< 1"]),
        (Annotated[int, Le(8)], ["<= 8"]),
        (Annotated[float, Interval(ge=-1, lt=2.5)], [">= -1", "< 2.5"]),
        (Decay, [">= 0", "< 1"]),
        (float, []),
    ],
)
def test_bounds_in_words(annotation: Any, words: list[str]) -> None:
    assert bounds(annotation) == words


@pytest.mark.parametrize(
    ("annotation", "expected"),
    [(int | None, True), (Annotated[int | None, Ge(1)], True), (int, False), (Any, True), (None, True), (Count, False)],
)
def test_optional(annotation: Any, expected: bool) -> None:
    assert optional(annotation) is expected


@pytest.mark.parametrize(
    ("text", "length", "shown"),
    [
        ("500 steps", Length(500, "step"), "500 steps"),
        ("1 step", Length(1, "step"), "1 step"),
        ("3 epochs", Length(3, "epoch"), "3 epochs"),
        ("3epoch", Length(3, "epoch"), "3 epochs"),
        ("0.5 epochs", Length(0.5, "epoch"), "0.5 epochs"),
        (" 10 % ", Length(10, "%"), "10%"),
        ("2.5%", Length(2.5, "%"), "2.5%"),
        ("90 s", Length(90, "s"), "90 s"),
        ("90s", Length(90, "s"), "90 s"),
        ("1000000000 steps", Length(1e9, "step"), "1000000000 steps"),
    ],
)
def test_lengths_are_read_and_shown(text: str, length: Length, shown: str) -> None:
    assert Length.parse(text) == length
    assert str(length) == shown
    assert Length.parse(str(length)) == length


@pytest.mark.parametrize("text", ["", "10", "ten steps", "-1 steps", "1e3 steps", "5 minutes", "5 steps more", 5, None])
def test_what_is_no_length_is_refused(text: Any) -> None:
    with pytest.raises(ValueError, match="expected a length with its unit such as '500 steps'"):
        Length.parse(text)


def test_lengths_in_steps() -> None:
    assert [Length.parse(t).steps(200, 40) for t in ("7 steps", "2 epochs", "15%", "0.1 epochs")] == [7, 80, 30, 4]
    with pytest.raises(ValueError, match="seconds"):
        Length.parse("90 s").steps(200, 40)


def test_examples_are_shapes_and_options() -> None:
    assert example((5,), out_features=3) == ((5,), {"out_features": 3})
    assert example() == ((), {})


def test_pairs_are_one_number_or_two() -> None:
    for given, wanted in ((2, (2, 2)), ([2, 3], (2, 3)), ((1, 4), (1, 4))):
        assert pair(plain(Pair, given)) == wanted
    assert pair(plain(Padding, 0)) == (0, 0)
    for wrong in (0, [1, 0], [1, 2, 3], 2.0, True, "2"):
        with pytest.raises(ValueError, match=r"^an integer >= 1 or a list of 2 of them$"):
            plain(Pair, wrong)
