"""`dlcli sanity`."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from dlcli.cli import common, render, show
from dlcli.cli.charts import table
from dlcli.core.errors import CheckFailedError

if TYPE_CHECKING:
    from dlcli.experiment.sanity import Report


def sanity(
    target: Annotated[
        str, typer.Argument(metavar="CONFIG|RUN", help="A config file, a run, whose config is taken, or - for stdin.")
    ],
    set_: common.SetOption = None,
    code: common.CodeOption = None,
    seed: Annotated[
        int | None, typer.Option("--seed", min=0, max=2**63 - 1, metavar="N", help="By default the config's.")
    ] = None,
    runs: common.RunsOption = None,
    threads: common.ThreadsOption = None,
    offline: common.OfflineOption = False,
    json: common.JsonOption = False,
) -> None:
    """Check before training: loss, gradients, layers, steps, labels.

    Trains briefly on a few training samples and writes nothing. A failed check is exit code 10.
    """
    from dlcli.cli.inspect import configured
    from dlcli.data.dataset import Access
    from dlcli.experiment.sanity import examine

    changes = [*(set_ or []), *([f"seed={seed}"] if seed is not None else [])]
    config, _ = configured(target, changes, code or [], runs)
    with show.downloads() as progress:
        report = examine(config, Access.from_environment(offline, progress, show.note), common.cores(threads))
    if json:
        common.emit_json(report.document())
    else:
        render.out(_text(report))
    if not report.passed:
        raise CheckFailedError(*(f"sanity: {name}: {report.findings[name].advice}" for name in report.named("failed")))
    if Path(target).is_file():
        show.next_("train", target, changes=set_, code=code)


def _text(report: Report) -> str:
    """A line for each check, the advice below it, and at the end the verdict."""
    found = report.findings
    rows = [[name, f.expected, f.found, f.verdict if f.verdict != "failed" else "FAILED"] for name, f in found.items()]
    head, *lines = table(["check", "expected", "found", "verdict"], rows, align="llll").splitlines()
    shown = [head]
    for line, finding in zip(lines, found.values(), strict=True):
        shown += [line, *([f"  {finding.advice}"] if finding.advice else [])]
    return "\n".join([*shown, "", _verdict(report)])


def _verdict(report: Report) -> str:
    failed, warnings, missing = (report.named(verdict) for verdict in ("failed", "warning", "skipped"))
    counts = [f"{len(warnings)} with a warning"] if warnings else []
    counts += [f"{len(missing)} skipped"] if missing else []
    if failed:
        return ", ".join([f"{len(failed)} of {len(report.findings)} checks FAILED: {', '.join(failed)}", *counts])
    return ", ".join([f"sane: {len(report.named('passed'))} of {len(report.findings)} checks passed", *counts])
