"""Which code a gradient comes from: `backward` with what it calls, and what `forward` keeps for it."""

from __future__ import annotations

import ast
import inspect
import textwrap
from collections.abc import Iterator
from dataclasses import dataclass, field
from functools import cache
from types import FunctionType
from typing import Any

from dlcli.nn.layer import Layer
from dlcli.nn.loss import Loss

CONTRACT = ("dlcli.nn.layer", "dlcli.nn.loss", "dlcli.nn.standalone")
"""Modules that every component uses; of their code only `DIVISOR` is part of a gradient."""

DIVISOR = "Loss.divisor"

GEOMETRY = {"Windows.count", "Windows.mirrored", "Patches.room", "Room.__init__"}
"""How many windows there are, over which images: like a wrong stride, a mistake there reads foreign memory."""

FILLS = {"copyto", "put_along_axis"}
"""Functions of NumPy that write their first argument."""


@dataclass(frozen=True, eq=False)
class Code:
    """A function, and the nodes of its tree below which everything goes into the gradient."""

    function: FunctionType
    roots: list[ast.AST]
    kept: bool
    """Whether it runs in `forward`, for what that keeps."""

    arranges: bool = False
    """Whether it arranges memory for a component: what it chooses between are ways to the same numbers."""


@dataclass(frozen=True)
class Wanted:
    """What matters of a function: attributes and names that it sets, and which of the values it returns."""

    names: frozenset[str]
    returned: frozenset[int] | None = frozenset()
    """Places in the tuple that is returned; None for all."""


@cache
def tree(function: FunctionType) -> ast.FunctionDef:
    """The parsed source of a function, without decorators and docstring."""
    (parsed,) = ast.parse(textwrap.dedent(inspect.getsource(function))).body
    assert isinstance(parsed, ast.FunctionDef)
    parsed.decorator_list = []
    if ast.get_docstring(parsed) is not None and len(parsed.body) > 1:
        parsed.body = parsed.body[1:]
    return parsed


def method(cls: type, name: str, after: type | None = None) -> FunctionType | None:
    """The function that `self.name` means, or `super().name` in the class `after`, without the wrapper of contracts."""
    mro = cls.__mro__
    for owner in mro[mro.index(after) + 1 :] if after else mro:
        if name in vars(owner):
            return plain(vars(owner)[name])
    return None


def plain(found: Any) -> FunctionType | None:
    """The function itself, if it is one whose code makes gradients."""
    found = inspect.unwrap(getattr(found, "__func__", found)) if callable(found) else found
    if not isinstance(found, FunctionType) or not found.__module__.startswith("dlcli.nn."):
        return None
    name = found.__qualname__
    apart = name in GEOMETRY or "as_strided" in found.__code__.co_names
    return None if apart or (found.__module__ in CONTRACT and name != DIVISOR) else found


def called(cls: type, inside: FunctionType, call: ast.Call) -> FunctionType | None:
    """The function that a call in `inside` reaches, for a component of class `cls`; None for those of others."""
    space = inside.__globals__
    match call.func:
        case ast.Name(name):
            return plain(space.get(name)) if isinstance(space.get(name), FunctionType) else None
        case ast.Attribute(ast.Name("self"), name) if hasattr(cls, name):
            return method(cls, name)
        case ast.Attribute(ast.Call(ast.Name("super")), name):
            owner = next(c for c in cls.__mro__ if c.__qualname__ == inside.__qualname__.rpartition(".")[0])
            return method(cls, name, owner)
        case ast.Attribute(_, name):  # of a helper's object, such as the patches of a convolution
            owners = [c for c in space.values() if inspect.isclass(c) and c.__module__.startswith("dlcli.nn.")]
            helpers = [c for c in owners if name in vars(c) and not issubclass(c, (Layer, Loss))]
            return method(helpers[0], name) if helpers else None
    return None


def arranges(function: FunctionType) -> bool:
    """Whether a function belongs to a helper's object."""
    owner = function.__globals__.get(function.__qualname__.partition(".")[0])
    return inspect.isclass(owner) and not issubclass(owner, (Layer, Loss))


def calls(nodes: list[ast.AST]) -> Iterator[ast.Call]:
    for node in nodes:
        yield from (inner for inner in ast.walk(node) if isinstance(inner, ast.Call))


def key(node: ast.AST) -> str | None:
    """`name` or `self.name`, whatever part of it is meant."""
    match node:
        case ast.Name(name):
            return None if name in ("self", "np") else name
        case ast.Attribute(ast.Name("self"), name):
            return f"self.{name}"
        case ast.Subscript(value) | ast.Attribute(value) | ast.Starred(value):
            return key(value)
        case ast.Call(ast.Attribute(value)):
            return key(value)
    return None


def read(nodes: list[ast.AST]) -> set[str]:
    """The names and attributes that stand in the nodes."""
    return {k for node in nodes for inner in ast.walk(node) if (k := key(inner)) is not None}


def gradient_code(cls: type) -> list[Code]:
    """All code that the gradients of a component come from."""
    found: dict[FunctionType, Code] = {}
    first = method(cls, "backward")
    waiting = [first] if first else []
    while waiting:
        function = waiting.pop(0)
        if function in found:
            continue
        code = found[function] = Code(function, list(tree(function).body), kept=False, arranges=arranges(function))
        waiting += [f for c in calls(code.roots) if (f := called(cls, function, c)) is not None]
    kept = {k for code in found.values() for k in read(code.roots) if k.startswith("self.")}
    kept -= {k for k in kept if callable(getattr(cls, k.removeprefix("self."), None))}
    forward = method(cls, "forward")
    if forward:
        slices = Slices(cls, frozenset(kept))
        slices.add(forward, Wanted(frozenset(kept)))
        found |= {
            f: Code(f, roots, kept=True, arranges=arranges(f))
            for f, roots in slices.roots.items()
            if f not in found and roots
        }
    return list(found.values())


@dataclass
class Slices:
    """The part of `forward`, and of what it calls, that the values of some attributes depend on.

    Without regard to the order of statements: every one that sets a name that matters anywhere belongs to it.
    """

    cls: type
    kept: frozenset[str]
    roots: dict[FunctionType, list[ast.AST]] = field(default_factory=dict)
    done: set[tuple[FunctionType, Wanted]] = field(default_factory=set)

    def add(self, function: FunctionType, wanted: Wanted) -> None:
        """Add what matters of `function`, and of the functions that matter to it."""
        if (function, wanted) in self.done:
            return
        self.done.add((function, wanted))
        body = tree(function)
        effects = list(self._effects(body, wanted.returned))
        names, chosen = set(wanted.names), {}
        while True:
            new = [(at, e) for at, e in enumerate(effects) if at not in chosen and (e.always or e.sets & names)]
            if not new:
                break
            for at, effect in new:
                chosen[at] = effect
                names |= read([effect.value]) | effect.alike
        roots = self.roots.setdefault(function, [])
        roots += [e.value for e in chosen.values() if e.value not in roots]
        for call in calls([body]):
            callee = called(self.cls, function, call)
            if callee is not None:
                self.add(callee, self._wanted(call, callee, list(chosen.values()), names))

    def _wanted(self, call: ast.Call, callee: FunctionType, chosen: list[Effect], names: set[str]) -> Wanted:
        """What matters of a function that is called: kept attributes, arguments that are written, values returned."""
        inside = [e for e in chosen if call in ast.walk(e.value)]
        whole = [e for e in inside if e.value is not call or e.place is None]
        places = None if any(not isinstance(e.value, ast.Expr) for e in whole) else {e.place for e in inside}
        arguments = [a.arg for a in tree(callee).args.args]
        arguments = arguments[1:] if arguments[:1] == ["self"] else arguments
        written = {p for p, a in zip(arguments, call.args, strict=False) if key(a) in names}
        returned = None if places is None else frozenset(p for p in places if p is not None)
        return Wanted(self.kept | (written if inside else set()), returned)

    def _effects(self, node: ast.AST, returned: frozenset[int] | None, nested: str = "") -> Iterator[Effect]:
        for inner in ast.iter_child_nodes(node):
            match inner:
                case ast.FunctionDef(name):
                    yield from self._effects(inner, None, name)
                case ast.Assign([ast.Tuple(targets)], ast.Tuple(values)):
                    yield from (Effect({key(t)}, v) for t, v in zip(targets, values, strict=True))
                case ast.Assign([ast.Tuple(targets)], value):
                    yield from (Effect({key(t)}, value, i) for i, t in enumerate(targets))
                case ast.Assign(targets, value):
                    alike = {k for t in targets if (k := key(t)) is not None}
                    yield Effect(alike | self._out(value), value, alike=alike)
                case ast.AnnAssign(target, _, value) if value is not None:
                    yield Effect({key(target)}, value)
                case ast.AugAssign(target):
                    yield Effect({key(target)}, inner)
                case ast.Expr(ast.Call(ast.Attribute(ast.Name("np"), name), arguments) as call):
                    yield Effect({key(a) for a in arguments[: name in FILLS]} | self._out(call), inner)
                case ast.Expr(ast.Call(function, arguments) as call):
                    whole = [a for a in arguments if not isinstance(a, ast.Attribute) or key(a.value) is None]
                    yield Effect({key(function), *map(key, whole)} | self._out(call), inner)
                case ast.Return(value) if value is not None and nested:
                    yield Effect({nested} | self._out(value), value)
                case ast.Return(ast.Tuple(values)) if returned is not None:
                    yield from (Effect(set(), v, always=i in returned) for i, v in enumerate(values))
                case ast.Return(value) if value is not None:
                    yield Effect(self._out(value), value, always=returned is None or bool(returned))
                case _:
                    yield from self._effects(inner, returned, nested)

    def _out(self, value: ast.AST) -> set[str | None]:
        """What a value is written into on its way."""
        return {key(k.value) for call in calls([value]) for k in call.keywords if k.arg == "out"} - {None}


@dataclass(eq=False)
class Effect:
    """A value, and what it sets; `place` is that of the target in a tuple, `alike` are names for the same value."""

    sets: set[str | None]
    value: ast.AST
    place: int | None = None
    always: bool = False
    alike: set[str] = field(default_factory=set)
