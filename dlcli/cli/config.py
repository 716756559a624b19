"""`dlcli config show`, `schema` and `new`."""

from __future__ import annotations

from importlib import resources
from pathlib import Path
from typing import Annotated, Any

import typer

from dlcli.cli import common, render, show
from dlcli.core.errors import BusyError, UsageError, quote, suggest

app = common.group("Resolved configs, the JSON Schema for editors, starter configs.")


@app.command("show")
def show_(
    config: common.ConfigArgument,
    set_: common.SetOption = None,
    code: common.CodeOption = None,
    json: common.JsonOption = False,
) -> None:
    """Print the config with every default written out."""
    from dlcli.config.resolved import to_yaml

    checked, _ = common.prepared(config, set_, code)
    if json:
        common.emit_json(checked.resolved())
    else:
        render.out(to_yaml(checked))
    show.next_("train", config, changes=set_, code=code)


@app.command("schema")
def schema(code: common.CodeOption = None) -> None:
    """Print the JSON Schema of configs, for completion and checks in an editor."""
    from dlcli.config.jsonschema import json_schema
    from dlcli.experiment.plugins import load_components

    load_components(code or [], show.note)
    common.emit_json(json_schema())
    show.note("first line for an editor: # yaml-language-server: $schema=PATH (dlcli config schema > PATH)")


@app.command("new")
def new(
    name: Annotated[
        str | None, typer.Argument(metavar="NAME", help="A shipped config; without it, lists them.")
    ] = None,
    path: Annotated[Path | None, typer.Argument(metavar="PATH", help="Where to write it (default: NAME.yaml).")] = None,
) -> None:
    """Write a shipped config as a start for your own."""
    shipped = _shipped()
    if name is None:
        width = max(map(len, shipped))
        render.out("\n".join(f"{n:<{width}}  {_title(text)}" for n, text in sorted(shipped.items())))
        show.next_("config", "new", "digits")
        return
    stem = name.removesuffix(".yaml")
    if stem not in shipped:
        raise UsageError(f"no shipped config is called {quote(name)}; {suggest(stem, shipped)}")
    target = path or Path(f"{stem}.yaml")
    if target.is_dir():
        target = target / f"{stem}.yaml"
    if target.exists():
        raise BusyError(f"{target}: exists already; name another path: dlcli config new {stem} PATH")
    from dlcli.core.fsio import make_dirs, write_atomic

    make_dirs(target.parent)
    write_atomic(target, shipped[stem].encode())
    render.out(str(target))
    show.next_("train", target)


def _shipped() -> dict[str, str]:
    """The shipped configs by name: package data in a wheel, the folder `configs` in a checkout."""
    packaged: Any = resources.files("dlcli") / "configs"
    folder = packaged if packaged.is_dir() else Path(__file__).parents[2] / "configs"
    return {
        f.name.removesuffix(".yaml"): f.read_text(encoding="utf-8")
        for f in folder.iterdir()
        if f.name.endswith(".yaml")
    }


def _title(text: str) -> str:
    return text.split("\n", 1)[0].lstrip("# ")
