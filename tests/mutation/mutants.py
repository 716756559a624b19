"""Mutants: the code of a gradient with one change, in force only while a gradient is computed."""

from __future__ import annotations

import ast
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import contextmanager, nullcontext
from dataclasses import dataclass, field
from functools import cache, cached_property, partial
from types import CodeType, FunctionType
from typing import Any

import numpy as np
from changes import changed, nodes, put
from gradient_code import Code, gradient_code, tree
from registered import names

from dlcli.core.registry import Registry

KINDS = ("layers", "losses")


@dataclass(eq=False)
class Mutant:
    """One change of one function, named by what stands there before and after: `Linear.backward: dy.T -> dy`."""

    name: str
    function: FunctionType
    change: Callable[[], ast.FunctionDef]
    kept: bool
    """Whether the function runs in `forward`, for what that keeps for `backward`."""
    components: list[str] = field(default_factory=list)
    """The registered layers and losses whose gradients come from that function; the first is its own."""

    @cached_property
    def code(self) -> CodeType:
        """What the function runs as."""
        return compiled(self.function, self.change())

    @contextmanager
    def in_force(self) -> Iterator[None]:
        """The function runs with the change inside the block."""
        sound, self.function.__code__ = self.function.__code__, self.code
        try:
            yield
        finally:
            self.function.__code__ = sound


def mutated(component: Any, mutant: Mutant | None) -> Any:
    """The layer or loss with a wrong gradient: `forward` is sound, what it keeps and `backward` are the mutant's.

    Without a mutant it is sound.
    """
    cls: Any = type(component)

    def forward(self: Any, *given: Any) -> Any:
        self.given = given
        return cls.forward(self, *given)

    def backward(self: Any, *dy: Any) -> Any:
        with mutant.in_force() if mutant else nullcontext():
            if mutant is None or mutant.kept:
                for room in (self.scratch or {}).values():  # else the sound forward would have filled it
                    room.fill(np.nan if room.dtype.kind in "fc" else 1)
                cls.forward(self, *self.given)
            return cls.backward(self, *dy)

    component.__class__ = type(cls.__name__, (cls,), {})
    component.__class__.forward, component.__class__.backward = forward, backward  # without a contract of their own
    return component


@cache
def mutants() -> dict[str, list[Mutant]]:
    """The mutants of every registered layer and loss, by its name; a shared one goes to who has the fewest so far."""
    shared: dict[FunctionType, tuple[Code, list[str]]] = {}
    for kind in KINDS:
        for name in names(kind):
            for code in gradient_code(Registry.all[kind].get(name)):
                shared.setdefault(code.function, (code, []))[1].append(name)
    found: dict[str, list[Mutant]] = {name: [] for kind in KINDS for name in names(kind)}
    for code, users in sorted(shared.values(), key=lambda each: len(each[1])):
        for mutant in changes_of(code):
            first = min(users, key=lambda name: len(found[name]))
            mutant.components = [first, *(name for name in users if name != first)]
            found[first].append(mutant)
    return found


def changes_of(code: Code) -> Iterator[Mutant]:
    """The mutants of one function; of those that read alike the second is marked with a 2."""
    function, sound, seen = code.function, tree(code.function), Counter[str]()
    around = {inner: outer for outer in ast.walk(sound) for inner in ast.iter_child_nodes(outer)}
    for node in dict.fromkeys(n for root in code.roots for n in nodes(root)):
        if code.arranges and isinstance(node, (ast.If, ast.IfExp, ast.Compare)):
            continue
        shown = around[node] if isinstance(node, ast.Constant) else node
        for new in changed(node, function.__name__):
            name = f"{function.__qualname__}: {text(shown)} -> {text(new if shown is node else put(shown, node, new))}"
            seen[name] += 1
            name += f" ({seen[name]})" * (seen[name] > 1)
            yield Mutant(name, function, partial(put, sound, node, new), code.kept)


def text(node: ast.AST | list[ast.stmt]) -> str:
    """A node in one line."""
    if isinstance(node, list):
        return "; ".join(map(text, node))
    return f"if {ast.unparse(node.test)}" if isinstance(node, ast.If) else " ".join(ast.unparse(node).split())


def compiled(function: FunctionType, changed: ast.FunctionDef) -> CodeType:
    """The code of a changed function, to take the place of its own; inside a class, for the sake of `super`."""
    path = function.__qualname__.split(".")
    body: ast.stmt = changed
    for part in reversed(path[:-1]):
        body = ast.ClassDef(part, [], [], [body], [])
    code = compile(ast.fix_missing_locations(ast.Module([body], [])), f"<{function.__qualname__}>", "exec")
    for part in path:
        code = next(c for c in code.co_consts if isinstance(c, CodeType) and c.co_name == part)
    return code
