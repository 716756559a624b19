"""`dlcli time`, and the table that `dlcli train --profile` ends with."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated

import typer

from dlcli.cli import common, render, show
from dlcli.cli.charts import percent, seconds_text, table

if TYPE_CHECKING:
    from dlcli.experiment.timing import Pass, Timing


def time(
    target: Annotated[
        str | None, typer.Argument(metavar="CONFIG|RUN", help="What to time; by default the newest run.")
    ] = None,
    batch: Annotated[
        int | None, typer.Option("--batch", min=1, max=1_000_000, metavar="N", help="In the place of data.batch_size.")
    ] = None,
    steps: Annotated[
        int | None,
        typer.Option(
            "--steps", min=1, max=100_000, metavar="N", help="Steps to time; by default 50, or what 10 s hold."
        ),
    ] = None,
    threads: common.ThreadsOption = None,
    set_: common.SetOption = None,
    code: common.CodeOption = None,
    runs: common.RunsOption = None,
    json: common.JsonOption = False,
) -> None:
    """Time the steps of training, by layer, beside the peak.

    On random samples shaped like the data, which is not loaded.
    """
    from dlcli.cli.inspect import configured
    from dlcli.config.doctor import diagnose
    from dlcli.experiment.timing import measure

    changes = [*(set_ or []), *([f"data.batch_size={batch}"] if batch is not None else [])]
    config, info = configured(target, changes, code or [], runs)
    steps_per_epoch = diagnose(config, info).steps_per_epoch
    found = measure(config, info, steps_per_epoch, common.cores(threads), steps)
    if json:
        common.emit_json(found.document())
        return
    render.out(f"{text(found)}\non random samples: the data was not loaded")
    if target is not None and target != "-":  # which has been read to its end
        show.next_("train", target, "--profile", why="the same on the data", changes=changes, code=code)


def text(found: Timing) -> str:
    """The tables of a timing: layers, the other parts of a step, and what follows for samples and epochs."""
    layers = [[row.name, row.layer, *_pass(row.forward), *_pass(row.backward)] for row in found.layers]
    sums = (sum(getattr(row, side).mean for row in found.layers) for side in ("forward", "backward"))
    total = [cell for seconds in sums for cell in (_ms(seconds), "", "", "")]
    parts = [[part.part, _ms(part.mean), _ms(part.sd), percent(part.share, 1)] for part in found.parts[:-1]]
    layered = sum(row.forward.mean + row.backward.mean for row in found.layers)
    parts.insert(0, ["layers and loss", _ms(layered), "", percent(layered / (found.step.mean or 1.0), 1)])
    rest = found.parts[-1]
    parts += [
        [rest.part, _ms(rest.mean), "", percent(rest.share, 1)],
        ["whole step", _ms(found.step.mean), _ms(found.step.sd), ""],
    ]
    threads = f"{found.threads} thread{'s' * (found.threads > 1)}"
    batch = f"{found.batch_size:,.1f}".removesuffix(".0")
    tail = [
        f"{_steps(found.steps)} of {batch} samples in {found.dtype} on {threads}: "
        f"{found.samples_per_second:,.0f} samples/s",
        f"peak: {found.peak:.0f} GFLOP/s a thread, in a large matrix product; the stopwatch took "
        f"{1e6 * found.overhead:.0f} us a step, which is not counted",
    ]
    shares = [side.peak or 0.0 for row in found.layers for side in (row.forward, row.backward)]
    if max(shares, default=0.0) > 1:
        tail.append("more than 100 % of the peak: the machine was busier while that was measured, try again")
    if found.epoch_seconds is not None:
        whole = f"all {found.epochs}: {seconds_text(found.epochs * found.epoch_seconds)}"
        tail.append(
            f"an epoch of {_steps(found.steps_per_epoch or 0)}: about {seconds_text(found.epoch_seconds)}, {whole}, "
            "without evaluation and checkpoints"
        )
    headers = ["#", "layer", *(h for side in ("forward", "backward") for h in (f"{side} ms", "sd", "GFLOP/s", "peak"))]
    head = table(headers, [*layers, ["", "sum", *total]], align="ll" + "r" * 8)
    return "\n\n".join([head, table(["part of a step", "ms", "sd", "share"], parts, align="lrrr"), "\n".join(tail)])


def _pass(found: Pass) -> list[str]:
    counted = found.gflops is not None and found.peak is not None
    rate = f"{found.gflops:.3g}" if found.gflops is not None else ""
    return [_ms(found.mean), _ms(found.sd), rate, percent(found.peak or 0.0, 1) if counted else ""]


def _steps(count: int) -> str:
    return f"{count:,} step{'s' * (count != 1)}"


def _ms(seconds: float) -> str:
    return f"{1e3 * seconds:.3f}"
