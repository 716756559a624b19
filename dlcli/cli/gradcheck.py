"""`dlcli gradcheck`."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from dlcli.cli import common, gradrows, render, show
from dlcli.core.errors import CheckFailedError, CheckpointError, UsageError

if TYPE_CHECKING:
    from dlcli.nn.gradcheck import Report

H = 1e-5
"""The default of `--step`, as in `dlcli.nn.gradcheck.settings`, which is loaded when it is needed."""

SMALLEST, LARGEST = 1e-8, 0.1
"""The steps with which differences still tell a wrong gradient from a right one."""


def gradcheck(
    target: Annotated[
        str | None,
        typer.Argument(metavar="CONFIG|RUN", help="By default the newest run; where there is none, as --all."),
    ] = None,
    layer: Annotated[
        str | None,
        typer.Option("--layer", metavar="SPEC", help="Check one layer, such as 'Linear: {out_features: 3}'."),
    ] = None,
    loss: Annotated[
        str | None, typer.Option("--loss", metavar="SPEC", help="Check one loss, such as 'HuberLoss: {delta: 0.5}'.")
    ] = None,
    input_: Annotated[
        str | None,
        typer.Option("--input", metavar="SHAPE", help="The shape of one sample for --layer or --loss, such as 2,8,8."),
    ] = None,
    all_: Annotated[bool, typer.Option("--all", help="Check every registered layer and loss on its examples.")] = False,
    optimizers: Annotated[
        bool, typer.Option("--optimizers", help="Compare every optimizer with its textbook form instead.")
    ] = False,
    full: Annotated[bool, typer.Option("--full", help="Compare every entry by itself, not random directions.")] = False,
    complex_: Annotated[
        bool, typer.Option("--complex", help="Only by the complex step, which knows no step size and no kinks.")
    ] = False,
    prove: Annotated[
        bool, typer.Option("--prove", help="Plant errors of 0.1 % in every gradient and see that each is found.")
    ] = False,
    burn_in: Annotated[
        int, typer.Option("--burn-in", min=0, max=100_000, metavar="N", help="Check again after N training steps.")
    ] = 0,
    batch: Annotated[int, typer.Option("--batch", min=1, max=4096, metavar="N", help="Samples in the check.")] = 4,
    step: Annotated[float, typer.Option("--step", metavar="H", help="The step of central differences.")] = H,
    seed: Annotated[
        int, typer.Option("--seed", min=0, max=2**64 - 1, metavar="N", help="Seeds the values and directions.")
    ] = 0,
    threshold: Annotated[
        float | None,
        typer.Option(
            "--threshold",
            metavar="T",
            help="The largest relative error that passes (default 1e-5, and 1e-10 by the complex step; 1e-12 for "
            "--optimizers).",
        ),
    ] = None,
    code: common.CodeOption = None,
    set_: common.SetOption = None,
    runs: common.RunsOption = None,
    json: common.JsonOption = False,
) -> None:
    """Compare analytic with numeric gradients, in float64.

    A wrong one is exit code 10. With --code alone it checks what those files register.
    """
    common.exclusive(layer=layer, loss=loss, all=all_, optimizers=optimizers, CONFIG=target)
    common.exclusive(complex=complex_, step=step != H)
    for other in ({"full": full}, {"complex": complex_}, {"prove": prove}, {"step": step != H}):
        common.exclusive(optimizers=optimizers, **other)
    if input_ is not None and layer is None and loss is None:
        raise UsageError("--input goes with --layer or --loss")
    alone = layer is not None or loss is not None or all_ or optimizers
    for flag, given in (("--set", set_), ("--burn-in", burn_in)):
        if given and (alone or (code and target is None)):
            raise UsageError(f"{flag} goes with a CONFIG")
    if threshold is not None and not 0 < threshold < 1:
        raise UsageError(f"--threshold: got {threshold:g}, expected a number above 0 and below 1")
    if not SMALLEST <= step <= LARGEST:
        raise UsageError(f"--step: got {step:g}, expected {SMALLEST:g} to {LARGEST:g}: smaller ones drown in round-off")
    settings: dict[str, Any] = {"seed": seed, "batch": batch, "step": step, "full": full, "only_complex": complex_}
    settings |= {"prove": prove} | ({} if threshold is None else {"threshold": threshold})
    what = {"layer": layer, "loss": loss, "shape": input_, "all_": all_, "optimizers": optimizers}
    report = _report(target, what, code or [], set_ or [], runs, burn_in, settings)
    if json:
        common.emit_json(report.to_dict())
    else:
        render.out(gradrows.text(report))
    if not report.passed:
        raise CheckFailedError(*gradrows.failures(report))
    if target is not None and Path(target).is_file():
        show.next_("train", target, changes=set_, code=code)


def _report(
    target: str | None,
    what: dict[str, Any],
    code: list[str],
    overrides: list[str],
    runs: Path | None,
    burn_in: int,
    settings: dict[str, Any],
) -> Report:
    from dlcli.cli.inspect import configured
    from dlcli.experiment import gradcheck as engine
    from dlcli.experiment.plugins import load_components

    if any(what.values()) or (code and target is None):
        load_components(code, show.note)
        if what["optimizers"]:
            from dlcli.experiment.optimizer_check import of_optimizers

            return of_optimizers(settings["seed"], settings.get("threshold"), code)
        for kind, of_one in (("layer", engine.of_layer), ("loss", engine.of_loss)):
            if what[kind] is not None:
                return of_one(what[kind], what["shape"], **settings)
        return engine.of_registered([] if what["all_"] else code, **settings)
    try:
        config, info = configured(target, overrides, code, runs)
    except CheckpointError as error:
        from dlcli.runs import all_runs

        if target is not None or all_runs(common.parent_of(runs)):
            raise
        show.note(f"{error.problems[0].split(';')[0]}: checking every registered layer and loss")
        load_components(code, show.note)
        return engine.of_registered(**settings)
    return engine.of_config(config, info, burn_in, show.note, **settings)
