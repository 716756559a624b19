"""`python -m tests.benchmarks.scale`: how a step and an epoch grow with samples, batch, width and depth, and with time.

Each point is the lower quartile of the CPU time of steps of dlcli's own training loop on one thread, gathering
included, in the best of three rounds over all sizes, so that a busy neighbour counts little. A line cost = fixed +
slope * size is fitted to each series, its points weighted alike. Over 1,000 epochs of a network for xor nothing may
grow: the time of a step, and the memory of the process.
"""

from __future__ import annotations

import argparse
import json
import math
import tempfile
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from time import thread_time
from typing import Any, NamedTuple

import numpy as np

from dlcli.data.batches import Batches, Normalizer
from dlcli.data.dataset import Samples
from dlcli.data.npz import map_npy
from dlcli.nn.layer import Layer
from dlcli.nn.layers.linear import Linear
from dlcli.nn.layers.relu import ReLU
from dlcli.nn.losses.cross_entropy import CrossEntropyLoss
from dlcli.nn.network import Network
from dlcli.optim.sgd import SGD
from dlcli.training.loop import Plan, StepDone, Trainer

FEATURES, CLASSES = 784, 10
ROUNDS = 3
TO_UNIT = Normalizer(np.zeros(()), np.full((), 255.0))
COLOURS = {"float32": "#1f77b4", "float64": "#d62728"}


class Series(NamedTuple):
    """Seconds over sizes, and the line through them."""

    what: str
    dtype: str
    sizes: list[int]
    seconds: list[float]
    fixed: float
    slope: float
    apart: float
    """The largest relative distance of a point from the line."""


def trainer(samples: Samples, hidden: Sequence[int], batch: int, dtype: str, epochs: int = 1 << 20) -> Trainer:
    """A stack of dense layers with ReLU between, trained by plain SGD so slowly that it stays as it is."""
    stack: list[Layer] = [layer for width in hidden for layer in (Linear(None, width), ReLU())]
    return Trainer(
        network=Network([*stack, Linear(None, CLASSES)], samples.inputs.shape[1:], dtype=dtype, seed=1),
        loss=CrossEntropyLoss(),
        optimizer=SGD(lr=1e-9),
        schedule=None,
        batches=Batches(samples, TO_UNIT, dtype, batch, seed=1, shuffle=True),
        metrics={},
        plan=Plan(epochs),
    )


def drawn(n: int, features: int = FEATURES) -> Samples:
    rng = np.random.default_rng(0)
    return Samples(np.frombuffer(rng.bytes(n * features), np.uint8).reshape(n, features), rng.integers(0, CLASSES, n))


def step_seconds(made: Trainer, steps: int) -> float:
    """The lower quartile of `steps` steps, after as many to warm up as a tenth."""
    run, took = made.run(), []
    for i in range(steps + max(3, steps // 10)):
        began = thread_time()
        done = next(run)
        if isinstance(done, StepDone) and i >= max(3, steps // 10):
            took.append(thread_time() - began)
    return float(np.quantile(took, 0.25))


def epoch_seconds(made: Trainer) -> float:
    """The first step, which draws the order of the samples, and the lower quartile of up to 1000 others for the rest.

    A mapped file is read once before, so that the disk does not count.
    """
    made.batches.samples.inputs[:].max()
    count, run = len(made.batches), made.run()
    took = []
    for _ in range(min(count, 1001)):
        began = thread_time()
        next(run)
        took.append(thread_time() - began)
    return took[0] + (count - 1) * float(np.quantile(took[1:] or took, 0.25))


def series(what: str, dtype: str, sizes: Sequence[int], measure: Callable[[int], float]) -> Series:
    """Measure the sizes in turn, `ROUNDS` times, and fit the line, each point weighted by its own seconds."""
    seconds = np.min([[measure(size) for size in sizes] for _ in range(ROUNDS)], axis=0).tolist()
    x, y = np.array(sizes, float), np.array(seconds)
    (fixed, slope), *_ = np.linalg.lstsq(np.stack([1 / y, x / y], axis=1), np.ones(len(y)), rcond=None)
    apart = float(np.abs((fixed + slope * x) / y - 1).max())
    return Series(what, dtype, list(sizes), seconds, float(fixed), float(slope), apart)


def measured(largest: int, steps: int, folder: Path, small: bool) -> Iterator[Series]:
    """Every series in both types; `largest` samples at most, and where it is to be `small`, the first sizes only."""
    samples = drawn(4096)
    counts = [n for n in (100, 1000, 10_000, 100_000, 1_000_000, 10_000_000) if n <= largest]
    sizes = {"batch": (1, 4, 16, 64, 256, 1024, 4096), "width": (16, 64, 256, 1024, 4096), "depth": (1, 3, 10, 30, 100)}
    if small:
        sizes = {what: each[:3] for what, each in sizes.items()}
    for dtype in COLOURS:
        yield series(
            "samples", dtype, counts, lambda n, t=dtype: epoch_seconds(trainer(on_disk(n, folder), [32], 256, t))
        )
        makers: dict[str, Callable[[int], Trainer]] = {
            "batch": lambda n, t=dtype: trainer(samples, [128], n, t),
            "width": lambda n, t=dtype: trainer(samples, [n], 64, t),
            "depth": lambda n, t=dtype: trainer(samples, [128] * n, 64, t),
        }
        for what, make in makers.items():
            yield series(what, dtype, sizes[what], lambda n, make=make: step_seconds(make(n), steps))


def on_disk(n: int, folder: Path) -> Samples:
    """Samples in a file without content, which takes no room, mapped as a data set of any size would be."""
    path = folder / f"{n}.npy"
    if not path.exists():
        np.lib.format.open_memmap(path, mode="w+", dtype=np.uint8, shape=(n, FEATURES))
    return Samples(map_npy(path), np.arange(n) % CLASSES)


def growth(epochs: int) -> list[tuple[float, int]]:
    """(seconds of a step, bytes of memory) in each tenth of the epochs of a network for xor."""
    bits = np.array([[0, 0], [0, 1], [1, 0], [1, 1]], np.uint8) * np.uint8(255)
    made, found = trainer(Samples(np.tile(bits, (50, 1)), np.tile([0, 1, 1, 0], 50)), [8], 20, "float32", epochs), []
    took: list[float] = []
    run = made.run()
    while True:
        began = thread_time()
        done = next(run, None)
        if isinstance(done, StepDone):
            took.append(thread_time() - began)
        elif done is None:
            return found
        elif done.epoch % (epochs // 10) == 0:
            found.append((float(np.quantile(took, 0.25)), memory()))
            took.clear()


def memory() -> int:
    """Bytes of this process that stand in no file."""
    status = Path("/proc/self/status").read_text()
    return 1024 * int(next(line.split()[1] for line in status.splitlines() if line.startswith("RssAnon")))


def table(found: Sequence[Series], grown: Sequence[tuple[float, int]], epochs: int) -> str:
    """What was measured, as text."""
    lines = [f"{'':8} {'type':8} {'from':>6} {'to':>9}  {'fixed':>10}  {'each':>10}  farthest from the line"]
    for s in found:
        first, last = f"{s.sizes[0]:>6}", f"{s.sizes[-1]:>9}"
        each = f"{1e6 * s.fixed:8.1f} us  {1e6 * s.slope:7.3f} us  {100 * s.apart:.0f} %"
        lines.append(f"{s.what:8} {s.dtype:8} {first} {last}  {each}")
        lines.append(
            "   ".join([" " * 8, *(f"{n}: {1e3 * t:.3g} ms" for n, t in zip(s.sizes, s.seconds, strict=True))])
        )
    (first, start), (last, end) = grown[0], grown[-1]
    lines.append(
        f"{epochs:,} epochs of xor: a step {1e6 * first:.0f} us in the first tenth, {1e6 * last:.0f} us in the last; "
        f"memory {(end - start) / 1024:+.0f} kB between them"
    )
    return "\n".join(lines)


def svg(found: Sequence[Series]) -> str:
    """A panel for each series on logarithmic axes: points, and the fitted lines."""
    width, height, gap = 260, 190, 60
    parts = []
    for column, what in enumerate(dict.fromkeys(s.what for s in found)):
        group = [s for s in found if s.what == what]
        x = [math.log10(n) for s in group for n in s.sizes]
        y = [math.log10(t) for s in group for t in s.seconds]
        left, right, low, high = min(x), max(x), math.floor(min(y)), math.ceil(max(y))

        def place(n: float, t: float, box: tuple[float, ...] = (left, right, low, high)) -> str:
            a = (math.log10(n) - box[0]) / (box[1] - box[0]) * width
            return f"{a:.1f},{(box[3] - math.log10(t)) / (box[3] - box[2]) * height:.1f}"

        at = f"translate({gap + column * (width + gap)},24)"
        parts.append(f'<g transform="{at}"><rect width="{width}" height="{height}" fill="none" stroke="#999"/>')
        title = f"{'epoch' if what == 'samples' else 'step'} by {what}"
        parts.append(f'<text x="{width / 2}" y="-8" text-anchor="middle">{title}</text>')
        for power in range(low, high + 1):
            a, b = place(group[0].sizes[0], 10.0**power).split(",")
            parts.append(f'<text x="-6" y="{float(b) + 4:.1f}" text-anchor="end">1e{power} s</text>')
            parts.append(f'<path d="M{a},{b}h{width}" stroke="#ddd"/>')
        for n in group[0].sizes:
            parts.append(f'<text x="{place(n, 1).split(",")[0]}" y="{height + 16}" text-anchor="middle">{n:.0e}</text>')
        for s in group:
            steps = np.geomspace(s.sizes[0], s.sizes[-1], 40)
            line = " ".join(place(n, max(s.fixed + s.slope * n, 10.0**low)) for n in steps)
            parts.append(f'<polyline points="{line}" fill="none" stroke="{COLOURS[s.dtype]}"/>')
            for n, t in zip(s.sizes, s.seconds, strict=True):
                a, b = place(n, t).split(",")
                parts.append(
                    f'<circle cx="{a}" cy="{b}" r="3" fill="{COLOURS[s.dtype]}"><title>{t:.3g} s</title></circle>'
                )
        parts.append("</g>")
    for i, (dtype, colour) in enumerate(COLOURS.items()):
        parts.append(f'<text x="{gap + 90 * i}" y="{height + 60}" fill="{colour}">{dtype}</text>')
    size = f'width="{gap + 4 * (width + gap)}" height="{height + 70}"'
    style = 'font-family="sans-serif" font-size="11"'
    head = f'<svg xmlns="http://www.w3.org/2000/svg" {size} {style}>\n<rect width="100%" height="100%" fill="white"/>'
    return "\n".join([head, *parts, "</svg>\n"])


def main(arguments: Sequence[str] | None = None) -> None:
    """Measure, print the table, and draw it where asked for."""
    parser = argparse.ArgumentParser(prog="python -m tests.benchmarks.scale", description=__doc__)
    parser.add_argument("--largest", type=int, default=1_000_000, help="samples, at most (default 1,000,000)")
    parser.add_argument("--steps", type=int, default=60, help="steps of each point (default 60)")
    parser.add_argument("--epochs", type=int, default=1000, help="epochs of xor (default 1000)")
    parser.add_argument("--small", action="store_true", help="the first sizes only, to see that it runs")
    parser.add_argument("--svg", type=Path, help="draw the series into this file")
    parser.add_argument("--json", action="store_true", help="print one JSON document")
    given = parser.parse_args(arguments)
    with tempfile.TemporaryDirectory() as folder, np.errstate(all="ignore"):
        found: list[Any] = list(measured(given.largest, given.steps, Path(folder), given.small))
    grown = growth(given.epochs)
    if given.svg is not None:
        given.svg.write_text(svg(found))
    if given.json:
        print(json.dumps({"series": [s._asdict() for s in found], "growth": grown}))
    else:
        print(table(found, grown, given.epochs))


if __name__ == "__main__":
    main()
