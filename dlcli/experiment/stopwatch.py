"""A stopwatch on the parts of a training step, put around their methods from outside: without it nothing costs more."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from time import perf_counter
from typing import Any

from dlcli.nn.layers.sequential import Part
from dlcli.nn.network import walk
from dlcli.training.loop import StepDone, Trainer

CALLS, ROUNDS = 500, 5
"""Calls over which the cost of the stopwatch itself is measured, and how often: the least counts."""


@dataclass
class Spread:
    """Mean and standard deviation of a time over steps, in seconds."""

    steps: int = 0
    mean: float = 0.0
    squares: float = 0.0
    """The sum of squared distances from the mean."""

    def add(self, seconds: float) -> None:
        """Take one more step (Welford 1962, https://doi.org/10.1080/00401706.1962.10490022)."""
        self.steps += 1
        before = seconds - self.mean
        self.mean += before / self.steps
        self.squares += before * (seconds - self.mean)

    @property
    def sd(self) -> float:
        """Of the sample; 0 for a single step."""
        return math.sqrt(self.squares / (self.steps - 1)) if self.steps > 1 else 0.0


class Stopwatch:
    """Times what happens within the steps of a trainer; what a part calls inside is not counted twice.

    The parts are `forward <layer>` and `backward <layer>` of every layer, and those of `OTHERS`. Outside a step, as in
    an evaluation on other threads, nothing is timed.
    """

    def __init__(self, skip: int = 0) -> None:
        self.skip = skip  # steps at first, which do not count
        self.parts: dict[str, Spread] = {}
        self.step = Spread()
        self.samples = self.calls = 0
        self._now: dict[str, float] = {}
        self._inside = 0.0  # seconds in the parts that the running part has called
        self._open = False

    @contextmanager
    def on(self, trainer: Trainer) -> Iterator[None]:
        """Time the steps of this trainer inside the block."""
        methods: list[tuple[Any, str, str]] = [
            (trainer.batches, "gather", "gather"),
            (trainer.batches.normalizer, "apply", "normalize"),
            (trainer.loss, "forward", "loss forward"),
            (trainer.loss, "backward", "loss backward"),
            (trainer.optimizer, "step", "optimizer"),
            *((metric, "sums", "metrics") for metric in trainer.metrics.values()),
        ]
        if trainer.batches.augment is not None:
            methods.append((trainer.batches, "augment", "augment"))
        if trainer.ema is not None:
            methods.append((trainer.ema, "update", "averages"))
        for name, layer in walk(trainer.network.root):
            if not isinstance(layer, Part):  # a mere list of layers
                methods += [(layer, "forward", f"forward {name}"), (layer, "backward", f"backward {name}")]
        kept = [(vars(owner), name, vars(owner).get(name)) for owner, name, _ in methods]
        for owner, name, part in methods:
            vars(owner)[name] = self.timed(part, getattr(owner, name))
            self.parts.setdefault(part, Spread())
        vars(trainer)["_step"] = self._stepping(trainer._step)
        try:
            yield
        finally:
            del vars(trainer)["_step"]
            for attributes, name, before in reversed(kept):
                if before is None:
                    del attributes[name]
                else:
                    attributes[name] = before

    def timed(self, part: str, call: Callable[..., Any]) -> Callable[..., Any]:
        """`call`, whose time within a step is added to that part."""

        def run(*arguments: Any, **named: Any) -> Any:
            if not self._open:
                return call(*arguments, **named)
            outer, self._inside = self._inside, 0.0
            began = perf_counter()
            try:
                return call(*arguments, **named)
            finally:
                took = perf_counter() - began
                self._now[part] = self._now.get(part, 0.0) + took - self._inside
                self._inside = outer + took
                self.calls += 1

        return run

    def _stepping(self, step: Callable[..., StepDone]) -> Callable[..., StepDone]:
        def run(*arguments: Any) -> StepDone:
            self._now, self._open, calls = {}, True, self.calls
            began = perf_counter()
            try:
                done = step(*arguments)
            finally:
                took, self._open = perf_counter() - began, False
            if self.skip:
                self.skip, self.calls = self.skip - 1, calls
                return done
            for part, spread in self.parts.items():
                spread.add(self._now.get(part, 0.0))
            self.step.add(took)
            self.samples += done.samples
            return done

        return run

    def overhead(self) -> float:
        """Seconds that the stopwatch itself takes in a step, measured now on calls that do nothing."""
        probe = Stopwatch()
        probe._open = True

        def nothing() -> None:
            pass

        def per_call(call: Callable[[], None]) -> float:
            began = perf_counter()
            for _ in range(CALLS):
                call()
            return (perf_counter() - began) / CALLS

        timed, bare = (min(per_call(call) for _ in range(ROUNDS)) for call in (probe.timed("", nothing), nothing))
        return max(0.0, timed - bare) * self.calls / max(1, self.step.steps)
