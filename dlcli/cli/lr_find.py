"""`dlcli lr-find`."""

from __future__ import annotations

import math
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from dlcli.cli import common, render, show
from dlcli.cli.charts import curve
from dlcli.core.errors import UsageError

if TYPE_CHECKING:
    from dlcli.config.schema import Config
    from dlcli.experiment.lr_find import RangeTest, Sweep

FEWEST, MOST = 10, 100_000
"""Steps of a sweep."""


def lr_find(
    target: Annotated[
        str, typer.Argument(metavar="CONFIG|RUN", help="A config file, a run, or - for stdin; no weights are read.")
    ],
    low: Annotated[float, typer.Option("--min", metavar="LR", help="Where the sweep starts.")] = 1e-7,
    high: Annotated[float, typer.Option("--max", metavar="LR", help="Where it ends at the latest.")] = 10.0,
    steps: Annotated[
        int, typer.Option("--steps", min=FEWEST, max=MOST, metavar="N", help="Optimizer steps from one to the other.")
    ] = 200,
    set_: common.SetOption = None,
    code: common.CodeOption = None,
    seed: Annotated[
        int | None, typer.Option("--seed", min=0, max=2**63 - 1, metavar="N", help="Instead of the config's seed.")
    ] = None,
    runs: common.RunsOption = None,
    threads: common.ThreadsOption = None,
    offline: common.OfflineOption = False,
    json: common.JsonOption = False,
) -> None:
    """Find a learning rate: raise it and see where the loss falls."""
    if not (math.isfinite(high) and 0 < low < high):
        raise UsageError(f"--min, --max: got {low:g} and {high:g}, expected numbers with 0 < min < max")
    from dlcli.cli.inspect import configured
    from dlcli.data.dataset import Access
    from dlcli.experiment.data import load_data
    from dlcli.experiment.lr_find import Sweep, range_test, sweeping

    seeded = [f"seed={seed}"] if seed is not None else []
    config, _ = configured(target, [*(set_ or []), *seeded], code or [], runs)
    with show.downloads() as progress:
        splits = load_data(config, Access.from_environment(offline, progress, show.note))
    sweep = Sweep(low=low, high=high, steps=steps, instead_of=config.schedule.name if config.schedule else None)
    trainer = sweeping(config, splits, sweep, common.cores(threads))
    with render.TrainingView(steps, trainer.per_epoch, trainer.plan.epochs) as view, show.notes_to(view.note):
        found = range_test(trainer, sweep, view.step)
    if json:
        common.emit_json(found.document())
        return
    render.out(_text(found, sweep, config))
    if found.suggestion is not None and Path(target).exists():
        own = ("optimizer.lr", f"optimizer.{config.optimizer.name}.lr")
        kept = [change for change in set_ or [] if change.partition("=")[0].strip() not in own]
        show.next_("train", target, changes=[*kept, f"optimizer.lr={found.suggestion:g}"], code=code)


def _text(found: RangeTest, sweep: Sweep, config: Config) -> str:
    """The curve of the smoothed loss, a mark below it at the suggestion, and what it says."""
    smoothed = [point.smoothed for point in found.points]
    low = min(smoothed)
    top = max(smoothed[: smoothed.index(low) + 1])
    last = found.points[-1].lr
    mark = None if found.suggestion is None else math.log(found.suggestion / sweep.low) / math.log(last / sweep.low)
    drawn = curve(
        # what rises at the end would leave no room for the rest
        {"smoothed loss": [min(value, top + (top - low) / 4) for value in smoothed]},
        xlabel="learning rate (log)",
        ends=(f"{sweep.low:g}", f"{last:.2g}"),
        mark=mark,
    )
    if found.suggestion is None:
        return f"{drawn}\n\nno suggestion: {found.reason}"
    own = config.optimizer.options["lr"]
    return f"{drawn}\n\nsuggestion  {found.suggestion:g}   (optimizer.lr is {own:g})\nreason      {found.reason}"
