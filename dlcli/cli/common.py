"""What the commands share: their options, and the objects made of them."""

from __future__ import annotations

import json
import os
import re
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Literal

import typer

from dlcli.cli import show
from dlcli.core.errors import UsageError, quote

if TYPE_CHECKING:
    from dlcli.config.diagnosis import Diagnosis
    from dlcli.config.schema import Config

ConfigArgument = Annotated[
    str, typer.Argument(metavar="CONFIG", help="A config file, a run directory, or - for stdin.")
]
RunArgument = Annotated[
    str | None, typer.Argument(metavar="RUN", help="A run: path, name, unique prefix, or latest (the default).")
]
CheckpointArguments = Annotated[
    list[str] | None,
    typer.Argument(metavar="RUN|CKPT", help="Runs or checkpoint files; by default the newest run."),
]
WhichOption = Annotated[
    str | None,
    typer.Option("--checkpoint", metavar="best|last|STEP|PATH", help="Which checkpoint (default: best)."),
]
SplitOption = Annotated[
    Literal["train", "val", "test"] | None,
    typer.Option("--split", help="Default: val, or train where nothing is held out."),
]
SetOption = Annotated[
    list[str] | None,
    typer.Option("--set", metavar="KEY=VALUE", help="Change a config value, such as optimizer.lr=0.05; repeatable."),
]
CodeOption = Annotated[
    list[str] | None, typer.Option("--code", metavar="FILE.py", help="Import your own components; repeatable.")
]
JsonOption = Annotated[bool, typer.Option("--json", help="Print one JSON document on stdout.")]
RunsOption = Annotated[
    Path | None, typer.Option("--runs", metavar="DIR", help="The parent of all runs (default: DLCLI_RUNS, else runs).")
]
ThreadsOption = Annotated[
    int | None,
    typer.Option(
        "--threads",
        min=1,
        max=1024,
        metavar="N",
        help="Threads (default: the cores); they never change a bit.",
    ),
]
OfflineOption = Annotated[bool, typer.Option("--offline", help="Never open a socket.")]


def group(about: str) -> typer.Typer:
    """A command made of commands; alone it shows its help."""
    app = typer.Typer(help=about, invoke_without_command=True)

    @app.callback()
    def alone(context: typer.Context) -> None:
        if context.invoked_subcommand is None:
            from dlcli.cli import render

            render.out(context.get_help())

    return app


def parent_of(runs: Path | None) -> Path:
    """The parent of all runs."""
    from dlcli.runs import root

    return root(runs)


def prepared(config: str, set_: list[str] | None, code: list[str] | None) -> tuple[Config, Diagnosis]:
    """A config checked among all components, those of `code` too; its warnings are shown."""
    from dlcli.experiment.plugins import load_components
    from dlcli.experiment.prepare import prepare

    load_components(code or [], show.note)
    return prepare(config, set_ or [], show.note)


def cores(threads: int | None) -> int:
    """The threads asked for, else the cores that this process may use."""
    if threads is not None:
        return threads
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1


def checked_name(name: str | None) -> str | None:
    """A run's name from the command line; UsageError unless it can name a directory."""
    if name is not None and not re.fullmatch(r"[A-Za-z0-9][A-Za-z0-9._-]{0,99}", name):
        raise UsageError(
            f"--name: got {quote(name)}, expected 1 to 100 of A-Z a-z 0-9 . _ - with a letter or digit first"
        )
    return name


def exclusive(**given: Any) -> None:
    """UsageError where more than one of the options, or arguments in capitals, is given."""
    used = [name if name.isupper() else "--" + name.replace("_", "-") for name, value in given.items() if value]
    if len(used) > 1:
        raise UsageError(f"{' and '.join(used)} exclude each other; give one of them")


def emit_json(document: Any) -> None:
    """One JSON document on stdout, in one write."""
    from dlcli.cli import render

    render.out(json.dumps(document, allow_nan=False) + "\n")
