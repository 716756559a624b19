"""`dlcli gradcheck`."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from dlcli.cli import common, render, show
from dlcli.cli.charts import table
from dlcli.core.errors import CheckFailedError, CheckpointError, UsageError

if TYPE_CHECKING:
    from dlcli.nn.gradcheck import Report, Row


def gradcheck(
    target: Annotated[
        str | None,
        typer.Argument(metavar="CONFIG|RUN", help="By default the newest run; where there is none, as --all."),
    ] = None,
    layer: Annotated[
        str | None,
        typer.Option("--layer", metavar="SPEC", help="Check one layer, such as 'Linear: {out_features: 3}'."),
    ] = None,
    input_: Annotated[
        str | None, typer.Option("--input", metavar="SHAPE", help="The shape of one sample for --layer, such as 2,8,8.")
    ] = None,
    all_: Annotated[bool, typer.Option("--all", help="Check every registered layer and loss on its examples.")] = False,
    code: common.CodeOption = None,
    set_: common.SetOption = None,
    seed: Annotated[
        int, typer.Option("--seed", min=0, max=2**64 - 1, metavar="N", help="Seeds the values and directions.")
    ] = 0,
    threshold: Annotated[
        float, typer.Option("--threshold", metavar="T", help="The largest relative error that passes.")
    ] = 1e-5,
    runs: common.RunsOption = None,
    json: common.JsonOption = False,
) -> None:
    """Compare analytic with numeric gradients, in float64.

    A wrong one is exit code 10. With --code alone it checks what those files register.
    """
    common.exclusive(layer=layer, all=all_, CONFIG=target)
    if input_ is not None and layer is None:
        raise UsageError("--input goes with --layer")
    if set_ and (layer is not None or all_):
        raise UsageError("--set goes with a CONFIG")
    if not 0 < threshold < 1:
        raise UsageError(f"--threshold: got {threshold:g}, expected a number above 0 and below 1")
    report = _report(target, layer, input_, all_, code or [], set_ or [], seed, threshold, runs)
    if json:
        common.emit_json(report.to_dict())
    else:
        render.out(_text(report))
    if not report.passed:
        raise CheckFailedError(*(_failure(row) for row in report.rows if not row.passed))
    if target is not None and Path(target).is_file():
        show.next_("train", target, changes=set_, code=code)


def _report(
    target: str | None,
    layer: str | None,
    input_: str | None,
    all_: bool,
    code: list[str],
    overrides: list[str],
    seed: int,
    threshold: float,
    runs: Path | None,
) -> Report:
    from dlcli.cli.inspect import configured
    from dlcli.experiment import gradcheck as engine
    from dlcli.experiment.plugins import load_components

    if layer is not None or all_ or (code and target is None):
        load_components(code, show.note)
        if layer is not None:
            return engine.of_layer(layer, input_, seed, threshold)
        return engine.of_registered(seed, threshold, [] if all_ else code)
    try:
        config, info = configured(target, overrides, code, runs)
    except CheckpointError as error:
        from dlcli.runs import all_runs

        if target is not None or all_runs(common.parent_of(runs)):
            raise
        show.note(f"{error.problems[0].split(';')[0]}: checking every registered layer and loss")
        load_components(code, show.note)
        return engine.of_registered(seed, threshold)
    return engine.of_config(config, info, seed, threshold)


def _text(report: Report) -> str:
    rows = [
        [row.layer, row.tensor, row.mode, row.method, f"{row.error:.1e}", row.verdict, str(row.kinks or "")]
        for row in report.rows
    ]
    kinks = any(row.kinks for row in report.rows)
    width = 7 if kinks else 6
    headers = ["layer", "tensor", "mode", "method", "error", "verdict", "kinks"][:width]
    failed = sum(not row.passed for row in report.rows)
    verdict = f"{failed} of {len(rows)} FAILED" if failed else f"all {len(rows)} passed"
    counts = ", ".join(
        f"{sum(r.method == method for r in report.rows)} by {words}"
        for method, words in (("complex", "the complex step"), ("directional", "central differences"))
        if any(r.method == method for r in report.rows)
    )
    body = table(headers, [row[:width] for row in rows], align="llllrlr"[:width])
    stricter = ", by the complex step stricter" if any(r.method == "complex" for r in report.rows) else ""
    counts = f": {counts}" if counts else ""
    return f"{body}\n\n{verdict}{counts}; threshold {report.threshold:g}{stricter}"


def _failure(row: Row) -> str:
    """What is wrong with one gradient, or with the layer itself, in one line."""
    if row.method == "contract":
        return f"gradcheck: {row.layer}: {row.hint or row.tensor}"
    parts = [f"gradcheck: {row.layer}: {row.tensor}: relative error {row.error:.1e}, expected <= {row.threshold:g}"]
    if row.worst is not None and row.analytic is not None and row.numeric is not None:
        index = ", ".join(map(str, row.worst))
        parts.append(f"worst at [{index}]: analytic {row.analytic:.6g}, numeric {row.numeric:.6g}")
    if row.hint:
        parts.append(row.hint)
    return "; ".join(parts)
