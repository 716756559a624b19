"""`dlcli eval`."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated

import typer

from dlcli.cli import common, render, show
from dlcli.cli.charts import confusion, number, percent, table
from dlcli.cli.images import half_blocks, side_by_side
from dlcli.core.errors import CheckFailedError, escape

if TYPE_CHECKING:
    from dlcli.experiment.evaluated import Evaluated

MOST_CLASSES = 20
"""Classes up to which their figures and the confusion matrix fit a screen."""


def eval_(
    targets: common.CheckpointArguments = None,
    split: common.SplitOption = None,
    checkpoint: common.WhichOption = None,
    worst: Annotated[int, typer.Option("--worst", min=0, metavar="N", help="Show the N most wrong samples.")] = 0,
    require: Annotated[
        list[str] | None,
        typer.Option("--require", metavar="BOUND", help="Such as 'accuracy>=0.97': else exit code 10; repeatable."),
    ] = None,
    runs: common.RunsOption = None,
    code: common.CodeOption = None,
    threads: common.ThreadsOption = None,
    offline: common.OfflineOption = False,
    json: common.JsonOption = False,
) -> None:
    """Metrics on one split, per class; confusion matrix, the worst.

    Several runs or checkpoints are evaluated as an ensemble: the mean of their
    probabilities, or of their values.
    """
    from dlcli.data.dataset import Access
    from dlcli.experiment import evaluate as engine
    from dlcli.experiment.opened import open_checkpoints
    from dlcli.experiment.record import recorded
    from dlcli.experiment.requirement import Requirement

    required = [Requirement.parse(text) for text in require or []]
    members = open_checkpoints(targets or [], checkpoint, common.parent_of(runs), code or [], show.note)
    with show.downloads() as progress:
        access = Access.from_environment(offline, progress, show.note)
        found = engine.evaluate(members, split, access, common.cores(threads), show.note, required)
    with recorded(found.rows(), found.split.name, show.note):
        if json:
            common.emit_json(found.document(worst))
        else:
            render.out(_text(found, worst))
    problems = [problem for r in required if (problem := r.problem(found.figures.metrics)) is not None]
    unsound = engine.broken(found.outputs)
    if required and unsound is not None:
        problems.append(f"--require: {unsound}, expected finite ones")
    if problems:
        raise CheckFailedError(*problems)
    in_runs = [opened.run is not None for opened in members]
    if found.split.name != "test" and all(in_runs) and found.split.has_test:
        why = "each opening of the test set is recorded"
        show.next_("eval", *(opened.name for opened in members), "--split", "test", why=why, code=code)
    elif any(in_runs):
        show.next_("runs", "list")


def _text(found: Evaluated, worst: int) -> str:
    on = f"on the {found.split.name} split, {len(found.outputs):,} samples"
    blocks = [*_members(found, on), _figures(found)]
    matrix = found.confusion()
    if matrix is not None and len(matrix) <= MOST_CLASSES:
        blocks += [_per_class(found), confusion(matrix, found.split.info.names)]
    for name, (true, learned) in found.comparison.items():
        pairs = [
            [str(i), number(t), number(v), f"{v - t:+.2g}"]
            for i, (t, v) in enumerate(zip(true.flat, learned.flat, strict=True))
        ]
        blocks.append(table([name, "true", "learned", "error"], pairs, align="rrrr"))
    if worst:
        blocks.append(_worst(found, worst))
    return "\n\n".join(blocks)


def _members(found: Evaluated, on: str) -> list[str]:
    """What was evaluated; of an ensemble the first figure of each member too."""
    if len(found.members) == 1:
        return [f"{show.checkpoint(found.members[0])} {on}"]
    name = next(iter(found.figures.metrics))
    rows = [
        [show.checkpoint(opened), show.figure(name, own.metrics[name])]
        for opened, own in zip(found.members, found.own, strict=True)
    ]
    return [
        f"ensemble of {len(rows)} {on}",
        table(["member", name], [*rows, ["ensemble", show.figure(name, found.figures.metrics[name])]], align="lr"),
    ]


def _figures(found: Evaluated) -> str:
    """A line for each figure, with the interval of a share of samples."""
    figures = found.figures
    width = max(12, *(len(name) + 2 for name in figures.metrics))
    lines = []
    for name, value in figures.metrics.items():
        ends = figures.intervals.get(name)
        interval = f"  95 % interval {percent(ends[0])} to {percent(ends[1])}" if ends else ""
        lines.append(f"{name:<{width}}{percent(value) if ends else number(value):>10}{interval}")
    return "\n".join(lines)


def _per_class(found: Evaluated) -> str:
    rows = [
        [row["class"], *(percent(row[key]) for key in ("precision", "recall", "f1")), str(row["support"])]
        for row in found.per_class()
    ]
    return table(["class", "precision", "recall", "f1", "samples"], rows, align="lrrrr")


def _worst(found: Evaluated, n: int) -> str:
    """The n samples that the network is most wrong about, drawn where they are images."""
    rows, inputs = found.worst(n), found.split.samples.inputs
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
    drawn = [half_blocks(inputs[row["index"]][0], color=render.colored()) for row in rows]
    return side_by_side(drawn, ["#{index}: {target} as {predicted}".format(**row) for row in rows], render.width())
