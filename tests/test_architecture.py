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
    """Whether `open(file, mode)` or `path.open(mode)` writes, or hides its mode from the reader of the source."""
    modes = [k.value for k in call.keywords if k.arg == "mode"] + call.args[1:2]
    if isinstance(call.func, ast.Attribute):  # a path's first argument is the mode, a zip file's or module's is not
        modes += [a for a in call.args[:1] if isinstance(a, ast.Constant) and set(str(a.value)) <= set("rwabxt+")]
    return any(not isinstance(m, ast.Constant) or bool(set(str(m.value)) & set("wax+")) for m in modes)


def opens_by_flags(call: ast.Call) -> bool:
    """Whether `os.open(path, flags)` names a flag that writes; `os.devnull` may be opened any way."""
    arguments = ast.unparse(call)
    return any(flag in arguments for flag in WRITING_FLAGS) and "os.devnull" not in arguments


def writes(tree: ast.AST) -> Iterator[str]:
    """Every call that would write a file behind the back of `fsio`."""
    for node in ast.walk(tree):
        if not isinstance(node, ast.Call):
            continue
        called = ast.unparse(node.func)
        last = called.rsplit(".", 1)[-1]
        if last == "open":
            bad = opens_by_flags(node) if called == "os.open" else opens_for_writing(node)
        else:
            bad = called in WRITERS or (isinstance(node.func, ast.Attribute) and last in WRITING_METHODS)
        if bad:
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
        ("archive.open(name)", False),
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
