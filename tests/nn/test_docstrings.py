"""Every public class, function and method of the library says what it does."""

from __future__ import annotations

import importlib
import inspect
import pkgutil
from types import ModuleType

import pytest

import dlcli.core
import dlcli.nn
import dlcli.optim
import dlcli.training.metrics


def modules(package: ModuleType) -> list[str]:
    return [package.__name__, *(m.name for m in pkgutil.walk_packages(package.__path__, f"{package.__name__}."))]


PACKAGES = (dlcli.core, dlcli.nn, dlcli.optim, dlcli.training.metrics)
LIBRARY = [
    *(name for package in PACKAGES for name in modules(package)),
    "dlcli.training.metric",
    "dlcli.training.report",
]


def undocumented(module: ModuleType) -> list[str]:
    """Public names of a module without a docstring; a method may take the one of the class that it comes from."""
    found = []
    for name, thing in vars(module).items():
        if name.startswith("_") or getattr(thing, "__module__", None) != module.__name__:
            continue
        if inspect.isfunction(thing) and not thing.__doc__:
            found.append(name)
        if inspect.isclass(thing):
            if (thing.__doc__ or f"{name}(").startswith(f"{name}("):  # which `dataclass` writes where there is none
                found.append(name)
            methods = [k for k, v in vars(thing).items() if inspect.isroutine(v) or isinstance(v, property)]
            found += [f"{name}.{k}" for k in methods if k[0] != "_" and not inspect.getdoc(getattr(thing, k))]
    return found


@pytest.mark.parametrize("name", LIBRARY)
def test_everything_public_is_documented(name: str) -> None:
    assert undocumented(importlib.import_module(name)) == []


def test_the_lint_itself() -> None:
    module = ModuleType("made_up")
    exec("class A:\n    def f(self): ...\ndef g(): ...\ndef _h(): ...", vars(module))
    assert undocumented(module) == ["A", "A.f", "g"]
