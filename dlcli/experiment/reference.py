"""The reference page: every key of a config and every component in Markdown, from what checks and runs them."""

from __future__ import annotations

import dataclasses
import inspect
import re
from collections.abc import Iterable
from typing import Any

from dlcli.config.reader import component_options
from dlcli.core import annotations as ann
from dlcli.core.options import Length, Option, options
from dlcli.core.registry import Entry, Registry
from dlcli.experiment.inspect import default_text, describe, kinds, place, sections

COMMAND = "dlcli describe --all > docs/reference.md"
"""Writes the page anew."""

SIGNS = re.compile(r"(?<! )\*|\*(?! )|<(?=[A-Za-z/!?])|^[-+>#](?= )", re.MULTILINE)
"""What Markdown would take for markup: stars around words, tags, and marks at the start of a line."""

LITERAL = re.compile(r"(`[^`]*`|https?://\S+?(?=[.,;:]?(?:\s|$)))")
"""What is no prose: code, and addresses without the sign after them."""

TITLE = f"""\
# Reference

Every key of a config and every component that it can name, with options, bounds and defaults. In a config a component
is its `Name`, or `Name: {{option: value}}`. In shapes, N is the batch, C the channels, H and W the height and width.
This page is made by `{COMMAND}`; `dlcli describe NAME` shows one component."""


def reference() -> str:
    """The whole page; components of the user's own are among the others."""
    page = [TITLE, _contents(), _anchor("config"), "## Config"]
    for path, about, keys in sections():
        page += [_anchor("config", path), f"### `{path}`", _prose(about)] if path else []
        page.append(_table("key", keys, path=path))
    for registry in kinds().values():
        page += [_anchor(registry.plural), f"## {registry.plural.capitalize()}", *_kind(registry)]
        page += [block for entry in registry.entries() for block in _component(registry, entry)]
    return "\n\n".join(page) + "\n"


def _contents() -> str:
    """One line a kind: its name and count, and a link to each of its components."""
    keys = " · ".join(f"[{path or 'top level'}]({_to('config', path)})" for path, *_ in sections())
    lines = [f"- [**Config**](#config): {keys}"]
    for plural, registry in kinds().items():
        links = " · ".join(f"[{name}]({_to(plural, name)})" for name in registry)
        lines.append(f"- [**{plural.capitalize()}**]({_to(plural)}) ({len(list(registry))}): {links}")
    return "\n".join(lines)


def _kind(registry: Registry[Any]) -> list[str]:
    """What is true of all components of a kind, and the options that all of them take."""
    key, _, holder = place(registry).partition(" ")
    about = (inspect.getdoc(registry.base) or "").split("\n\n")
    blocks = [*map(_prose, about), f"In a config: `{key}` {holder}".rstrip() + "."]
    common = options(registry.base) if registry.base else []
    return blocks + ([f"Options of every {registry.kind}:", _table("option", common)] if common else [])


def _component(registry: Registry[Any], entry: Entry[Any]) -> list[str]:
    """A component: formula, prose, options, examples and file."""
    known = describe(registry, entry)
    first, *rest = known["doc"].split("\n\n")
    formula = re.search(r" [=~] ", first) is not None
    blocks = [_anchor(registry.plural, entry.name), f"### {entry.name}"]
    blocks += [f"```text\n{first}\n```" if formula else _prose(first), *map(_prose, rest)]
    own = [o for o in component_options(entry, registry) if not o.common]
    if own:
        blocks.append(_table("option", own, [o["name"] for o in known["options"] if o["inferred"]]))
    if known["examples"]:
        blocks.append("\n".join(["```yaml", *known["examples"], "```"]))
    return [*blocks, _written(entry)]


def _written(entry: Entry[Any]) -> str:
    """Where a component is written: a link into the repository, or the user's file."""
    if entry.origin:
        return f"Written in `{entry.origin}`."
    file = entry.cls.__module__.replace(".", "/") + ".py"
    return f"Written in [{file}](../{file})."


def _table(head: str, rows: Iterable[Option], inferred: Iterable[str] = (), path: str = "") -> str:
    """The options with type and default, and with their meaning where any has one."""
    rows = list(rows)
    told = any(ann.description(o.type) for o in rows)
    lines = [[head, "type", "default", *(["meaning"] if told else [])]]
    lines.append(["---"] * len(lines[0]))
    for o in rows:
        default = "inferred" if o.name in inferred else _default(o)
        meaning = [_prose(ann.description(o.type))] if told else []
        lines.append([f"`{o.name}`", _type(o.type, f"{path}.{o.name}".lstrip(".")), default, *meaning])
    return "\n".join("| " + " | ".join(cell.replace("|", "\\|") for cell in line) + " |" for line in lines)


def _default(option: Option) -> str:
    """The default as a config writes it."""
    if option.required:
        return "**required**"
    own = dataclasses.is_dataclass(option.default) and not isinstance(option.default, Length)
    return "its defaults" if own else f"`{default_text(option.default)}`"


def _type(annotation: Any, path: str) -> str:
    """The words for what is allowed, with links to the section or the kinds of components among it."""
    words = ann.expected(annotation)
    links = {}
    for part in ann.parts(annotation):
        if (registry := ann.kind(part)) is not None:
            links[ann.named(registry)] = f"[{ann.named(registry)}]({_to(registry.plural)})"
        elif ann.section(part) is not None:
            links[ann.expected(part)] = f"[a mapping]({_to('config', path)})"
    for name, link in links.items():
        words = words.replace(name, link)
    return words


def _prose(text: str) -> str:
    """Text as Markdown shows it: signs stand for themselves, and a line after a full stop stays a line of its own."""
    shown = []
    for i, piece in enumerate(LITERAL.split(text)):
        if i % 2 == 0:
            shown.append(SIGNS.sub(r"\\\g<0>", piece))
        else:
            link = piece.startswith("http")
            shown.append(f"<{piece.replace('<', '%3C').replace('>', '%3E')}>" if link else piece)
    return re.sub(r"([.:;])\n", r"\1\\\n", "".join(shown))


def _anchor(*names: str) -> str:
    return f'<a id="{_to(*names)[1:]}"></a>'


def _to(*names: str) -> str:
    """The link to an entry of the page: `#layers-conv2d`."""
    return "#" + "-".join(re.sub(r"[^a-z0-9]+", "-", name.lower()) for name in names if name)
