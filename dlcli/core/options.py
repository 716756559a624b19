"""Options of components: the types of their dataclass fields, read back as names, bounds, defaults and examples."""

from __future__ import annotations

import dataclasses
import inspect
import re
import typing
from dataclasses import dataclass
from typing import Annotated, Any, NamedTuple

from annotated_types import Ge, Gt, Le, Lt

Count = Annotated[int, Ge(1)]
Natural = Annotated[int, Ge(0)]
Pair = Count | tuple[Count, Count]
"""A size of an image: one number for height and width, or both."""
Padding = Natural | tuple[Natural, Natural]
"""Rows above and below, and columns on either side, of an image: one number for both, or both."""
Positive = Annotated[float, Gt(0)]
NonNegative = Annotated[float, Ge(0)]
Share = Annotated[float, Ge(0), Le(1)]
"""A part of a whole."""
Decay = Annotated[float, Ge(0), Lt(1)]
"""The weight of the past in a running average."""

MISSING: Any = dataclasses.MISSING

_LENGTH = re.compile(r"\s*([0-9]+(?:\.[0-9]+)?)\s*(steps?|epochs?|%|s)\s*")


@dataclass(frozen=True)
class Length:
    """A stretch of training with its unit: `500 steps`, `3 epochs`, `10%` of the run, or `90 s`."""

    value: float
    unit: str

    @classmethod
    def parse(cls, text: str) -> Length:
        """Read `text`; ValueError where it is not a number with one of the units."""
        found = _LENGTH.fullmatch(text) if isinstance(text, str) else None
        if found is None:
            raise ValueError(f"got {text!r}, expected a length with its unit such as '500 steps', '3 epochs' or '10%'")
        return cls(float(found[1]), found[2].rstrip("s") or "s")

    def steps(self, total: int, per_epoch: int) -> int:
        """The length in optimizer steps, of a run of `total` steps with `per_epoch` steps an epoch."""
        if self.unit == "s":
            raise ValueError("a length in seconds has no number of steps")
        scale = {"step": 1.0, "epoch": float(per_epoch), "%": total / 100}[self.unit]
        return round(self.value * scale)

    def __repr__(self) -> str:
        return repr(str(self))

    def __str__(self) -> str:
        number = f"{self.value:.15f}".rstrip("0").rstrip(".")
        if self.unit in ("%", "s"):
            return f"{number}%" if self.unit == "%" else f"{number} s"
        return f"{number} {self.unit}" + ("" if self.value == 1 else "s")


Period = Annotated[Length, Gt(0)]
"""A length after which something happens again, or has fallen by a factor."""


def pair(value: int | tuple[int, int]) -> tuple[int, int]:
    """Both numbers of a `Pair` or `Padding`, of which one may stand for both."""
    return (value, value) if isinstance(value, int) else value


class Option(NamedTuple):
    """One option of a component, as the constructor declares it."""

    name: str
    type: Any
    """The annotation, bounds and all."""
    default: Any
    """`MISSING` where the option has to be given."""
    common: bool
    """Whether the option comes from the base class of its kind."""

    @property
    def required(self) -> bool:
        """Whether it has to be given."""
        return self.default is MISSING


def optional(annotation: Any) -> bool:
    """Whether None is among the values of `annotation`."""
    if typing.get_origin(annotation) is Annotated:
        return optional(typing.get_args(annotation)[0])
    return type(None) in typing.get_args(annotation) or annotation is None or annotation is Any


def options(cls: type, base: type | None = None) -> list[Option]:
    """The options of a component, in the order of its constructor: its own first, then those of `base`.

    A parameter typed `T | None` without a default may be left out. A plain class without annotations takes the
    types of its defaults.
    """
    target: Any = getattr(cls, "wraps", None) or cls
    if target.__init__ is object.__init__:
        own: list[inspect.Parameter] = []
        hints: dict[str, Any] = {}
    else:
        own = list(inspect.signature(target.__init__).parameters.values())[1:]
        maker = next(c for c in target.__mro__ if "__init__" in vars(c))  # where its types are written
        generated = "__dataclass_fields__" in vars(maker)
        hints = typing.get_type_hints(maker if generated else maker.__init__, include_extras=True)
    inherited = (
        {f.name for f in dataclasses.fields(base)} if base is not None and dataclasses.is_dataclass(base) else set()
    )
    found = []
    for p in own:
        if p.kind in (p.VAR_POSITIONAL, p.VAR_KEYWORD):
            continue
        default = MISSING if p.default is p.empty else p.default
        if type(default).__name__ == "_HAS_DEFAULT_FACTORY_CLASS":
            factory: Any = next(f.default_factory for f in dataclasses.fields(target) if f.name == p.name)
            default = factory()
        guess = Any if default is MISSING or default is None else type(default)
        kind = hints.get(p.name, guess)
        if default is MISSING and optional(kind) and kind is not Any:
            default = None
        found.append(Option(p.name, kind, default, p.name in inherited))
    if target is not cls and base is not None:
        known = {o.name for o in found}
        found += [o._replace(common=True) for o in options(base) if o.name not in known]
    return sorted(found, key=lambda o: o.common)


class Example(NamedTuple):
    """Options that show a component at work, with the shape of one input sample where its kind needs one."""

    shape: tuple[int, ...]
    options: dict[str, Any]


def example(shape: tuple[int, ...] = (), /, **options: Any) -> Example:
    """`example((5,), out_features=3)`: the component's options, for samples of that shape (no batch axis)."""
    return Example(shape, options)
