"""`dlcli eval`."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated, Literal

import typer

from dlcli.cli import common, render, show
from dlcli.cli.charts import confusion, half_blocks, number, percent, side_by_side, table
from dlcli.core.errors import escape

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
    """Loss and metrics on one split; confusion matrix, worst samples."""
    from dlcli.data.dataset import Access
    from dlcli.experiment import evaluate as engine
    from dlcli.experiment.opened import open_checkpoint

    opened = open_checkpoint(target, checkpoint, common.parent_of(runs), code or [], show.note)
    with show.downloads() as progress:
        access = Access.from_environment(offline, progress, show.note)
        found = engine.evaluate(opened, split, access, common.cores(threads), show.note)
    with engine.recorded(found, show.note):
        if json:
            common.emit_json(found.document(worst))
        else:
            render.out(_text(found, worst))
    if found.split != "test" and found.opened.run is not None and found.has_test:
        why = "each opening of the test set is recorded"
        show.next_("eval", found.opened.run.path, "--split", "test", why=why, code=code)
    elif found.opened.run is not None:
        show.next_("runs", "list")


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
    rows, inputs = found.worst(n), found.samples.inputs
    if not rows:
        return "no sample is classified wrongly"
    if "probability" not in rows[0]:
        values = [
            [f"#{row['index']}", *(", ".join(map(number, row[k])) for k in ("target", "predicted"))] for row in rows
        ]
        return table(["sample", "true", "predicted"], values, align="lrr")
    if inputs.ndim != 4 or inputs.shape[1] != 1:
        lines = "#{index} is {target}, taken for {predicted} ({probability:.0%})"
        return "\n".join(escape(lines.format(**row)) for row in rows)
    drawn = [half_blocks(inputs[row["index"], 0], color=render.colored()) for row in rows]
    return side_by_side(drawn, ["#{index}: {target} as {predicted}".format(**row) for row in rows], render.width())
