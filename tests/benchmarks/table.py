"""The outcome of a contest: rows of medians and ratios, beside the goals."""

from __future__ import annotations

import statistics
from typing import Any

from tests.benchmarks.contest import Contest
from tests.benchmarks.nets import NETS


def rows(contest: Contest) -> list[dict[str, Any]]:
    """A row for each contender: milliseconds a step, dlcli's time over its in the same round, and the goal."""
    net, own = NETS[contest.net], contest.times["dlcli"]
    steps = -(-contest.samples // net.batch)
    medians = {name: statistics.median(times) for name, times in contest.times.items()}
    whole = contest.samples >= net.samples  # of an epoch; fewer steps prove nothing
    goals: dict[str, float] = {}
    for start, goal in net.goals.items():
        named = [name for name in medians if name.startswith(start)]
        limit = goal.haswell if "Haswell" in contest.blas else goal.better
        if named and limit is not None:
            goals[min(named, key=medians.__getitem__)] = limit
    found = []
    for name, times in contest.times.items():
        ratios = sorted(a / b for a, b in zip(own, times, strict=True))
        quartiles = statistics.quantiles(ratios, method="inclusive") if len(ratios) > 1 else ratios * 3
        ms = {"median": medians[name], "min": min(times), "max": max(times)}
        found.append(
            {
                "contender": name,
                "ms_per_step": {key: value * 1e3 / steps for key, value in ms.items()},
                "ratio": dict(zip(("low", "median", "high"), quartiles, strict=True)),
                "goal": goals.get(name),
                "met": quartiles[1] <= goals[name] if name in goals and whole else None,
            }
        )
    return found


def document(contest: Contest) -> dict[str, Any]:
    """The same as JSON takes it."""
    return {
        "net": contest.net,
        "title": NETS[contest.net].title,
        "kernels": contest.kernels,
        "blas": contest.blas,
        "losses_apart": contest.apart,
        "rounds": len(contest.times["dlcli"]),
        "samples": contest.samples,
        "peak_memory": contest.memory,
        "load": contest.load,
        "rows": rows(contest),
    }


def text(contest: Contest) -> str:
    """A table to read."""
    net, rounds = NETS[contest.net], len(contest.times["dlcli"])
    origin = "its own choice" if contest.kernels == "own" else "OPENBLAS_CORETYPE=Haswell"
    lines = [
        f"{net.title}: {rounds} rounds of {contest.samples:,} samples; {contest.blas} ({origin})",
        f"losses apart by {contest.apart[0]:.0e} on the same weights, {contest.apart[1]:.0e} after two updates; "
        f"dlcli's peak memory {contest.memory / 1e6:.0f} MB; load {contest.load:.1f}",
        f"{'':<28}{'ms a step':>10}{'min':>9}{'max':>9}{'dlcli / it':>13}{'quartiles':>15}  goal",
    ]
    for row in rows(contest):
        ms, ratio, goal = row["ms_per_step"], row["ratio"], ""
        if row["goal"] is not None:
            goal = f"<= {row['goal']:g}" + {True: " met", False: " missed", None: ""}[row["met"]]
        lines.append(
            f"{row['contender']:<28}{ms['median']:>10.3f}{ms['min']:>9.3f}{ms['max']:>9.3f}"
            f"{ratio['median']:>13.2f}{ratio['low']:>8.2f}-{ratio['high']:<6.2f}  {goal}".rstrip()
        )
    return "\n".join(lines)
