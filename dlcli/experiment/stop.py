"""Reasons to leave training early: a signal, a number of steps, a time."""

from __future__ import annotations

import math
import os
import re
import signal
import time
from types import FrameType
from typing import Any

from dlcli.core.errors import UsageError, quote

SIGNALS = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)

_UNITS = {"": 1.0, "s": 1.0, "min": 60.0, "m": 60.0, "h": 3600.0}


def parse_time(text: str) -> float:
    """`90`, `90 s`, `15 min` or `1.5 h` in seconds; UsageError otherwise."""
    found = re.fullmatch(r"\s*([0-9]+(?:\.[0-9]+)?)\s*(s|min|m|h)?\s*", text)
    if found is None or not 0 < float(found[1]) < math.inf:
        raise UsageError(f"--max-time: got {quote(text)}, expected a time such as '90 s', '15 min' or '1.5 h'")
    return float(found[1]) * _UNITS[found[2] or ""]


def die_by(number: int) -> None:
    """End this process by that signal, so that a shell sees how it died and stops its loops."""
    signal.signal(number, signal.SIG_DFL)
    os.kill(os.getpid(), number)


class Stop:
    """Asked after every step whether training should end here.

    Inside the context the first SIGINT, SIGTERM or SIGHUP is only noted; a second one ends the process at once, which
    leaves the last checkpoint as it was. A signal that was ignored when the process began stays ignored.
    """

    def __init__(self, max_steps: int | None = None, max_time: float | None = None) -> None:
        self.max_steps = max_steps
        self.deadline = None if max_time is None else time.monotonic() + max_time
        self.signal: int | None = None
        self._before: dict[int, Any] = {}

    def __enter__(self) -> Stop:
        for number in SIGNALS:
            if signal.getsignal(number) is not signal.SIG_IGN:
                self._before[number] = signal.signal(number, self._note)
        return self

    def __exit__(self, *_: object) -> None:
        for number, handler in self._before.items():
            signal.signal(number, handler)

    def _note(self, number: int, frame: FrameType | None) -> None:
        if self.signal is not None:
            die_by(number)
        self.signal = number

    def reason(self, step: int) -> str | None:
        """`interrupted`, `stopped`, or None to go on."""
        if self.signal is not None:
            return "interrupted"
        if self.max_steps is not None and step >= self.max_steps:
            return "stopped"
        if self.deadline is not None and time.monotonic() >= self.deadline:
            return "stopped"
        return None
