"""`dlcli check`, `summary`, `list` and `describe`."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from dlcli.cli import common, render, show
from dlcli.cli.charts import bytes_text, table
from dlcli.core.errors import UsageError

if TYPE_CHECKING:
    from dlcli.config.schema import Config
    from dlcli.data.dataset import DataInfo
    from dlcli.experiment.summary import Summary


def check(
    config: common.ConfigArgument,
    set_: common.SetOption = None,
    code: common.CodeOption = None,
    json: common.JsonOption = False,
) -> None:
    """Validate a config and infer shapes, without data."""
    checked, found = common.prepared(config, set_, code)
    for line in found.notes:
        show.note(f"note: {line}")
    shapes = [list(found.info.input_shape or ()), *(list(s.out_shape) for s in found.shapes)]
    if json:
        common.emit_json(
            {
                "config": checked.name,
                "sha256": checked.sha256,
                "shapes": shapes if found.shapes else None,
                "parameters": found.parameters if found.shapes else None,
                "steps_per_epoch": found.steps_per_epoch,
                "warnings": found.warning_lines(),
                "notes": found.notes,
            }
        )
        return
    facts = [" -> ".join("x".join(map(str, shape)) or "()" for shape in shapes)] if found.shapes else []
    facts += [f"{found.parameters:,} parameters"] if found.shapes else []
    if found.steps_per_epoch is not None:
        facts.append(f"{found.steps_per_epoch:,} steps an epoch")
    render.out(": ".join(["ok", checked.document.source, *([", ".join(facts)] if facts else [])]))
    if config != "-":  # which has been read to its end
        show.next_("train", config, changes=set_, code=code)


def summary(
    target: Annotated[
        str | None, typer.Argument(metavar="CONFIG|RUN|CKPT", help="What to show; by default the newest run.")
    ] = None,
    set_: common.SetOption = None,
    code: common.CodeOption = None,
    runs: common.RunsOption = None,
    threads: common.ThreadsOption = None,
    json: common.JsonOption = False,
) -> None:
    """Show the layers: shapes, parameters, FLOPs, memory in training."""
    from dlcli.experiment.summary import summarize

    config, info = configured(target, set_ or [], code or [], runs)
    found = summarize(config, info, common.cores(threads))
    if json:
        common.emit_json(found.document())
        return
    render.out(_summary(found))
    if target is not None and Path(target).is_file() and not target.endswith(".npz"):
        show.next_("train", target, changes=set_, code=code)


def _summary(found: Summary) -> str:
    """The table of layers, and what training them takes."""
    headers = ["#", "layer", "output", "parameters", "FLOPs", "backward", "activations", "scratch"]
    rows: list[list[Any]] = [["", "input", _shape(found.input), *[""] * 5]]
    for r in found.folded:
        memory = map(bytes_text, (found.batch_size * r.activation, r.scratch))
        counts = _counts(r.parameters, r.flops, r.backward_flops)
        rows.append([r.name, "  " * r.depth + r.layer, _shape(r.output), *counts, *memory])
    counts = _counts(found.parameters, found.flops, found.backward_flops)
    totals = map(bytes_text, (found.activation_bytes, sum(row.scratch for row in found.rows)))
    rows.append(["", "total", "", *counts, *totals])
    frozen = found.parameters - found.trainable
    kept = [f"{what} {bytes_text(size)}" for what, size in found.memory.items() if size]
    on = f"{found.threads} threads" if found.threads > 1 else "1 thread"
    tail = [
        f"{found.parameters:,} parameters in {found.dtype}, {bytes_text(found.parameter_bytes)}"
        + (f", {frozen:,} of them frozen" if frozen else "")
        + (f"; {found.state:,} numbers of state" if found.state else ""),
        f"FLOPs of one sample, memory of a batch of {found.batch_size} on {on}",
        f"training takes {bytes_text(found.training_bytes)}, data and validation aside: {', '.join(kept)}",
        f"a checkpoint takes {bytes_text(found.checkpoint_bytes)} on disk",
    ]
    return table(headers, rows, align="lllrrrrr") + "\n\n" + "\n".join(tail)


def configured(target: str | None, overrides: list[str], code: list[str], runs: Path | None) -> tuple[Config, DataInfo]:
    """The config and data facts of a config file, a run or a checkpoint; by default of the newest run."""
    from dlcli.config.doctor import diagnose
    from dlcli.experiment.plugins import load_components, require_code
    from dlcli.experiment.prepare import prepare
    from dlcli.runs import find, names_run

    parent = common.parent_of(runs)
    if target is not None and target.endswith(".npz"):
        from dlcli.experiment.opened import open_checkpoint

        config = open_checkpoint(target, None, parent, code, show.note).config
        return config, diagnose(config).check().info
    hashes = load_components(code, show.note)
    if target is None or names_run(target, parent):
        run = find(target, parent)
        if target is None:
            show.note(f"run: {run.path}")
        require_code(run.facts().get("code", {}), hashes, str(run.path), unchanged=False)
        target = str(run.path)
    config, found = prepare(target, overrides, show.note)
    return config, found.info


def list_(
    kind: Annotated[
        str | None, typer.Argument(metavar="KIND", help="layers, losses, optimizers, schedules, initializers, ...")
    ] = None,
    code: common.CodeOption = None,
    json: common.JsonOption = False,
) -> None:
    """List the kinds of components, or the components of a kind."""
    from dlcli.experiment import inspect as engine
    from dlcli.experiment.plugins import load_components

    load_components(code or [], show.note)
    chosen = {r.plural: r for r in ([engine.kind_named(kind)] if kind else engine.kinds().values())}
    if json:
        common.emit_json({plural: [e.name for e in r.entries()] for plural, r in chosen.items()})
        return
    if kind is None:
        counts = [[plural, len(r.entries()), engine.place(r)] for plural, r in chosen.items()]
        render.out(table(["kind", "components", "in a config"], counts))
        show.next_("list", next(iter(chosen)), code=code)
        return
    (registry,) = chosen.values()
    width = max(map(len, registry))
    render.out(
        "\n".join(
            f"{e.name:<{width}}  {render.brief(engine.first_line(e.cls), width + 2)}"
            + (f"  ({e.origin})" if e.origin else "")
            for e in registry.entries()
        )
    )
    show.next_("describe", next(iter(registry)), code=code)


def describe(
    name: Annotated[str | None, typer.Argument(metavar="NAME", help="A component, such as Linear.")] = None,
    all_: Annotated[
        bool, typer.Option("--all", help="All components and config sections, as a Markdown page.")
    ] = False,
    code: common.CodeOption = None,
    json: common.JsonOption = False,
) -> None:
    """Show a component: formula, options, example, file and line."""
    from dlcli.experiment import inspect as engine
    from dlcli.experiment.plugins import load_components

    if (name is None) is not all_:
        raise UsageError("expected the NAME of a component, or --all; 'dlcli list' shows the kinds of components")
    load_components(code or [], show.note)
    if name is None and not json:
        from dlcli.experiment.reference import reference

        render.out(reference())
        return
    chosen = engine.everything() if name is None else engine.find(name)
    found = [engine.describe(registry, entry) for registry, entry in chosen]
    if json:
        common.emit_json(found[0] if len(found) == 1 else found)
        return
    render.out("\n\n".join(_described(f) for f in found))
    if found[0]["kind"] == "layer" and found[0]["examples"]:
        show.next_("gradcheck", "--layer", found[0]["examples"][0], code=code)


def _described(found: dict[str, Any]) -> str:
    lines = [f"{found['name']} ({found['kind']})", "", found["doc"]]
    for common_, title in ((False, "options"), (True, f"options of every {found['kind']}")):
        options = [o for o in found["options"] if o["common"] is common_]
        if options:
            rows = [[o["name"], o["expected"], _given(o), o["meaning"]] for o in options]
            lines += ["", title, *("  " + line for line in table([""] * 4, rows, align="llll").splitlines()[1:])]
    if found["examples"]:
        lines += ["", f"in a config ({found['place']})", *(f"  {e}" for e in found["examples"])]
    return "\n".join([*lines, "", f"written in {found['source']}"])


def _given(option: dict[str, Any]) -> str:
    """What stands for an option that is left out."""
    if option["inferred"]:
        return "inferred"
    return "required" if option["required"] else f"default {option['default']}"


def _counts(*counts: int) -> list[str]:
    return [f"{count:,}" for count in counts]


def _shape(shape: tuple[int, ...]) -> str:
    return " x ".join(map(str, shape)) or "()"
