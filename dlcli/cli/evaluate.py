"""`dlcli eval`."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated, Literal

import typer

from dlcli.cli import common, render, show
from dlcli.cli.charts import confusion, half_blocks, number, percent, side_by_side, table

if TYPE_CHECKING:
    from dlcli.experiment.evaluate import Evaluated

MOST_CLASSES = 20
"""Classes up to which the confusion matrix fits a screen."""


def eval_(
    target: common.CheckpointArgument = None,
    split: Annotated[
        Literal["train", "val", "test"] | None,
        typer.Option("--split", help="Default: val, or train where nothing is held out."),
    ] = None,
    checkpoint: Annotated[
        str | None,
        typer.Option("--checkpoint", metavar="best|last|STEP|PATH", help="Which checkpoint (default: best)."),
    ] = None,
    worst: Annotated[int, typer.Option("--worst", min=0, metavar="N", help="Show the N most wrong samples.")] = 0,
    runs: common.RunsOption = None,
    code: common.CodeOption = None,
    threads: common.ThreadsOption = None,
    offline: common.OfflineOption = False,
    json: common.JsonOption = False,
) -> None:
    """Loss and metrics of a checkpoint on one split."""
    from dlcli.data.dataset import Access
    from dlcli.experiment import evaluate as engine

    opened = engine.open_checkpoint(target, checkpoint, common.parent_of(runs), code or [], show.note)
    with show.downloads() as progress:
        access = Access.from_environment(offline, progress, show.note)
        found = engine.evaluate(opened, split, access, common.cores(threads), show.note)
    if json:
        common.emit_json(found.document())
    else:
        render.out(_text(found, worst))
    if found.split != "test" and found.opened.run is not None and found.has_test:
        show.note(
            f"next   dlcli eval {found.opened.run.path} --split test   (each opening of the test set is recorded)"
        )


def _text(found: Evaluated, worst: int) -> str:
    step = found.opened.snapshot.step
    blocks = [f"{found.opened.path} (step {step}) on the {found.split} split, {found.evaluation.samples:,} samples"]
    rows = []
    for name, value in found.metrics().items():
        low, high = found.intervals.get(name, (None, None))
        share = low is not None and high is not None
        interval = f"95 % interval {percent(low)} to {percent(high)}" if low is not None and high is not None else ""
        rows.append([name, percent(value) if share else number(value), interval])
    blocks.append("\n".join(f"{name:<12}{value:>10}  {interval}".rstrip() for name, value, interval in rows))
    matrix = found.confusion()
    if matrix is not None and len(matrix) <= MOST_CLASSES:
        blocks.append(confusion(matrix, found.names()))
    for name, (true, learned) in found.comparison.items():
        pairs = [
            [str(i), number(t), number(v), f"{v - t:+.2g}"]
            for i, (t, v) in enumerate(zip(true.flat, learned.flat, strict=True))
        ]
        blocks.append(table([name, "true", "learned", "error"], pairs, align="rrrr"))
    if worst:
        blocks.append(_worst(found, worst))
    return "\n\n".join(blocks)


def _worst(found: Evaluated, n: int) -> str:
    """The n samples that the network is most wrong about, drawn where they are images."""
    rows, names = found.worst(n), found.names()
    if not rows:
        return "no sample is classified wrongly"
    captions = [f"#{i} is {names[t]}, taken for {names[p]} ({percent(share, 0)})" for i, t, p, share in rows]
    inputs = found.samples.inputs
    if inputs.ndim != 4 or inputs.shape[1] != 1:
        return "\n".join(captions)
    short = [f"#{i}: {names[t]} as {names[p]}" for i, t, p, _ in rows]
    return side_by_side([half_blocks(inputs[i, 0]) for i, *_ in rows], short, 100)
