"""`dlcli runs list` and `runs show`."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated, Any

import typer

from dlcli.cli import common, render, show
from dlcli.cli.charts import curve, number, percent, seconds_text, sparkline, table
from dlcli.core.errors import escape

if TYPE_CHECKING:
    from dlcli.experiment.listing import Detail

app = common.group("The runs directory: what was trained, and how it went.")


@app.command("list")
def list_(
    names: Annotated[list[str] | None, typer.Argument(metavar="RUN", help="By default all.")] = None,
    runs: common.RunsOption = None,
    sort: Annotated[
        str,
        typer.Option(
            "--sort", metavar="KEY", help="start, seconds, best, a figure such as val.accuracy, or a config key."
        ),
    ] = "start",
    json: common.JsonOption = False,
) -> None:
    """List runs: status, what differs, best, time, loss, test figures."""
    from dlcli.experiment import listing

    rows = listing.overview(names or [], common.parent_of(runs), sort, show.note)
    if json:
        common.emit_json({"runs": [row.document() for row in rows]})
        return
    if not rows:
        show.note(f"{common.parent_of(runs)}/: holds no run yet")
        show.next_("train", "configs/digits.yaml")
        return
    keys = list(dict.fromkeys(key for row in rows for key in row.set))
    tested = any(row.test for row in rows)
    headers = ["run", "status", *keys, "best", "time", "curve", *(["test"] if tested else [])]
    cells = []
    for row in rows:
        best = row.best
        value = "-" if best is None else f"{best['metric']} {show.figure(best['metric'], best['value'])}"
        cells.append(
            [
                row.run.path.name,
                row.status,
                *(listing.short(row.set.get(key, "")) for key in keys),
                value,
                seconds_text(row.seconds) if row.seconds is not None else "-",
                sparkline(row.loss[-20:]),
                *([_test(row.test)] if tested else []),
            ]
        )
    render.out(table(headers, cells, align="l" * len(headers)))
    show.next_("runs", "show", rows[-1 if sort == "start" else 0].run.path)  # the newest, else the first, which is best


def _test(opened: list[dict[str, Any]]) -> str:
    """The newest figures on the test split, which predictions alone do not give, and how often it was opened."""
    if not opened:
        return "-"
    measured: dict[str, Any] = next((row["metrics"] for row in reversed(opened) if row["metrics"]), {})
    name = next((name for name in measured if name != "loss"), "loss")
    times = f" (opened {len(opened)} times)" if len(opened) > 1 else ""
    return f"{f'{name} {show.figure(name, measured[name])}' if measured else 'predicted'}{times}"


@app.command("show")
def show_(run: common.RunArgument = None, runs: common.RunsOption = None, json: common.JsonOption = False) -> None:
    """Show one run: config, status, curve, checkpoints, evaluations."""
    from dlcli.experiment import listing
    from dlcli.runs import find

    found = find(run, common.parent_of(runs))
    if run is None:
        show.note(f"run: {found.path}")
    detail = listing.detail(found)
    if json:
        common.emit_json(detail.document())
        return
    blocks = [_facts(detail), detail.config.rstrip()]
    if len(detail.epochs) > 1:
        names = [name for name in ("train.loss", "val.loss") if any(name in row for row in detail.epochs)]
        blocks.append(curve({name: [row.get(name) for row in detail.epochs] for name in names}))
    if detail.layers:
        blocks.append(_layers(detail.layers))
    if detail.evaluations:
        blocks.append(_evaluations(detail))
    render.out("\n\n".join(blocks))
    unfinished = detail.row.status in ("stopped", "interrupted")
    show.next_("resume" if unfinished else "eval", found.path, code=list(detail.facts.get("code", {})))


def _facts(detail: Detail) -> str:
    """A line for each fact of a run."""
    row, facts, best = detail.row, detail.facts, detail.row.best
    reached = f"{best['metric']} {show.figure(best['metric'], best['value'])} at step {best['step']}" if best else "-"
    machine = f"{facts.get('cpu', '-')}, NumPy {facts.get('numpy', '-')}, {facts.get('blas', '-')}"
    lines = {
        "run": str(row.run.path),
        "status": row.status,
        "started": escape(facts.get("start", "-")),
        "time": seconds_text(row.seconds) if row.seconds is not None else "-",
        "best": reached,
        "machine": escape(machine),
        "checkpoints": ", ".join(detail.checkpoints) or "none",
    }
    return "\n".join(f"{name:<12}{value}" for name, value in lines.items())


def _layers(row: dict[str, Any]) -> str:
    """A table of the last figures of single layers, in the order of the stack."""
    found: dict[str, dict[str, Any]] = {}
    for key in row:
        name, _, figure = key.removeprefix("layer.").rpartition(".")
        if name:
            found.setdefault(name, {})[figure] = row[key]
    cells = []
    for name in sorted(found, key=lambda name: [(int(p) if p.isdecimal() else 0, p) for p in name.split(".")]):
        own = found[name]
        slopes = [number(own[figure]) if figure in own else "" for figure in ("grad_norm", "update_ratio")]
        cells.append([name, *slopes, percent(own["dead"]) if own.get("dead") is not None else ""])
    return table([f"layer, at step {row['step']}", "gradient norm", "update / weight", "dead"], cells, align="lrrr")


def _evaluations(detail: Detail) -> str:
    """A table of the evaluations of a run."""
    rows = [
        [e["time"][:19], e["split"], str(e.get("step", "-")), show.figures(e["metrics"])] for e in detail.evaluations
    ]
    return table(["evaluated", "split", "step", "figures"], rows, align="llrl")
