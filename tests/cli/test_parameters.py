"""Words of the command line become values without pydantic, and wrong ones are told as before."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from types import SimpleNamespace
from typing import Any, Literal

import pytest
from typer import BadParameter
from typer.main import get_command

from dlcli.cli.commands import app
from dlcli.cli.parameters import Converter, lighten


def commands(command: Any) -> Iterator[Any]:
    yield command
    for inner in getattr(command, "commands", {}).values():
        yield from commands(inner)


def test_no_parameter_of_any_command_is_left_to_typer() -> None:
    for command in commands(get_command(app)):
        context = command.context_class(command, info_name="dlcli", **command.context_settings)
        parameters = command.get_params(context)
        lighten(parameters)
        for parameter in parameters:
            assert isinstance(parameter._runtime_param, Converter), parameter.name


@pytest.mark.parametrize(
    ("kind", "bounds", "word", "value"),
    [
        (str, (None, None), "a b", "a b"),
        (int, (0, 9), "9", 9),
        (int, (0, 9), "10", BadParameter),
        (int, (1, None), "0", BadParameter),
        (int, (None, None), "1.5", BadParameter),
        (float, (None, None), "1e-3", 1e-3),
        (float, (None, None), "much", BadParameter),
        (Path, (None, None), "runs/a", Path("runs/a")),
        (Literal["val", "test"], (None, None), "test", "test"),
        (Literal["val", "test"], (None, None), "train", BadParameter),
        (bool, (None, None), True, True),
    ],
)
@pytest.mark.parametrize("several", [False, True])
def test_a_word_becomes_a_value(kind: Any, bounds: tuple[Any, Any], word: Any, value: Any, several: bool) -> None:
    converter = Converter(kind, SimpleNamespace(min=bounds[0], max=bounds[1]))
    parameter = SimpleNamespace(multiple=several, nargs=1)
    given = (word, word) if several else word
    if value is BadParameter:
        with pytest.raises(BadParameter):
            converter.coerce(given, parameter, None)
    else:
        assert converter.coerce(given, parameter, None) == ([value, value] if several else value)


def test_what_is_not_given_is_none_or_nothing() -> None:
    converter = Converter(int, SimpleNamespace(min=1, max=None))
    assert converter.coerce(None, SimpleNamespace(multiple=False, nargs=1), None) is None
    for parameter in (SimpleNamespace(multiple=True, nargs=1), SimpleNamespace(multiple=False, nargs=-1)):
        assert converter.coerce(None, parameter, None) == []
