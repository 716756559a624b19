"""Whose mistake an exception is: the place in a user's own component that it comes from."""

from __future__ import annotations

import os
import traceback
from collections.abc import Iterator
from typing import Any

from dlcli.core.errors import ConfigError, DlcliError
from dlcli.core.registry import Entry, Registry


def user_error(error: BaseException) -> ConfigError | None:
    """`error` as the user's own, with file and line; None where nothing of a user's has to do with it.

    It is the user's where the traceback passes through a package that registered components from outside, else where
    it ends in dlcli on such a component's behalf: a method that takes other arguments, or that gives None.
    """
    owners = {_package(_class(entry).__module__) for entry in user_entries()} - {"dlcli"}
    frames = list(traceback.walk_tb(error.__traceback__))[::-1]
    what = f"{type(error).__name__}: {' '.join(str(error).split())}".removesuffix(": ")
    for frame, line in frames:
        if _package(frame.f_globals.get("__name__", "")) in owners:
            code = frame.f_code
            name = code.co_qualname.replace("<locals>.", "")
            return ConfigError(f"{shown(code.co_filename)}:{line}: {name} raised {what}")
    for frame, _ in frames:
        for entry in user_entries():
            if isinstance(frame.f_locals.get("self"), entry.cls):
                method = frame.f_locals.get("method", frame.f_code.co_name)
                return ConfigError(f"{place(entry)}: {method} ended with {what}")
    return user_error(error.__cause__) if error.__cause__ is not None else None


def refusal(error: Exception) -> str:
    """What an exception from a component says of its options or shapes: its own words, or else the mistake's place."""
    deliberate = isinstance(error, (DlcliError, ValueError)) and str(error)
    own = None if deliberate else user_error(error)
    return own.problems[0] if own is not None else str(error) or f"cannot be built: {type(error).__name__}"


def user_entries() -> Iterator[Entry[Any]]:
    """What was registered from outside."""
    return (entry for registry in Registry.all.values() for entry in registry.entries() if entry.origin is not None)


def place(entry: Entry[Any]) -> str:
    """`FILE.py:LINE (class Name)`."""
    file, _, line = entry.source.rpartition(":")
    return f"{shown(file)}:{line} (class {_class(entry).__name__})"


def shown(file: str) -> str:
    """A path as short as it can be: from the working directory where the file is inside."""
    relative = os.path.relpath(file)
    return file if relative.startswith(os.pardir) else relative


def _class(entry: Entry[Any]) -> type:
    """The class as the user wrote it."""
    return getattr(entry.cls, "wraps", None) or entry.cls


def _package(module: str) -> str:
    return module.partition(".")[0]
