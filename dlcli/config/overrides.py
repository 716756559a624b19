"""`--set KEY=VALUE`: one value of a config changed by its dotted path, before anything is checked."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from importlib import import_module
from itertools import pairwise
from typing import Any

from dlcli.config.document import Document, Mark, Path
from dlcli.config.reader import component_options, section_options
from dlcli.config.schema import Config, Data, Train
from dlcli.config.yamlfile import MAX_DEPTH, parse
from dlcli.core import annotations as ann
from dlcli.core.errors import MAX_VALUE, ConfigError, UsageError, quote, suggest
from dlcli.core.options import Option
from dlcli.core.registry import Registry

Spellings = list[tuple[str, ...]]
"""The ways to write a path: each component's name may stand in it or be left out."""


def apply(document: Document, overrides: Sequence[str]) -> None:
    """Change `document` by each `KEY=VALUE` in turn; their marks read `--set KEY=VALUE`.

    ConfigError for an unknown key or a VALUE that is no YAML; UsageError where the `=` is missing.
    """
    for argument in overrides:
        if "=" not in argument:
            raise UsageError(f"--set {quote(argument)}: got no '=', expected KEY=VALUE such as optimizer.lr=0.05")
    problems = []
    for i, argument in enumerate(overrides):
        key, text = argument.split("=", 1)
        label = f"--set {argument if len(argument) <= MAX_VALUE else argument[: MAX_VALUE - 3] + '...'}"
        try:
            change = parse(text, "VALUE")
        except ConfigError as error:
            problems += [f"{label}: {problem}" for problem in error.problems]
            continue
        path = _find(document, key)
        if isinstance(path, str):
            problems.append(f"{label}: unknown key {quote(key)}; {path}")
        elif len(path) + max(map(len, change.marks), default=0) >= MAX_DEPTH:
            problems.append(f"{label}: nested deeper than {MAX_DEPTH} levels")
        elif isinstance(document.value, dict):
            _replace(document, path, change, Mark(0, i, label))
    if problems:
        raise ConfigError(*problems)


def usual_keys() -> dict[str, str]:
    """The keys of the top, of data and train, and of any optimizer, by their last segment: `lr` to `optimizer.lr`."""
    import_module("dlcli.optim")
    registry = Registry.all["optimizers"]
    steps = [o for entry in registry.entries() for o in component_options(entry, registry)]
    sections = {"data": section_options(Data), "train": section_options(Train), "optimizer": steps}
    inner = {o.name: f"{section}.{o.name}" for section, declared in sections.items() for o in declared}
    return {o.name: o.name for o in section_options(Config)} | inner


def settable(annotation: Any, value: Any, path: Path, spellings: Spellings) -> Iterator[tuple[Path, Spellings]]:
    """The path of everything in `value` that `annotation` lets one set, with its spellings; the value itself first."""
    yield path, spellings
    for alternative in ann.members(annotation):
        registry, cls = ann.kind(alternative), ann.section(alternative)
        declared: tuple[Option, ...] = ()
        given, at, written = value, path, spellings
        if registry is not None:
            only = isinstance(value, dict) and len(value) == 1
            name, given = next(iter(value.items())) if only else (value, None)
            if not isinstance(name, str) or name not in registry:
                continue
            at, named = (*path, name), [(*s, name) for s in spellings]
            yield at, named
            declared, written = component_options(registry.entry(name), registry), spellings + named
        elif cls is not None:
            declared = section_options(cls)
        children: list[tuple[Any, str | int, Any]] = []
        if declared:
            held = given if isinstance(given, dict) else {}
            children = [(o.type, o.name, held.get(o.name)) for o in declared]
        elif (item := ann.sequence(alternative)) is not None and isinstance(value, list):
            children = [(item, i, v) for i, v in enumerate(value)]
        elif (item := ann.mapping(alternative)) is not None and isinstance(value, dict):
            children = [(item, k, v) for k, v in value.items()]
        for kind, part, child in children:
            yield from settable(kind, child, (*at, part), [(*s, str(part)) for s in written])


def _find(document: Document, key: str) -> Path | str:
    """The path that `key` spells, or, where there is none, a hint at the near one."""
    wanted = tuple(key.split("."))
    table: dict[tuple[str, ...], Path] = {}
    for path, spellings in settable(Config, document.value, (), [()]):
        for spelling in spellings:
            table[spelling] = path
    if wanted in table:
        return table[wanted]
    same = {path: spelling for spelling, path in reversed(table.items()) if spelling[-1:] == wanted[-1:]}
    if len(same) == 1:
        return f"did you mean '{'.'.join(*same.values())}'?"
    deepest = max(map(len, table))
    known = max(i for i in range(min(len(wanted), deepest + 1)) if wanted[:i] in table)
    beside = [s for s in table if s[:known] == wanted[:known]]
    hint = suggest(key, [".".join(s) for s in beside if len(s) == len(wanted)])
    if hint.startswith("did you mean"):
        return hint
    inside = [".".join(s) for s in beside if len(s) == known + 1]
    if not inside:
        return f"{quote('.'.join(wanted[:known]))} has no keys inside, set it as a whole"
    return suggest(".".join(wanted[: known + 1]), inside)


def _replace(document: Document, path: Path, change: Document, mark: Mark) -> None:
    """Put the value of `change` at `path`, and make `mark` the place of it and of all inside."""
    container: Any = document.value
    for part, _ in pairwise(path):
        child: Any = container[part] if isinstance(part, int) else container.get(part)
        if not isinstance(child, (dict, list)):
            # A bare component name takes options as `Name: {}`; a section that is not there begins empty.
            child = {child: {}} if isinstance(child, str) else {}
            container[part] = child
        container = child
    container[path[-1]] = change.value
    for marks, changed in ((document.marks, change.marks), (document.keys, change.keys)):
        for old in [p for p in marks if p[: len(path)] == path]:
            del marks[old]
        marks[path] = mark
        for inner, its in changed.items():
            marks[(*path, *inner)] = mark._replace(raw=its.raw)
