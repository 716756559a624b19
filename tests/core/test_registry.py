"""Registries: names, near names, users' components beside the built-in ones."""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from registered import build, names, rows

from dlcli.core.errors import ConfigError
from dlcli.core.registry import Registry

SAYS = {
    "layers": ("y = ", r"\(N", "dx "),
    "losses": ("L = mean", r"\(N", "dL/d"),
    "initializers": ("w ",),
    "constraints": ("^w(_i)? = ",),
    "optimizers": ("w = w",),
    "schedules": ("lr ",),
    "metrics": ("^{name} = ",),
}
"""What stands in the docstring of every component of a kind, beside its source."""

KINDS = tuple(SAYS)


class Fruit:
    """What this test registers."""


@pytest.fixture
def fruits() -> Iterator[Registry[Fruit]]:
    registry: Registry[Fruit] = Registry("fruit", "fruits")
    registry.base = Fruit
    notes = list(Registry.notes)
    yield registry
    del Registry.all["fruits"]
    Registry.notes[:] = notes


def make(name: str, base: type = Fruit, **body: Any) -> type:
    return type(name, (base,), body)


def test_a_class_is_found_by_its_name(fruits: Registry[Fruit]) -> None:
    apple = make("Apple")
    assert fruits.register(apple) is apple
    assert fruits.get("Apple") is apple
    assert "Apple" in fruits
    assert "Pear" not in fruits
    assert Registry.all["fruits"] is fruits


def test_config_name_is_the_classes_own(fruits: Registry[Fruit]) -> None:
    red = make("RedApple", config_name="red-apple")
    fruits.register(red)
    fruits.register(make("GreenApple", red))
    assert list(fruits) == ["GreenApple", "red-apple"]


@pytest.mark.parametrize(
    ("asked", "message"),
    [
        ("apple", "unknown fruit 'apple'; did you mean 'Apple'?"),
        ("Aple", "unknown fruit 'Aple'; did you mean 'Apple'?"),
        ("Zebra", "unknown fruit 'Zebra'; expected one of: Apple, Pear"),
        ("\x1b[31m", r"unknown fruit '\x1b[31m'; expected one of: Apple, Pear"),
    ],
)
def test_an_unknown_name_gets_the_near_one(fruits: Registry[Fruit], asked: str, message: str) -> None:
    fruits.register(make("Pear"))
    fruits.register(make("Apple"))
    with pytest.raises(ConfigError) as caught:
        fruits.get(asked)
    assert str(caught.value) == message


def test_a_users_component_replaces_a_builtin_with_a_note(fruits: Registry[Fruit]) -> None:
    fruits.register(make("Apple"))
    mine = make("Apple")
    with Registry.origin("mine.py"):
        fruits.register(mine)
    assert fruits.get("Apple") is mine
    assert fruits.entry("Apple").origin == "mine.py"
    assert Registry.notes[-1] == "fruit Apple of mine.py replaces the built-in one"


def test_two_users_components_of_one_name_are_an_error(fruits: Registry[Fruit]) -> None:
    with Registry.origin("mine.py"):
        fruits.register(make("Apple"))
        fruits.register(make("Apple"))  # the same file may be loaded again
    with Registry.origin("yours.py"), pytest.raises(ConfigError) as caught:
        fruits.register(make("Apple"))
    assert str(caught.value) == "yours.py: fruit 'Apple' is already registered by mine.py; rename one of them"
    assert Registry._origin is None


def test_another_kind_of_class_is_refused(fruits: Registry[Fruit]) -> None:
    with pytest.raises(ConfigError, match=r"class 'Stone' is no fruit: derive it from dlcli\.Fruit"):
        fruits.register(make("Stone", object))


@pytest.mark.parametrize("kind", ["layers", "losses"])
def test_a_plain_class_needs_forward_and_backward(kind: str) -> None:
    registry = Registry.all[kind]
    with pytest.raises(ConfigError, match=f"class 'Half' cannot be a {registry.kind}: it has no method backward"):
        registry.register(make("Half", object, forward=lambda self, *args: args[0]))
    assert "Half" not in registry


@pytest.mark.parametrize("kind", KINDS)
def test_every_component_can_be_traced_to_its_file(kind: str) -> None:
    for entry in Registry.all[kind].entries():
        file, line = entry.source.rsplit(":", 1)
        text = Path(file).read_text("utf-8").splitlines()
        assert any(f"class {entry.cls.__name__}" in t for t in text[int(line) - 1 : int(line) + 3])


@pytest.mark.parametrize("kind", KINDS)
def test_every_builtin_has_an_example_that_builds(kind: str) -> None:
    shown = [row.values for row in rows(kind)]
    assert {name for name, _ in shown} == set(names(kind))
    for name, example in shown:
        assert isinstance(build(kind, name, example.options), Registry.all[kind].get(name))


@pytest.mark.parametrize(("kind", "name"), [(kind, name) for kind in KINDS for name in names(kind)])
def test_documented(kind: str, name: str) -> None:
    doc = Registry.all[kind].get(name).__doc__ or ""
    assert [says for says in (*SAYS[kind], "Source: ") if not re.search(says.format(name=name), doc)] == []
