"""Components from outside: a user's `--code` files and installed packages."""

from __future__ import annotations

import hashlib
import importlib.util
import sys
from collections.abc import Callable, Iterable, Mapping, Sequence
from importlib import import_module
from pathlib import Path
from typing import Any

import numpy as np

from dlcli.core import fsio
from dlcli.core.errors import CheckpointError, ConfigError, DlcliError, ResourceError, quote
from dlcli.core.registry import Registry

ROOMS = (
    "dlcli.nn.layers",
    "dlcli.nn.losses",
    "dlcli.nn.initializers",
    "dlcli.optim",
    "dlcli.training.metrics",
    "dlcli.data",
)
"""The packages whose import registers every built-in component."""

NUMPY = "2.0.0"
"""The oldest NumPy that will do: before it, a float32 array times a NumPy scalar changed its type."""

GROUP = "dlcli.components"
"""The entry-point group of installed packages that bring components; each names a module."""

MAX_CODE = 1 << 22
"""The largest code file, in bytes."""


def load_components(code: Sequence[str] = (), note: Callable[[str], None] = lambda line: None) -> dict[str, str]:
    """Register all components: built-in, of installed packages, and of the `code` files; {file: sha256} of the latter.

    ConfigError, with the file and line, where a file cannot be read or its import fails.
    """
    if np.lib.NumpyVersion(np.__version__) < NUMPY:
        raise ResourceError(f"needs NumPy >= {NUMPY}, found {np.__version__}; install a newer NumPy")
    for room in ROOMS:
        import_module(room)
    for point in _installed():
        try:
            with Registry.origin(point.value):
                point.load()
        except DlcliError:
            raise
        except BaseException as error:
            package = point.dist.name if point.dist is not None else point.value
            what = f"{type(error).__name__}: {error}"
            raise ConfigError(
                f"installed package {quote(package)}: {point.value}: cannot be imported: {what}"
            ) from error
    hashes = {}
    for file in code:
        path = Path(file)
        hashes[file] = hashlib.sha256(_source(path)).hexdigest()
        _execute(path, hashes[file])
    for line in Registry.notes:
        note(line)
    Registry.notes.clear()
    return hashes


def _installed() -> Iterable[Any]:
    """The entry points of installed packages."""
    for folder in map(Path, sys.path):
        for file in folder.glob("*-info/entry_points.txt"):
            if f"[{GROUP}]" in file.read_text("utf-8", "replace"):
                from importlib import metadata  # slow to import, and most have no such package

                return metadata.entry_points(group=GROUP)
    return ()


def require_code(recorded: Mapping[str, str], given: Mapping[str, str], where: str, *, unchanged: bool = True) -> None:
    """CheckpointError unless every code file that a run was trained with is given again, `unchanged` if so asked."""
    for file, sha256 in recorded.items():
        if sha256 in given.values():
            continue
        same_name = [name for name in given if Path(name).name == Path(file).name]
        if same_name and not unchanged:
            continue
        if same_name:
            raise CheckpointError(
                f"{where}: {same_name[0]} has sha256 {given[same_name[0]][:12]}..., expected {sha256[:12]}... as when "
                "the run began; restore that version, or train anew"
            )
        raise CheckpointError(f"{where}: was trained with components of {quote(file)}; add --code {file}")


def _source(path: Path) -> bytes:
    if not path.exists():
        raise ConfigError(f"{path}: no such file, expected a Python file for --code")
    return fsio.read_regular(path, MAX_CODE, ConfigError)


def _execute(path: Path, sha256: str) -> None:
    """Import a file as a module of its own, once for the same content."""
    name = f"dlcli_code_{path.stem}_{sha256[:8]}"
    if name in sys.modules:
        return
    spec = importlib.util.spec_from_file_location(name, path)
    if spec is None or spec.loader is None:
        raise ConfigError(f"{path}: is no Python file, expected a name that ends in .py")
    module = importlib.util.module_from_spec(spec)
    sys.modules[name] = module
    try:
        with Registry.origin(str(path)):
            spec.loader.exec_module(module)
    except DlcliError:
        del sys.modules[name]
        raise
    except BaseException as error:
        del sys.modules[name]
        raise ConfigError(
            f"{path}:{_line(error, path)}: cannot be imported: {type(error).__name__}: {error}"
        ) from error


def _line(error: BaseException, path: Path) -> int:
    """The last line of the user's own file in an exception."""
    if isinstance(error, SyntaxError) and error.lineno:
        return error.lineno
    line, trace = 1, error.__traceback__
    while trace is not None:
        if Path(trace.tb_frame.f_code.co_filename).resolve() == path.resolve():
            line = trace.tb_lineno
        trace = trace.tb_next
    return line
