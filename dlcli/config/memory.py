"""Whether this machine can hold a network, told from its shapes alone."""

from __future__ import annotations

import os

from dlcli.config.diagnosis import Diagnosis


def check_memory(found: Diagnosis) -> None:
    """Values, gradients, optimizer slots, averages and one batch of activations against the machine's memory."""
    config = found.config
    width = {"float32": 4, "float64": 8}[config.dtype]
    vectors = 2 + len(config.optimizer.build().slots) + (2 if config.train.ema is not None else 0)
    batch = min(config.data.batch_size, found.train or config.data.batch_size)
    activations = 2 * batch * sum(s.activations for s in found.shapes)
    needed = width * (found.parameters * vectors + activations)
    memory = machine_memory()
    if memory is not None and needed > memory:
        widest = max(found.shapes, key=lambda s: s.parameters * vectors + 2 * batch * s.activations)
        found.problem(
            widest.component.inside,
            f"{found.parameters:,} parameters with {config.optimizer.name} and batches "
            f"of {batch:,} need {needed / 2**30:,.1f} GiB, this machine has {memory / 2**30:,.1f} GiB; "
            "make the layers smaller",
        )


def machine_memory() -> int | None:
    """The machine's memory in bytes, None where it does not say."""
    try:
        return int(os.sysconf("SC_PAGE_SIZE")) * int(os.sysconf("SC_PHYS_PAGES"))
    except (ValueError, OSError, AttributeError):
        return None
