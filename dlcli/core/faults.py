"""Planned failures of file operations, for tests: which operation fails, at which call, and how.

`DLCLI_FAULT=op:nth:action[:once|ever][,...]` counts from 1 the calls of `op`: an operation of `fsio`, `any` operation,
or a named point between operations. An action is an errno name (`ENOSPC`), `kill` or `stop` (SIGKILL or SIGSTOP to
this process) or `short` (half of one write). It is read once, at import, and only where `DLCLI_TESTING=1` says that
this is a test.
"""

from __future__ import annotations

import errno
import os
import signal
from dataclasses import dataclass

SIGNALS = {"kill": signal.SIGKILL, "stop": signal.SIGSTOP}


@dataclass
class Fault:
    """One planned failure; `seen` counts the matching calls so far."""

    op: str
    nth: int
    action: str
    ever: bool = False
    seen: int = 0

    @classmethod
    def parse(cls, text: str) -> Fault:
        """The fault that `op:nth:action[:once|ever]` describes."""
        op, nth, action, *rest = text.split(":")
        return cls(op, int(nth), action, rest == ["ever"])

    def strikes(self, op: str, point: bool) -> bool:
        """Whether this call of `op` is one that fails."""
        if self.op != op and (point or self.op != "any"):
            return False
        self.seen += 1
        return self.seen == self.nth or (self.ever and self.seen > self.nth)


planned: list[Fault] = []
"""The faults in force; empty outside tests."""


def plan(text: str) -> None:
    """Puts the faults of a comma-separated text in force, in place of those before; an empty text plans none."""
    planned[:] = [Fault.parse(part) for part in text.split(",") if part]


def strike(op: str, point: bool = False) -> bool:
    """Carries out what is planned for this call of `op` or passing of a point; true where a write is to fall short.

    Raises the planned OSError.
    """
    short = False
    for fault in planned:
        if fault.strikes(op, point):
            if fault.action in SIGNALS:
                os.kill(os.getpid(), SIGNALS[fault.action])
            elif fault.action == "short":
                short = True
            else:
                number = getattr(errno, fault.action)
                raise OSError(number, os.strerror(number))
    return short


if os.environ.get("DLCLI_TESTING") == "1":
    plan(os.environ.get("DLCLI_FAULT", ""))
