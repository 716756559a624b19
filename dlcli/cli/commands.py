"""The table of commands, in the order in which they are used."""

from __future__ import annotations

from typing import Annotated

import typer

from dlcli import __version__
from dlcli.cli import (
    config,
    data,
    evaluate,
    gradcheck,
    inspect,
    lr_find,
    predict,
    render,
    runs,
    sanity,
    timing,
    trace,
    train,
)
from dlcli.core.errors import EXIT_CODES

CODES = "Exit codes:\n\n\b\n" + "\n".join(f"{code:>3}  {meaning}" for code, meaning in EXIT_CODES.items())

app = typer.Typer(
    name="dlcli",
    help="Train, evaluate and gradient-check neural networks described in YAML, in plain NumPy.",
    epilog=CODES,
    add_completion=False,
    rich_markup_mode=None,
    pretty_exceptions_enable=False,
    context_settings={"help_option_names": ["-h", "--help"]},
)


def _version(asked: bool) -> None:
    if asked:
        render.out(f"dlcli {__version__}")
        raise typer.Exit()


@app.callback(invoke_without_command=True)
def dlcli(
    context: typer.Context,
    version: Annotated[
        bool, typer.Option("--version", callback=_version, is_eager=True, help="Show the version and exit.")
    ] = False,
) -> None:
    """Train, evaluate and gradient-check neural networks described in YAML, in plain NumPy."""
    if context.invoked_subcommand is None:
        render.out(context.get_help())


app.command("train")(train.train)
app.command("eval")(evaluate.eval_)
app.command("predict")(predict.predict)
app.command("gradcheck")(gradcheck.gradcheck)
app.command("resume")(train.resume)
app.command("check")(inspect.check)
app.command("sanity")(sanity.sanity)
app.command("summary")(inspect.summary)
app.command("trace")(trace.trace)
app.command("time")(timing.time)
app.command("lr-find")(lr_find.lr_find)
app.add_typer(runs.app, name="runs")
app.add_typer(data.app, name="data")
app.command("list")(inspect.list_)
app.command("describe")(inspect.describe)
app.add_typer(config.app, name="config")
