"""The journal: strict JSON by whole lines, readers that bear a torn end, and a resume that continues it exactly."""

from __future__ import annotations

import json
import math
import os
import random
from contextlib import suppress
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from dlcli.core import faults
from dlcli.core.errors import CheckpointError, OutputError
from dlcli.training.journal import Journal, read, repair

ROWS = [{"epoch": i, "step": 10 * i, "train.loss": 1 / i} for i in range(1, 6)]


def no_note(text: str) -> None:
    raise AssertionError(text)


def refuse(constant: str) -> None:
    raise AssertionError(f"{constant} is not JSON")


@pytest.fixture(autouse=True)
def _no_faults():
    faults.plan("")
    yield
    faults.plan("")


@pytest.fixture
def path(tmp_path: Path) -> Path:
    with Journal(tmp_path / "metrics.jsonl") as journal:
        for row in ROWS:
            journal.append(row)
    return tmp_path / "metrics.jsonl"


def test_rows_come_back_and_are_counted(path: Path) -> None:
    assert read(path) == ROWS
    with Journal(path) as journal:
        assert journal.sync() == 5
        journal.append({"step": 60})
        assert journal.sync() == 6
    assert read(path)[5:] == [{"step": 60}]


def test_numbers_that_json_lacks_are_null_and_named(path: Path) -> None:
    row = {"a": math.nan, "b": math.inf, "c": -math.inf, "d": {"e": math.nan}, "f": (1.0, math.inf), "g": 0.5}
    with Journal(path) as journal:
        journal.append(row)
    clean = json.loads(path.read_bytes().splitlines()[-1], parse_constant=refuse)
    assert clean == {"a": None, "b": None, "c": None, "d": {"e": None}, "f": [1.0, None], "g": 0.5} | {
        "nonfinite": {"a": "nan", "b": "inf", "c": "-inf", "d.e": "nan", "f.1": "inf"}
    }
    assert math.isnan(row["a"])


@settings(max_examples=100, deadline=None)
@given(st.dictionaries(st.text(max_size=9), st.none() | st.booleans() | st.integers() | st.floats() | st.text()))
def test_any_row_is_one_line_of_strict_json(tmp_path_factory: pytest.TempPathFactory, row: dict[str, Any]) -> None:
    path = tmp_path_factory.mktemp("journal") / "x.jsonl"
    with Journal(path) as journal:
        journal.append(row)
    (line,) = path.read_bytes().split(b"\n")[:-1]
    assert json.loads(line, parse_constant=refuse).keys() - {"nonfinite"} == row.keys() - {"nonfinite"}


def test_each_row_is_one_write(path: Path) -> None:
    faults.plan("write:1:EIO")
    with Journal(path) as journal, pytest.raises(OutputError, match="input/output error"):
        journal.append({"step": 60})
    assert read(path) == ROWS


@pytest.mark.parametrize("op", ["open_append", "write", "fsync", "close"])
def test_r3_what_cannot_be_written_is_said(tmp_path: Path, op: str) -> None:
    faults.plan(f"{op}:1:ENOSPC:ever")

    def use() -> None:
        journal = Journal(tmp_path / "x.jsonl")
        journal.append({"step": 1})
        journal.sync()
        journal.close()

    with pytest.raises(OutputError, match=r"x\.jsonl: cannot write: no space left on device"):
        use()


TORN = [b'{"step": 6', b"\0" * 100, b"\xff\xfe", b'{"step": 60}', b" "]


@pytest.mark.parametrize("tail", TORN)
def test_98_a_torn_end_is_ignored_by_readers_and_cut_off_by_the_next_writer(path: Path, tail: bytes) -> None:
    with path.open("ab") as file:
        file.write(tail)
    assert read(path) == ROWS
    with Journal(path) as journal:
        journal.append({"step": 60})
    assert read(path) == [*ROWS, {"step": 60}]


@pytest.mark.parametrize("torn", [b"", *TORN])
def test_98_repair_keeps_what_the_checkpoint_counts_and_puts_the_rest_aside(path: Path, torn: bytes) -> None:
    lines = path.read_bytes().splitlines(keepends=True)
    for n, kept in enumerate((5, 3, 3, 0), 1):
        path.write_bytes(b"".join(lines) + torn)
        notes: list[str] = []
        repair(path, kept, 10 * kept, notes.append)
        dropped = path.with_name(f"metrics.dropped-{n if torn else n - 1}.jsonl")
        assert path.read_bytes() == b"".join(lines[:kept])
        if kept < 5 or torn:
            assert dropped.read_bytes() == b"".join(lines[kept:]) + torn
            assert notes == [f"{path}: what was written after step {10 * kept} is moved to {dropped.name}"]
        else:
            assert notes == []
        repair(path, kept, 10 * kept, no_note)


def test_repair_of_a_file_that_is_not_there(tmp_path: Path) -> None:
    repair(tmp_path / "x.jsonl", 0, 0, no_note)
    assert list(tmp_path.iterdir()) == []
    with pytest.raises(CheckpointError, match="0 whole lines, expected 2 as in the checkpoint at step 20"):
        repair(tmp_path / "x.jsonl", 2, 20, no_note)


BROKEN = {
    "junk": (1, b"\xff\xfe\x00"),
    "not-an-object": (1, b"[1]"),
    "nan": (1, b'{"step": 20, "a": NaN}'),
    "deep": (1, b"[" * 100_000),
    "no-step": (1, b"{}"),
    "step-is-text": (1, b'{"step": "20"}'),
    "step-backwards": (1, b'{"step": 9}'),
    "step-beyond-the-checkpoint": (2, b'{"step": 31}'),
    "empty-line": (0, b""),
}


@pytest.mark.parametrize("case", BROKEN)
def test_98_lines_that_are_no_rows(path: Path, case: str) -> None:
    index, line = BROKEN[case]
    lines = path.read_bytes().splitlines()
    lines[index] = line
    path.write_bytes(b"\n".join(lines) + b"\n")
    before = path.read_bytes()
    with pytest.raises(CheckpointError) as caught:
        repair(path, 3, 30, no_note)
    (message,) = caught.value.lines()
    assert message.startswith(f"error: {path}:{index + 1}: ")
    assert len(message) <= 400
    assert path.read_bytes() == before
    assert os.listdir(path.parent) == ["metrics.jsonl"]  # noqa: PTH208


def test_98_fewer_lines_than_the_checkpoint_counts(path: Path) -> None:
    with pytest.raises(CheckpointError, match="5 whole lines, expected 6 as in the checkpoint at step 60"):
        repair(path, 6, 60, no_note)


def test_r3_a_repair_that_fails_loses_nothing_and_can_be_repeated(path: Path) -> None:
    whole = path.read_bytes()
    kept = b"".join(whole.splitlines(keepends=True)[:2])
    for nth in range(1, 30):
        path.write_bytes(whole)
        faults.plan(f"any:{nth}:ENOSPC")
        with suppress(OutputError):
            repair(path, 2, 20, lambda _: None)
        struck = faults.planned[0].seen >= nth
        faults.plan("")
        assert path.read_bytes() in (whole, kept)
        repair(path, 2, 20, lambda _: None)
        assert path.read_bytes() == kept
        assert any(p.read_bytes() == whole[len(kept) :] for p in path.parent.glob("metrics.dropped-*"))
        if not struck:
            break
    assert nth == 13  # twice open_excl, write, fsync, close, replace, fsync_dir


def test_r18_2000_mutations_give_rows_or_our_own_error(path: Path) -> None:
    whole = path.read_bytes()
    for seed in range(2000):
        rng = random.Random(seed)
        data = bytearray(whole)
        for _ in range(rng.randint(1, 4)):
            at = rng.randrange(len(data))
            data[at : at + rng.choice([0, 1, 1, 20])] = rng.choice([b"", b"\n", b"\0", b'"', b"{", rng.randbytes(3)])
        path.write_bytes(data)
        with suppress(CheckpointError):
            assert all(isinstance(row, dict) for row in read(path))
        with suppress(CheckpointError):
            repair(path, rng.randint(0, 5), 50, lambda _: None)
        for dropped in path.parent.glob("metrics.dropped-*"):
            dropped.unlink()
