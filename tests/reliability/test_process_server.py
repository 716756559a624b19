"""The server of processes is honest: a forked command line gives what a new interpreter gives."""

from __future__ import annotations

from pathlib import Path

from processes import Server
from rig import Result, result


def test_a_forked_command_line_trains_to_the_same_bits(server: Server, rig: Path, uninterrupted: Result) -> None:
    process = server.must("train", rig)
    assert result(server.folder / process.out.strip()) == uninterrupted
