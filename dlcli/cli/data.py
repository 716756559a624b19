"""`dlcli data list|fetch|verify|import|path|show|preview`."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Annotated, Any, Literal

import typer

from dlcli.cli import common, render, show
from dlcli.cli.charts import bytes_text, number, table
from dlcli.cli.images import half_blocks
from dlcli.core.errors import DataError, UnavailableError, UsageError

app = common.group("The data cache: what is there, fetch, verify, import, look.")
NameArgument = Annotated[str, typer.Argument(metavar="NAME", help="mnist or fashion-mnist.")]


@app.command("list")
def list_(json: common.JsonOption = False) -> None:
    """List the data sets, and which of their files are in the cache."""
    from dlcli.data.cache import folder_of, list_cached, source_named
    from dlcli.data.dataset import datasets
    from dlcli.experiment.inspect import first_line
    from dlcli.experiment.plugins import load_components

    load_components()
    access = _access()
    cached = {name: [f.state for f in files] for name, files in list_cached(access).items()}
    found: list[dict[str, Any]] = []
    for entry in datasets.entries():
        states = cached.get(entry.name)
        where = str(folder_of(source_named(entry.name), access)) if states is not None else None
        state = "needs no download" if states is None else _state(states)
        found.append({"name": entry.name, "state": state, "path": where, "about": first_line(entry.cls)})
    if json:
        common.emit_json({"datasets": found})
    else:
        names, states = [f["name"] for f in found], [f["state"] for f in found]
        used = max(map(len, names)) + max(map(len, states)) + 4
        abouts = [render.brief(f["about"], used) for f in found]
        render.out(table(["name", "state", "about"], zip(names, states, abouts, strict=True), align="lll"))
    show.next_("data", "show", "digits", "--index", 7)


def _state(states: Sequence[str]) -> str:
    if all(s == "verified" for s in states):
        return "verified"
    return "damaged" if "damaged" in states else "not fetched" if set(states) == {"missing"} else "incomplete"


@app.command("fetch")
def fetch(name: NameArgument, offline: common.OfflineOption = False) -> None:
    """Download a data set into the cache and verify it."""
    from dlcli.data import cache
    from dlcli.data.dataset import Access

    with show.downloads() as progress:
        paths = cache.fetch(name, Access.from_environment(offline, progress, show.note))
    render.out("\n".join(map(str, paths)))
    show.next_("data", "show", name, "--index", 7)


@app.command("verify")
def verify(name: Annotated[str | None, typer.Argument(metavar="NAME", help="By default all.")] = None) -> None:
    """Check the cached files against their sha256."""
    from dlcli.data import cache

    access = _access()
    found = {name: cache.verify(name, access)} if name is not None else cache.list_cached(access)
    files = [(n, f) for n, group in found.items() for f in group]
    render.out(
        table(
            ["data set", "state", "size", "file"],
            [[n, f.state, bytes_text(f.size), str(f.path)] for n, f in files],
            align="llrl",
        )
    )
    damaged = [str(f.path) for _, f in files if f.state == "damaged"]
    if damaged:
        raise DataError(
            *(f"{path}: damaged: its sha256 is not the known one; dlcli data fetch gets it again" for path in damaged)
        )
    missing = [str(f.path) for _, f in files if f.state == "missing"]
    if name is not None and missing:
        raise UnavailableError(*(f"{path}: missing; dlcli data fetch {name} gets it" for path in missing))


@app.command("import")
def import_(
    folder: Annotated[Path, typer.Argument(metavar="DIR", help="A folder with the four .gz files.")],
    name: Annotated[
        str | None, typer.Option("--name", metavar="NAME", help="mnist or fashion-mnist (default: what the files are).")
    ] = None,
) -> None:
    """Verify files in a folder and copy them into the cache."""
    from dlcli.data import cache

    source, paths = cache.import_folder(name, folder, _access())
    show.note(f"{source}: imported and verified")
    render.out("\n".join(map(str, paths)))
    show.next_("data", "show", source, "--index", 7)


@app.command("path")
def path(
    name: Annotated[str | None, typer.Argument(metavar="NAME", help="By default the cache folder.")] = None,
) -> None:
    """Print the folder of the cache, or of one data set in it."""
    from dlcli.data.cache import cache_folder, folder_of, source_named

    access = _access()
    render.out(str(cache_folder(access) if name is None else folder_of(source_named(name), access)))


@app.command("show")
def show_(
    name: Annotated[str, typer.Argument(metavar="NAME|CONFIG", help="A data set, or a config that names one.")],
    index: Annotated[
        list[int] | None, typer.Option("--index", min=0, metavar="I", help="Which sample; repeatable.")
    ] = None,
    split: Annotated[Literal["train", "test"], typer.Option("--split", help="Which split.")] = "train",
    offline: common.OfflineOption = False,
) -> None:
    """Draw samples of a data set; tables are printed."""
    from dlcli.data.dataset import Access
    from dlcli.experiment.data import raw_data
    from dlcli.experiment.plugins import load_components

    load_components()
    with show.downloads() as progress:
        loaded = raw_data(name, Access.from_environment(offline, progress, show.note))
    samples = loaded.train if split == "train" else loaded.test
    if samples is None:
        raise DataError(f"{name}: has no test part; choose --split train")
    n = len(samples.targets)
    for i in index or [0]:
        if i >= n:
            raise UsageError(f"--index: got {i}, expected 0 to {n - 1} for the {n:,} samples of the {split} split")
    render.out("\n\n".join(_sample(loaded, samples, i) for i in index or [0]))


def _sample(loaded: Any, samples: Any, i: int) -> str:
    x, y = samples.inputs[i], samples.targets[i]
    names = loaded.info.class_names
    label = (
        (names[int(y)] if names else str(int(y)))
        if samples.targets.dtype.kind in "iu"
        else ", ".join(number(v) for v in y.flat)
    )
    if x.ndim == 3 and x.shape[0] == 1:
        return f"#{i}: {label}\n{half_blocks(x[0], color=render.colored())}"
    return f"#{i}: {label}\n{' '.join(number(float(v)) for v in x.flat)}"


@app.command("preview")
def preview(
    config: common.ConfigArgument,
    out: Annotated[
        Path | None, typer.Option("--out", metavar="FILE.png", help="Where to write it (default: NAME-preview.png).")
    ] = None,
    epoch: Annotated[int, typer.Option("--epoch", min=1, metavar="E", help="The first epoch to show.")] = 1,
    count: Annotated[int, typer.Option("--count", min=1, max=100, metavar="N", help="How many samples.")] = 10,
    set_: common.SetOption = None,
    code: common.CodeOption = None,
    offline: common.OfflineOption = False,
) -> None:
    """Draw training samples as they are, and below as the network sees them in 5 epochs."""
    from dlcli.data.dataset import Access
    from dlcli.experiment.preview import preview as draw

    checked, _ = common.prepared(config, set_, code)
    path = out or Path(f"{checked.name}-preview.png")
    with show.downloads() as progress:
        drawn = draw(checked, Access.from_environment(offline, progress, show.note), path, epoch, count)
    if checked.data.augment:
        show.note(f"{drawn} samples: the first row as they are, below it from epoch {epoch} on")
    else:
        show.note(f"{drawn} samples as they are: data.augment is empty")
    render.out(str(path))
    if config != "-":  # which has been read to its end
        show.next_("train", config, changes=set_, code=code)


def _access() -> Any:
    from dlcli.data.dataset import Access

    return Access.from_environment(True, None, show.note)
