"""Who may import whom, and where files may be written, read off the source."""

from __future__ import annotations

import ast
from collections.abc import Iterator
from pathlib import Path

import pytest

import dlcli

ROOT = Path(dlcli.__file__).parent
FILES = sorted(ROOT.rglob("*.py"))

PARTS = {"core", "nn", "optim", "data"}
BELOW = {
    "core": set(),
    "nn": {"core"},
    "optim": {"core"},
    "data": {"core"},
    "config": PARTS,
    "training": PARTS,
    "runs": PARTS | {"config", "training"},
    "experiment": PARTS | {"config", "training", "runs"},
    "cli": PARTS | {"config", "training", "runs", "experiment"},
}
"""What each room may import, besides itself. Siblings (nn, optim, data; config, training) never import each other."""

DOORS = {"__init__.py", "__main__.py"}
"""The package's own doors: `dlcli` finds any name lazily, `python -m dlcli` starts the command line."""

HEAVY = {"pydantic", "yaml", "typer", "rich", "requests", "pooch"}
LIBRARY = {"core", "nn", "optim", "training"}
"""Rooms that work as a library: NumPy and annotated_types only."""

WRITERS = {
    "np.save", "np.savez", "np.savez_compressed", "np.savetxt", "numpy.save", "numpy.savez",
    "os.replace", "os.rename", "os.renames", "os.link", "os.truncate",
    "shutil.copy", "shutil.copyfile", "shutil.copy2", "shutil.move",
    "tempfile.NamedTemporaryFile", "tempfile.mkstemp",
}  # fmt: skip
WRITING_FLAGS = ("O_WRONLY", "O_RDWR", "O_CREAT", "O_TRUNC", "O_APPEND")
WRITING_METHODS = {"write_text", "write_bytes", "tofile", "touch", "hardlink_to", "symlink_to"}


def ids(path: Path) -> str:
    return str(path.relative_to(ROOT))


def imports(tree: ast.AST) -> Iterator[tuple[int, str]]:
    """Every imported module with its line; `from dlcli import runs` counts as `dlcli.runs`."""
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            yield from ((node.lineno, alias.name) for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            assert not node.level, "relative imports hide who imports whom"
            deeper = node.module == "dlcli"
            names = [f"dlcli.{alias.name}" for alias in node.names] if deeper else [node.module or ""]
            yield from ((node.lineno, name) for name in names)


def room(path: Path) -> str:
    return path.relative_to(ROOT).parts[0].removesuffix(".py")


@pytest.mark.parametrize("path", [p for p in FILES if ids(p) not in DOORS], ids=ids)
def test_no_import_goes_up_or_sideways(path: Path) -> None:
    assert room(path) in BELOW, f"{room(path)} is no room of the house: say in BELOW what it may import"
    allowed = BELOW[room(path)] | {room(path), "__version__"}
    wrong = [
        f"{ids(path)}:{line} imports {name}"
        for line, name in imports(ast.parse(path.read_text("utf-8")))
        if name.split(".")[0] == "dlcli" and name.split(".")[1] not in allowed
    ]
    assert wrong == []


@pytest.mark.parametrize("path", [p for p in FILES if room(p) in LIBRARY], ids=ids)
def test_the_library_needs_numpy_only(path: Path) -> None:
    wrong = [
        f"{ids(path)}:{line} imports {name}"
        for line, name in imports(ast.parse(path.read_text("utf-8")))
        if name.split(".")[0] in HEAVY
    ]
    assert wrong == []


def opens_for_writing(call: ast.Call) -> bool:
    """Whether `open(...)` or `path.open(...)` has a mode that writes, or one that cannot be read off the source."""
    of_a_path = isinstance(call.func, ast.Attribute) and ast.unparse(call.func) not in ("io.open", "gzip.open")
    position = 0 if of_a_path else 1
    given = [k.value for k in call.keywords if k.arg == "mode"] + call.args[position : position + 1]
    if not given:
        return False
    mode = given[0]
    return not (isinstance(mode, ast.Constant) and isinstance(mode.value, str)) or bool(set(mode.value) & set("wax+"))


def writes(tree: ast.AST) -> Iterator[str]:
    """Every call that would write a file behind the back of `fsio`."""
    for node in ast.walk(tree):
        if not isinstance(node, ast.Call):
            continue
        called = ast.unparse(node.func)
        last = called.rsplit(".", 1)[-1]
        if called in WRITERS or (isinstance(node.func, ast.Attribute) and last in WRITING_METHODS):
            yield f"{node.lineno}: {called}"
        elif called in ("open", "io.open", "gzip.open") or (last == "open" and called != "os.open"):
            if opens_for_writing(node):
                yield f"{node.lineno}: {called}"
        elif called in ("os.open", "os.fdopen"):
            arguments = ast.unparse(node)
            if any(flag in arguments for flag in WRITING_FLAGS) and "os.devnull" not in arguments:
                yield f"{node.lineno}: {called}"


@pytest.mark.parametrize("path", [p for p in FILES if ids(p) != "core/fsio.py"], ids=ids)
def test_only_fsio_writes_files(path: Path) -> None:
    assert [f"{ids(path)}:{where}" for where in writes(ast.parse(path.read_text("utf-8")))] == []


@pytest.mark.parametrize(
    ("source", "caught"),
    [
        ("open('x', 'w')", True),
        ("open('x', mode='ab')", True),
        ("open('x', 'r+')", True),
        ("open('x', mode)", True),
        ("open('x')", False),
        ("open('x', 'rb')", False),
        ("path.open('x')", True),
        ("gzip.open(path, 'wb')", True),
        ("gzip.open(path, 'rb')", False),
        ("os.open(path, os.O_WRONLY | os.O_CREAT)", True),
        ("os.open(path, os.O_RDONLY)", False),
        ("path.open()", False),
        ("os.replace(a, b)", True),
        ("text.replace(a, b)", False),
        ("np.savez(f, a=1)", True),
        ("Path('x').write_text('')", True),
    ],
)
def test_the_lint_itself(source: str, caught: bool) -> None:
    assert bool(list(writes(ast.parse(source)))) == caught


@pytest.mark.parametrize("path", FILES, ids=ids)
def test_every_file_opens_with_a_sentence(path: Path) -> None:
    doc = ast.get_docstring(ast.parse(path.read_text("utf-8")))
    assert doc is not None
    assert doc.split("\n\n")[0].rstrip().endswith((".", ":"))


@pytest.mark.parametrize("path", FILES, ids=ids)
def test_behaviour_never_hangs_on_assert(path: Path) -> None:
    lines = [node.lineno for node in ast.walk(ast.parse(path.read_text("utf-8"))) if isinstance(node, ast.Assert)]
    assert lines == []
