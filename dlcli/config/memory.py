"""How much a network holds and computes by its own account, and whether this machine can hold it."""

from __future__ import annotations

import os
from numbers import Integral

from dlcli.config.diagnosis import Diagnosis
from dlcli.core.errors import ShapeError, quote
from dlcli.nn.layer import Layer
from dlcli.nn.network import walk

COUNTS = ("activations", "flops", "backward_flops")
"""What a layer says of its size, in whole numbers."""


def check_counts(layer: Layer) -> None:
    """ShapeError where a layer, or one inside it, gives no whole number for a count, as a user's may."""
    for name, part in reversed([("", layer), *walk(layer)]):  # a container adds up those inside
        for method in COUNTS:
            got = getattr(part, method)()
            if not isinstance(got, Integral) or got < 0:
                path = [int(step) if step.isdigit() else step for step in name.split(".") if step]
                raise ShapeError(f"{method} gave {quote(got)}, expected a whole number >= 0").inside(*path)


def check_memory(found: Diagnosis) -> None:
    """Values, gradients, optimizer slots, averages and one batch of activations against the machine's memory."""
    config = found.config
    width = {"float32": 4, "float64": 8}[config.dtype]
    vectors = 2 + len(config.optimizer.build().slots) + (2 if config.train.ema is not None else 0)
    batch = min(config.data.batch_size, found.train or config.data.batch_size)
    activations = 2 * batch * sum(s.activations for s in found.shapes)
    needed = width * (found.parameters * vectors + activations)
    one = width * (found.parameters * vectors + activations // batch)
    memory = machine_memory()
    if memory is not None and needed > memory:
        widest = max(found.shapes, key=lambda s: s.parameters * vectors + 2 * batch * s.activations)
        found.problem(
            widest.component.inside,
            f"{found.parameters:,} parameters with {config.optimizer.name} and batches "
            f"of {batch:,} need {needed / 2**30:,.1f} GiB, this machine has {memory / 2**30:,.1f} GiB; "
            + ("use a smaller data.batch_size" if one <= memory else "make the layers smaller"),
        )


def machine_memory() -> int | None:
    """The machine's memory in bytes, None where it does not say."""
    try:
        return int(os.sysconf("SC_PAGE_SIZE")) * int(os.sysconf("SC_PHYS_PAGES"))
    except (ValueError, OSError, AttributeError):
        return None
