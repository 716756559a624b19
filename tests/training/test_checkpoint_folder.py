"""The checkpoints folder: what is kept, what a resume picks, and no failure or kill that loses a finished one."""

from __future__ import annotations

import errno
import os
import signal
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

from dlcli.core import faults, fsio
from dlcli.core.errors import CheckpointError, DivergedError, OutputError
from dlcli.training import checkpoint
from dlcli.training.checkpoint import BEST, Snapshot, encode, newest, path_of, read, save, steps

ERRNOS = ("ENOSPC", "EIO", "EACCES", "EROFS", "EDQUOT", "EMFILE")
OURS, OTHERS = "ab" * 32, "cd" * 32


def snapshot(step: int, config: str = OURS) -> Snapshot:
    meta = {"step": step, "epoch": 0, "batch_in_epoch": step, "metrics_lines": 0, "seed": 0}
    meta |= {"config_sha256": config, "config": {}}
    return Snapshot(meta, {"0.weight": np.full(50, step, "f4")})


def no_note(text: str) -> None:
    raise AssertionError(text)


def names(folder: Path) -> list[str]:
    return sorted(path.name for path in folder.iterdir())


def kept(folder: Path) -> list[int]:
    return [step for step, _ in steps(folder)]


@pytest.fixture(autouse=True)
def _no_faults():
    faults.plan("")
    yield
    faults.plan("")


def test_r23_the_last_few_and_the_best_are_kept(tmp_path: Path) -> None:
    for step in range(1, 8):
        assert save(tmp_path, snapshot(step), keep=3, best=step == 2, note=no_note) == path_of(tmp_path, step)
        assert kept(tmp_path) == list(range(max(1, step - 2), step + 1))
    assert read(tmp_path / BEST).step == 2
    assert names(tmp_path) == [BEST, *(path_of(tmp_path, s).name for s in (5, 6, 7))]


def test_r23_with_one_kept_there_is_always_one(tmp_path: Path) -> None:
    for step in (1, 2, 3):
        save(tmp_path, snapshot(step), keep=1, best=False, note=no_note)
        assert kept(tmp_path) == [step]


def test_r23_files_of_others_and_higher_steps_are_untouched(tmp_path: Path) -> None:
    foreign = {path_of(tmp_path, 2): encode(snapshot(2, OTHERS)), path_of(tmp_path, 3): b"text"}
    foreign |= {
        tmp_path / "step-1.npz": b"x",
        tmp_path / "notes.txt": b"y",
        path_of(tmp_path, 99): encode(snapshot(99)),
    }
    for path, data in foreign.items():
        path.write_bytes(data)
    for step in (1, 4, 5, 6):
        save(tmp_path, snapshot(step), keep=2, best=False, note=no_note)
    assert kept(tmp_path) == [2, 3, 5, 6, 99]
    assert all(path.read_bytes() == data for path, data in foreign.items())


def test_r23_an_old_checkpoint_that_cannot_be_deleted_is_noted(tmp_path: Path) -> None:
    save(tmp_path, snapshot(1), keep=1, best=False, note=no_note)
    faults.plan("unlink:1:EACCES:ever")
    notes: list[str] = []
    save(tmp_path, snapshot(2), keep=1, best=False, note=notes.append)
    assert notes == [f"{path_of(tmp_path, 1)}: cannot delete this old checkpoint: permission denied"]
    assert kept(tmp_path) == [1, 2]


def test_a_filesystem_without_hard_links_gets_a_copy(tmp_path: Path) -> None:
    faults.plan("link:1:EPERM:ever")
    for step in (1, 2):
        save(tmp_path, snapshot(step), keep=3, best=True, note=no_note)
        assert (tmp_path / BEST).read_bytes() == path_of(tmp_path, step).read_bytes()
    assert names(tmp_path) == [BEST, "step-000000001.npz", "step-000000002.npz"]


def test_a_state_that_is_not_finite_writes_nothing(tmp_path: Path) -> None:
    bad = snapshot(1)
    bad.arrays["0.weight"][3] = np.nan
    with pytest.raises(DivergedError):
        save(tmp_path, bad, keep=3, best=True, note=no_note)
    assert names(tmp_path) == []


# ---------------------------------------------------------------- R3: every operation fails


@pytest.mark.parametrize("how", ["once", "ever"])
@pytest.mark.parametrize("name", ERRNOS)
def test_r3_no_failure_is_silent_or_costs_an_older_checkpoint(tmp_path: Path, name: str, how: str) -> None:
    notes: list[str] = []
    outcomes = []
    for nth in range(1, 40):
        folder = tmp_path / str(nth)
        folder.mkdir()
        for step in (1, 2):
            save(folder, snapshot(step), keep=2, best=step == 1, note=no_note)
        faults.plan(f"any:{nth}:{name}:{how}")
        notes.clear()
        try:
            save(folder, snapshot(3), keep=2, best=True, note=notes.append)
            outcomes.append("noted" if notes else "done")
        except OutputError as error:
            outcomes.append("failed")
            (line,) = error.lines()
            assert str(folder) in line
            assert os.strerror(getattr(errno, name)).lower() in line
        struck = faults.planned[0].seen >= nth
        faults.plan("")
        if outcomes[-1] == "failed":
            assert {1, 2} <= set(kept(folder))
        else:
            assert read(path_of(folder, 3)).step == read(folder / BEST).step == 3
        assert all(read(path).step == step for step, path in steps(folder))
        assert read(folder / BEST).step in (1, 3)
        found = newest(folder, OURS, no_note, owner=True)
        assert found is not None
        assert found[1].step == max(kept(folder))
        save(folder, snapshot(3), keep=2, best=True, note=no_note)
        assert names(folder) == [BEST, "step-000000002.npz", "step-000000003.npz"]
        if not struck:
            break
    assert outcomes[:6] == ["failed"] * 6  # open_excl, write, fsync, close, replace, fsync_dir
    assert outcomes[-1] == "done"
    assert "noted" in outcomes


# ---------------------------------------------------------------- R2: killed at every point

SAVE = """
import sys, runpy
from pathlib import Path
t = runpy.run_path(sys.argv[1])
folder = Path(sys.argv[2])
for step in range(1, 6):
    t["save"](folder, t["snapshot"](step), keep=2, best=step % 2 == 0, note=t["no_note"])
"""

POINTS = (
    "save:1 save:4 open_excl:1 open_excl:5 write:1 write:4 fsync:1 fsync:4 close:4 replace:1 replace:2 replace:3 "
    "replace:5 replace:6 fsync_dir:1 fsync_dir:2 fsync_dir:3 fsync_dir:6 link:1 link:2 unlink:1 unlink:3 unlink:5 "
    "saved:1 saved:4 saved:5"
)


@pytest.mark.parametrize("point", POINTS.split())
def test_r2_a_kill_leaves_what_a_resume_continues_from(tmp_path: Path, point: str) -> None:
    fault = f"{point}:kill" if not point.startswith("write") else f"{point}:short,write:{int(point[-1]) + 1}:kill"
    env = {**os.environ, "DLCLI_TESTING": "1", "DLCLI_FAULT": fault}
    done = subprocess.run([sys.executable, "-c", SAVE, __file__, tmp_path], env=env)
    assert done.returncode == -signal.SIGKILL, "did not test"
    assert all(read(path).step == step for step, path in steps(tmp_path))
    found = newest(tmp_path, OURS, no_note, owner=True)
    assert (found is None) == (point in ("save:1", "open_excl:1", "write:1", "fsync:1", "replace:1"))
    reached = found[1].step if found else 0
    assert [n for n in names(tmp_path) if n.startswith(fsio.TEMP_PREFIX)] == []
    if reached >= 2:
        assert read(tmp_path / BEST).step == reached - reached % 2
    for step in range(reached + 1, 6):
        save(tmp_path, snapshot(step), keep=2, best=step % 2 == 0, note=no_note)
    assert {4, 5} <= set(kept(tmp_path))
    assert len(kept(tmp_path)) <= 3  # a kill between save and prune leaves one more, until the next save
    assert read(tmp_path / BEST).step == 4


# ---------------------------------------------------------------- what a resume picks


def damaged(path: Path) -> None:
    data = bytearray(path.read_bytes())
    data[-300] ^= 1
    path.write_bytes(data)


def test_an_empty_or_missing_folder_has_none(tmp_path: Path) -> None:
    assert newest(tmp_path, OURS, no_note, owner=True) is None
    assert newest(tmp_path / "missing", OURS, no_note) is None


def test_93_unfinished_files_are_no_checkpoints(tmp_path: Path) -> None:
    (tmp_path / ".tmp-1-0123abcd").write_bytes(encode(snapshot(1)))
    assert newest(tmp_path, OURS, no_note) is None
    assert names(tmp_path) == [".tmp-1-0123abcd"]
    assert newest(tmp_path, OURS, no_note, owner=True) is None
    assert names(tmp_path) == []


@pytest.mark.parametrize("owner", [True, False])
def test_94_a_damaged_newest_gives_way_to_the_one_before(tmp_path: Path, owner: bool) -> None:
    for step in (1, 2, 3):
        save(tmp_path, snapshot(step), keep=3, best=False, note=no_note)
    damaged(path_of(tmp_path, 3))
    content = path_of(tmp_path, 3).read_bytes()
    for again in range(2):
        notes: list[str] = []
        found = newest(tmp_path, OURS, notes.append, owner=owner)
        assert found is not None
        assert found[1].step == 2
        (note,) = notes
        assert note.startswith(f"{path_of(tmp_path, 3)}: ")
        assert note.endswith("; using step-000000002.npz")
        moved = f"bad/step-000000003.npz{'.1' if again else ''}"
        assert (f"; moved to {moved};" in note) == owner
        assert (tmp_path / moved).exists() == owner
        if owner:
            assert not path_of(tmp_path, 3).exists()
            path_of(tmp_path, 3).write_bytes(content)


def test_94_where_it_cannot_be_moved_the_run_goes_on(tmp_path: Path) -> None:
    for step in (1, 2):
        save(tmp_path, snapshot(step), keep=3, best=False, note=no_note)
    damaged(path_of(tmp_path, 2))
    faults.plan("mkdir:1:EROFS")
    notes: list[str] = []
    found = newest(tmp_path, OURS, notes.append, owner=True)
    assert found is not None
    assert found[1].step == 1
    assert "moved" not in notes[0]


def test_95_all_damaged_is_an_error_with_a_line_each_and_nothing_moves(tmp_path: Path) -> None:
    for step in (1, 2):
        save(tmp_path, snapshot(step), keep=3, best=False, note=no_note)
        damaged(path_of(tmp_path, step))
    before = names(tmp_path)
    with pytest.raises(CheckpointError) as caught:
        newest(tmp_path, OURS, no_note, owner=True)
    assert len(caught.value.lines()) == 2
    assert names(tmp_path) == before


def test_92_the_newest_valid_of_this_run_counts(tmp_path: Path) -> None:
    save(tmp_path, snapshot(4), keep=3, best=False, note=no_note)
    path_of(tmp_path, 6).write_bytes(encode(snapshot(5)))
    path_of(tmp_path, 999_999_999).write_bytes(encode(snapshot(999_999_999, OTHERS)))
    (tmp_path / "step-0000000000007.npz").write_bytes(encode(snapshot(7)))
    (tmp_path / "step-8.npz").write_bytes(encode(snapshot(8)))
    notes: list[str] = []
    found = newest(tmp_path, OURS, notes.append, owner=True)
    assert found is not None
    assert found[1].step == 4
    assert [n.split(": ")[1] for n in notes] == [
        "holds step 5, expected step 6 as in its name; moved to bad/step-000000006.npz; using step-000000004.npz"
    ]
    assert path_of(tmp_path, 999_999_999).exists()
    any_config = newest(tmp_path, None, no_note)
    assert any_config is not None
    assert any_config[1].step == 999_999_999


def test_89_only_checkpoints_of_another_config(tmp_path: Path) -> None:
    save(tmp_path, snapshot(1, OTHERS), keep=3, best=False, note=no_note)
    with pytest.raises(CheckpointError, match="belongs to another config"):
        newest(tmp_path, OURS, no_note, owner=True)
    assert kept(tmp_path) == [1]


def test_steps_beyond_nine_digits(tmp_path: Path) -> None:
    for step in (999_999_999, 2**31, 10**12):
        save(tmp_path, snapshot(step), keep=2, best=False, note=no_note)
    assert kept(tmp_path) == [2**31, 10**12]


def test_r22_a_reader_whose_file_is_pruned_under_its_hands_looks_again(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    save(tmp_path, snapshot(1), keep=1, best=False, note=no_note)
    listed = checkpoint.steps

    def steps_and_then_a_save(folder: Path) -> list[tuple[int, Path]]:
        found = listed(folder)
        monkeypatch.setattr(checkpoint, "steps", listed)
        save(folder, snapshot(2), keep=1, best=False, note=no_note)
        return found

    monkeypatch.setattr(checkpoint, "steps", steps_and_then_a_save)
    found = newest(tmp_path, OURS, no_note)
    assert found is not None
    assert found[1].step == 2


def test_r22_a_reader_finds_one_at_any_moment(tmp_path: Path) -> None:
    program = SAVE.replace("range(1, 6)", "range(1, 400)").replace("keep=2", "keep=1")
    save(tmp_path, snapshot(1), keep=1, best=False, note=no_note)
    with subprocess.Popen([sys.executable, "-c", program, __file__, tmp_path]) as writer:
        seen = set()
        while writer.poll() is None:
            found = newest(tmp_path, OURS, no_note)
            assert found is not None
            seen.add(found[1].step)
    assert writer.returncode == 0
    assert len(seen) > 5
