"""Constructors that check their options by the annotations, and reprs that show what was chosen."""

from __future__ import annotations

import inspect
from abc import ABC
from dataclasses import dataclass, field
from typing import Annotated, Any, Literal

import numpy as np
import pytest
from annotated_types import Ge, Len

from dlcli.core.component import Checked
from dlcli.core.errors import ConfigError
from dlcli.core.options import Count, Length, Positive


@dataclass
class Part(metaclass=Checked):
    size: Count | None
    rate: Positive = 0.5
    pair: tuple[Positive, Positive] = (1.0, 2.0)
    kind: Literal["flat", "round"] = "flat"
    wait: Annotated[Length, Ge(0)] | None = None
    marks: Annotated[list[int], Len(1, 3)] = field(default_factory=lambda: [1])
    free: Any = None


@pytest.mark.parametrize(
    ("options", "name", "value"),
    [
        ({"size": np.int64(3)}, "size", 3),
        ({"rate": 1}, "rate", 1.0),
        ({"rate": np.float32(0.5)}, "rate", 0.5),
        ({"rate": np.array(0.25)}, "rate", 0.25),
        ({"pair": [3, 4.5]}, "pair", (3.0, 4.5)),
        ({"kind": "round"}, "kind", "round"),
        ({"wait": "10%"}, "wait", Length(10, "%")),
        ({"wait": Length(3, "step")}, "wait", Length(3, "step")),
        ({"marks": (1, 2)}, "marks", [1, 2]),
        ({"free": print}, "free", print),
    ],
)
def test_values_arrive_as_a_config_would_give_them(options: dict[str, Any], name: str, value: Any) -> None:
    found = getattr(Part(**options), name)
    assert found == value
    assert type(found) is type(value)


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"size": 0}, "Part: got size = 0, expected an integer >= 1 or null"),
        ({"size": 2.5}, "Part: got size = 2.5, expected an integer >= 1 or null"),
        ({"size": True}, "Part: got size = True, expected an integer >= 1 or null"),
        ({"rate": "a"}, "Part: got rate = 'a', expected a number > 0"),
        ({"rate": float("nan")}, "Part: got rate = nan, expected a number > 0"),
        ({"rate": 10**400}, "Part: got rate = 1" + 56 * "0" + "..., expected a number > 0"),
        ({"rate": np.ones(2)}, "Part: got rate = array([1., 1.]), expected a number > 0"),
        ({"pair": (1, -1)}, "Part: got pair = (1, -1), expected a list of 2, each a number > 0"),
        ({"kind": "flta"}, "Part: got kind = 'flta', expected 'flat' or 'round'"),
        ({"marks": []}, "Part: got marks = [], expected a list, each an integer"),
    ],
)
def test_what_does_not_fit_is_refused_by_name(options: dict[str, Any], message: str) -> None:
    with pytest.raises(ConfigError) as caught:
        Part(**options)
    assert caught.value.problems == [message]


def test_lengths_name_their_units() -> None:
    words = "got wait = 10, expected null or a length >= 0 with its unit, such as '500 steps'"
    with pytest.raises(ConfigError, match=words):
        Part(wait=10)


def test_all_problems_are_told_at_once_and_by_position_too() -> None:
    with pytest.raises(ConfigError) as caught:
        Part(-1, 0.0, kind="x")
    assert [p.split(" = ")[0] for p in caught.value.problems] == [f"Part: got {n}" for n in ("size", "rate", "kind")]


def test_what_may_be_inferred_may_be_left_out() -> None:
    assert Part().size is None
    assert Part(4).size == 4
    with pytest.raises(TypeError, match="unexpected keyword argument 'sise'"):
        Part(sise=4)


def test_the_check_comes_before_the_constructor() -> None:
    class Own(metaclass=Checked):
        def __init__(self, width: Count, scale: float = 2.0) -> None:
            self.area = width * scale

    assert Own(3).area == 6.0
    with pytest.raises(ConfigError, match="Own: got width = 'a', expected an integer >= 1"):
        Own("a")


def test_annotations_that_cannot_be_read_are_no_obstacle() -> None:
    class Hidden: ...

    @dataclass
    class Odd(metaclass=Checked):
        thing: Hidden
        size: Count = 1

    assert Odd(Hidden(), -1).size == -1


def test_a_component_may_be_abstract_and_shows_its_signature() -> None:
    class Mixed(Part, ABC):
        pass

    assert list(inspect.signature(Mixed).parameters) == ["size", "rate", "pair", "kind", "wait", "marks", "free"]


def test_repr_shows_what_differs_from_the_defaults() -> None:
    assert repr(Part()) == "Part()"
    made = Part(3, wait="2 epochs", pair=(1, 3))
    assert repr(made) == "Part(size=3, pair=(1.0, 3.0), wait='2 epochs')"
    assert repr(eval(repr(made))) == repr(made)


def test_a_repr_of_its_own_stays() -> None:
    @dataclass
    class Shown(Part):
        def __repr__(self) -> str:
            return "mine"

    assert repr(Shown()) == "mine"
