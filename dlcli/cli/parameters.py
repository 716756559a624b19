"""Words of the command line as the values that commands take, without pydantic, whose import takes Typer 0.1 s."""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path
from typing import Any, Literal, get_args, get_origin

from typer import BadParameter

PLAIN = (str, int, float, Path)
"""Types whose constructor reads a word."""


def lighten(parameters: Iterable[Any]) -> None:
    """Let the parameters of a command convert their words by themselves.

    Typer would build a pydantic adapter for each of them, also for those that are not given. A parameter of another
    type than dlcli's commands have, and that of a Typer which keeps its converters elsewhere, is left as it is.
    """
    for parameter in parameters:
        kind = parameter.type_descriptor.annotation if hasattr(parameter, "_runtime_param") else None
        kind = get_args(kind)[0] if get_origin(kind) is list else kind
        if kind in (*PLAIN, bool) or get_origin(kind) is Literal:
            parameter._runtime_param = Converter(kind, parameter.type_descriptor.parameter_info)


class Converter:
    """Converts what stands for one parameter; the method is what Typer calls."""

    def __init__(self, kind: Any, declared: Any) -> None:
        self.kind, self.low, self.high = kind, declared.min, declared.max

    def coerce(self, value: Any, param: Any, ctx: Any) -> Any:
        """The value of a parameter from its word, or from its words where it may be repeated; BadParameter."""
        try:
            if param.multiple or param.nargs == -1:
                return [self._one(word) for word in value or ()]
            return None if value is None else self._one(value)
        except ValueError:
            raise BadParameter(f"{value!r} is not a valid value", ctx=ctx, param=param) from None

    def _one(self, word: Any) -> Any:
        if self.kind is bool:
            return word
        if get_origin(self.kind) is Literal:
            if word not in get_args(self.kind):
                raise ValueError(word)
            return word
        value = self.kind(word)
        if (self.low is not None and value < self.low) or (self.high is not None and value > self.high):
            raise ValueError(word)
        return value
