"""`dlcli trace`."""

from __future__ import annotations

import math
import re
import textwrap
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from dlcli.cli import common, render, show
from dlcli.cli.charts import number, percent
from dlcli.cli.matrix import matrices
from dlcli.core.errors import UsageError, escape

if TYPE_CHECKING:
    from dlcli.experiment.recording import Passage, Trace
    from dlcli.experiment.trace import Request

SMALL = 100
"""Numbers of an array that --numbers prints, at most."""

WIDTH = 80
STEP = "   "
"""How far everything inside a layer stands further in."""

DEEPEST = 8
"""Containers inside each other that are shown by it."""

FIGURES = {"mean": "middle", "sd": "sd", "min": "min", "max": "max", "norm": "norm"}
"""Columns, and what stands in them."""


def trace(
    target: Annotated[
        str | None, typer.Argument(metavar="CONFIG|RUN|CKPT", help="What to trace; by default the newest run.")
    ] = None,
    batch: Annotated[int, typer.Option("--batch", min=1, max=100_000, metavar="N", help="How many samples.")] = 4,
    layer: Annotated[
        str | None, typer.Option("--layer", metavar="K", help="Show one layer, such as 3 or 3.body.0.")
    ] = None,
    numbers: Annotated[
        bool, typer.Option("--numbers", help=f"Print arrays of up to {SMALL} numbers; with --json all.")
    ] = False,
    seed: Annotated[
        int | None,
        typer.Option("--seed", min=0, max=2**63 - 1, metavar="N", help="In the place of the config's seed."),
    ] = None,
    set_: common.SetOption = None,
    code: common.CodeOption = None,
    runs: common.RunsOption = None,
    json: common.JsonOption = False,
) -> None:
    """Follow one batch: formulas, shapes and numbers, both ways.

    Of a config: the first step of its training. Of a run: its best weights.
    """
    from dlcli.experiment.trace import Request

    most = (math.inf if json else SMALL) if numbers else 0
    found = _trace(target, Request(batch, seed, layer, most), set_ or [], code or [], runs)
    if json:
        common.emit_json(found.document())
    else:
        render.out("\n".join(_text(found, layer is None, numbers)))
    if target != "-":  # which has been read to its end
        named = [] if target is None else [target]
        show.next_("gradcheck", *named, why="are these gradients right?", changes=set_, code=code)


def _trace(target: str | None, asked: Request, overrides: list[str], code: list[str], runs: Path | None) -> Trace:
    from dlcli.experiment import trace as engine
    from dlcli.runs import names_run

    parent = common.parent_of(runs)
    if target is None or target.endswith(".npz") or names_run(target, parent):
        from dlcli.experiment.opened import open_checkpoint

        if overrides:
            raise UsageError("--set goes with a config file; the weights of a run fit its own config")
        opened = open_checkpoint(target, None, parent, code, show.note)
        show.note(f"weights: {show.checkpoint(opened)}")
        return engine.of_checkpoint(opened, asked, show.note)
    config, found = common.prepared(target, overrides, code)
    return engine.of_config(config, found.info, asked, show.note)


def _text(found: Trace, whole: bool, numbers: bool) -> Iterator[str]:
    passages = [*found.forward, found.loss, *found.backward]
    room = max(len(name) for passage in passages for name in passage.arrays)
    yield _rule("forward", "the y of a layer is the x of the next")
    for passage in found.forward:
        yield from _passage(passage, f"{passage.name}  {passage.layer}{_options(passage)}", room, numbers)
    if whole:
        yield "\n" + _rule("loss", "how wrong the outputs are, in one number")
        yield from _passage(found.loss, f"{found.loss.layer}{_options(found.loss)}", room, numbers)
        yield f"{STEP}L = {found.value:.6g}"
    yield "\n" + _rule("backward", "dy is dL/dy; the dx of a layer is the dy of the one before")
    for passage in found.backward:
        yield from _passage(passage, f"{passage.name}  {passage.layer}", room, numbers)
    if found.unreached:
        missed = ", ".join(f"{passage.name} {passage.layer}" for passage in found.unreached)
        yield "\n" + "\n".join(_wrapped(f"not reached, as nothing up to there learns: {missed}", ""))


def _rule(title: str, legend: str) -> str:
    return f"{title} ".ljust(WIDTH - len(legend) - 1, "─") + f" {legend}"


def _options(passage: Passage) -> str:
    given = ", ".join(f"{name}={value!r}" for name, value in passage.options.items())
    return f"({given})" if given else ""


def _passage(passage: Passage, title: str, room: int, numbers: bool) -> Iterator[str]:
    """What one layer does in one direction: its title, the formula, the shapes, the statistics, the numbers."""
    yield ""
    outer = STEP * min(passage.depth, DEEPEST)
    yield from _wrapped(title, outer)
    indent = outer + STEP
    whole = len(indent + passage.formula) <= WIDTH
    for clause in [passage.formula] if whole else re.split(r" {2,}", passage.formula):
        yield from _wrapped(clause, indent)
    yield from _wrapped(passage.shapes, indent)
    yield f"{indent}{'':{room}}" + "".join(f"{name:>11}" for name in FIGURES) + "    zeros"
    for name, array in passage.arrays.items():
        if not array.dtype.startswith(("int", "uint")):  # of class indices figures say nothing
            figures = "".join(f"{number(getattr(array, figure)):>11}" for figure in FIGURES.values())
            yield f"{indent}{escape(name):<{room}}{figures}{percent(array.zeros, 1):>9}"
    broken = [f"{a.nonfinite:,} of {a.size:,} in {name}" for name, a in passage.arrays.items() if a.nonfinite]
    if broken:
        yield from _wrapped(f"not finite: {', '.join(broken)}", indent)
    small = {escape(name): array.values for name, array in passage.arrays.items() if array.values is not None}
    if small:
        yield from textwrap.indent(matrices(small, WIDTH - len(indent)), indent).splitlines()
    large = [f"{name} of {a.size:,}" for name, a in passage.arrays.items() if a.values is None] if numbers else []
    if large:
        yield from _wrapped(f"left out, as more than {SMALL} numbers: {', '.join(large)}", indent)


def _wrapped(text: str, indent: str) -> list[str]:
    return textwrap.wrap(
        escape(text), WIDTH, initial_indent=indent, subsequent_indent=indent + STEP, break_on_hyphens=False
    )
