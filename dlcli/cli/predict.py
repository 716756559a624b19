"""`dlcli predict`."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated, Any

import typer

from dlcli.cli import common, render, show
from dlcli.cli.charts import number, percent, table
from dlcli.cli.images import half_blocks, side_by_side
from dlcli.core.errors import UsageError, quote

if TYPE_CHECKING:
    from dlcli.experiment.predict import Predicted

MOST_DRAWN = 8
"""Images up to which they are drawn."""


def predict(
    words: Annotated[
        list[str] | None,
        typer.Argument(
            metavar="RUN|CKPT|INPUT",
            help="Files .npy, .npz, .csv or IDX, and the run or checkpoint (default: the newest run).",
        ),
    ] = None,
    index: Annotated[
        list[str] | None,
        typer.Option("--index", metavar="I|I-J", help="Samples of the run's data in place of files; repeatable."),
    ] = None,
    split: common.SplitOption = None,
    top: Annotated[int, typer.Option("--top", min=1, metavar="K", help="Show the K likeliest classes.")] = 3,
    checkpoint: common.WhichOption = None,
    runs: common.RunsOption = None,
    code: common.CodeOption = None,
    threads: common.ThreadsOption = None,
    offline: common.OfflineOption = False,
    csv: Annotated[bool, typer.Option("--csv", help="Print a CSV table on stdout, a row for each sample.")] = False,
    json: common.JsonOption = False,
) -> None:
    """Classes and probabilities, or values, of samples in files.

    Inputs are raw, as in the data set: the checkpoint's normalisation is applied.
    For samples of 1x28x28 an array may be (N,1,28,28), (N,28,28) or (N,784), or
    one sample without N; an archive has one array, or calls it x or inputs; the
    columns of a table with names are found by name. Up to 8 grey images are
    drawn. Several runs or checkpoints predict as an ensemble.
    """
    from dlcli.data.dataset import Access
    from dlcli.experiment import predict as engine
    from dlcli.experiment.opened import is_model, open_checkpoints
    from dlcli.experiment.record import recorded

    common.exclusive(csv=csv, json=json)
    models = [word for word in words or [] if is_model(word)]
    files = [word for word in words or [] if word not in models]
    common.exclusive(INPUT=files, index=index)
    if not files and not index:
        got = f"got {', '.join(map(quote, models[:3]))}, no file with samples" if models else "missing argument INPUT"
        raise UsageError(f"dlcli predict: {got}; name a file, or samples of the data by --index")
    if split is not None and not index:
        raise UsageError("--split goes with --index")
    members = open_checkpoints(models, checkpoint, common.parent_of(runs), code or [], show.note)
    if index:
        with show.downloads() as progress:
            access = Access.from_environment(offline, progress, show.note)
            given = engine.from_split(members, index, split, access, show.note)
    else:
        given = engine.from_files(members, files)
    found = engine.predict(members, given, common.cores(threads), show.note)
    with recorded(found.opening(), given.split or "", show.note):
        if json:
            common.emit_json(found.document())
        else:
            render.out(found.csv() if csv else _text(found, top))
    if any(opened.run is not None for opened in members):
        show.next_("eval", *(opened.name for opened in members), code=code)


def _text(found: Predicted, top: int) -> str:
    given, rows = found.given, found.rows()
    count = f"{len(rows):,} sample{'s' * (len(rows) != 1)}"
    where = f" of the {given.split} split" if given.split is not None else ""
    several = len(found.members) > 1
    who = f"ensemble of {len(found.members)}" if several else show.checkpoint(found.members[0])
    blocks = [f"{who}: {count}{where}"]
    if len(rows) <= MOST_DRAWN and given.inputs.ndim == 4 and given.inputs.shape[1] == 1:
        drawn = [half_blocks(image[0], color=render.colored()) for image in given.inputs]
        blocks.append(side_by_side(drawn, [_caption(row) for row in rows], render.width()))
    sources = [row["input"] for row in rows]
    columns: dict[str, list[str]] = {"input": sources} if len(set(sources)) > 1 else {}
    columns["sample"] = [f"#{row['index']}" for row in rows]
    if given.targets is not None:
        columns["true"] = [_said(row["target"]) for row in rows]
    if found.class_names:
        columns |= {
            "class": [row["class"] for row in rows],
            "probability": [percent(row["probability"]) for row in rows],
        }
        if top > 1 and len(found.class_names) > 1:
            columns["then"] = [_others(row, top) for row in rows]
    else:
        columns["value"] = [_said(row["values"]) for row in rows]
    align = "".join("r" if name in ("probability", "value") else "l" for name in columns)
    blocks.append(table(list(columns), zip(*columns.values(), strict=True), align=align))
    return "\n\n".join(blocks)


def _caption(row: dict[str, Any]) -> str:
    return f"#{row['index']}: {row['class'] if 'class' in row else _said(row['values'])}"


def _said(target: Any) -> str:
    """A class, or values, in text."""
    return ", ".join(map(number, target)) if isinstance(target, list) else str(target)


def _others(row: dict[str, Any], top: int) -> str:
    """The likeliest classes after the first, with their probabilities."""
    others = [(p, name) for name, p in row["probabilities"].items() if name != row["class"]]
    return ", ".join(f"{name} {percent(p)}" for p, name in sorted(others, key=lambda pair: -pair[0])[: top - 1])
