"""Resuming a run whose files are damaged, changed or incomplete: continued exactly, or refused with the reason."""

from __future__ import annotations

import json
import re
import shutil
import signal
from collections.abc import Callable
from pathlib import Path

import pytest
from processes import Process, Server
from rig import Result, result, tree, verify

from dlcli.training import checkpoint


@pytest.fixture(scope="module")
def stopped_at_36(shared_server: Server, rig: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A run stopped at step 36, whose checkpoints are those of steps 30, 35 and 36."""
    run = tmp_path_factory.mktemp("stopped") / "run"
    shared_server.must("train", rig, "--run-dir", run, "--max-steps", 36)
    assert verify(run) == [30, 35, 36]
    return run


@pytest.fixture
def run(stopped_at_36: Path, tmp_path: Path) -> Path:
    """A copy of that run to damage."""
    return Path(shutil.copytree(stopped_at_36, tmp_path / "run"))


def path_of(run: Path, step: int) -> Path:
    return checkpoint.path_of(run / "checkpoints", step)


def flip(path: Path) -> None:
    """Change one bit in the middle of a file."""
    data = bytearray(path.read_bytes())
    data[len(data) // 2] ^= 4
    path.write_bytes(data)


def notes(process: Process) -> list[str]:
    """The lines of stderr but for those of where a run continues, of the epochs and of the end."""
    lines = process.err.split("\n\n")[0].splitlines()
    return [line for line in lines if not line.startswith("epoch ") and ": continues from step " not in line]


def test_94_the_newest_checkpoint_is_damaged(server: Server, run: Path, uninterrupted: Result) -> None:
    flip(path_of(run, 36))
    path_of(run, 35).write_bytes(path_of(run, 35).read_bytes()[:-1])
    process = server.must("resume", run)
    first, second, third = notes(process)
    for line, step in ((first, 36), (second, 35)):
        assert line.startswith(f"{path_of(run, step)}: ")
        assert line.endswith(f"; moved to bad/step-{step:09}.npz; using step-000000030.npz")
    assert third == f"{run}/metrics.jsonl: what was written after step 30 is moved to metrics.dropped-1.jsonl"
    assert {path.name for path in (run / "checkpoints/bad").iterdir()} == {path_of(run, s).name for s in (35, 36)}
    assert result(run) == uninterrupted


def test_95_every_checkpoint_is_damaged(server: Server, run: Path) -> None:
    for step in (30, 35, 36):
        flip(path_of(run, step))
    before = {name: what for name, what in tree(run).items() if name != ".lock"}
    for command in (("resume", run), ("train", run, "--run-dir", run, "--resume")):
        code, process = server.run(*command)
        assert code == 6
        assert [line.split(": ")[:2] for line in process.lines] == [
            ["error", str(path_of(run, step))] for step in (36, 35, 30)
        ]
        assert {name: what for name, what in tree(run).items() if name != ".lock"} == before


def test_all_checkpoints_gone(server: Server, run: Path) -> None:
    for step in (30, 35, 36):
        path_of(run, step).unlink()
    code, process = server.run("resume", run)
    assert code == 6
    assert process.lines == [f"error: {run}/checkpoints: no checkpoint is left to continue from; train anew"]


def torn(metrics: Path) -> None:
    with metrics.open("ab") as file:
        file.write(b'{"epoch": 4, "st')


def later(metrics: Path) -> None:
    with metrics.open("ab") as file:
        file.write(b'{"epoch": 4, "step": 42, "step.loss": 1.5}\n')


def zeros(metrics: Path) -> None:
    with metrics.open("ab") as file:
        file.write(bytes(512))


@pytest.mark.parametrize("damage", [torn, later, zeros])
def test_98_what_follows_in_the_metrics_is_cut_off(
    server: Server, run: Path, uninterrupted: Result, damage: Callable[[Path], None]
) -> None:
    damage(run / "metrics.jsonl")
    assert server.must("runs", "show", run).out
    process = server.must("resume", run)
    (note,) = notes(process)
    assert note == f"{run}/metrics.jsonl: what was written after step 36 is moved to metrics.dropped-1.jsonl"
    assert result(run) == uninterrupted


def test_98_metrics_that_lack_lines_or_lie(server: Server, run: Path) -> None:
    metrics = run / "metrics.jsonl"
    lines = metrics.read_bytes().splitlines(keepends=True)
    for content, problem in (
        (lines[:-1], f"{len(lines) - 1} whole lines, expected {len(lines)} as in the checkpoint at step 36"),
        ([], f"0 whole lines, expected {len(lines)}"),
        ([*lines[:-1], b"\0\1binary\n"], "expected a JSON object"),
        ([*lines[:-2], lines[-1], lines[-2]], "step is"),
    ):
        metrics.write_bytes(b"".join(content))
        code, process = server.run("resume", run)
        assert code == 6
        (line,) = process.lines
        assert line.startswith(f"error: {metrics}")
        assert problem in line
        assert metrics.read_bytes() == b"".join(content)


def test_a_changed_config_is_refused_key_by_key(server: Server, run: Path, rig: Path) -> None:
    config = run / "config.yaml"
    text = config.read_text()
    config.write_text(text.replace("lr: 0.003", "lr: 0.004").replace("epochs: 6", "epochs: 7"))
    code, process = server.run("resume", run)
    assert code == 3
    where = f"error: {run}/config.yaml: "
    assert process.lines == [
        f"{where}optimizer.Adam.lr: got 0.004 now, expected 0.003 as in the run; resuming accepts no change",
        f"{where}train.epochs: got 7 now, expected 6 as in the run; resuming accepts no change",
    ]
    config.write_text(text.replace("Adam", "Adamm"))
    code, process = server.run("resume", run)
    assert code == 6
    assert "(the run's own config)" in process.lines[0]
    config.write_text(text)
    code, process = server.run("train", rig, "--set", "seed=5", "--run-dir", run, "--resume")
    assert code == 3
    assert process.lines == [f"{where}seed: got 5 now, expected 0 as in the run; resuming accepts no change"]


def test_136_other_numerics_are_refused_unless_allowed(server: Server, run: Path, uninterrupted: Result) -> None:
    for step in (30, 35, 36):
        snapshot = checkpoint.read(path_of(run, step))
        snapshot.meta["env"]["numpy"] = "1.0.0"
        path_of(run, step).write_bytes(checkpoint.encode(snapshot))
    code, process = server.run("resume", run)
    assert code == 6
    (line,) = process.lines
    assert "was trained with numpy 1.0.0, here it is" in line
    assert line.endswith("or add --allow-inexact")
    server.must("resume", run, "--allow-inexact")
    assert result(run) == uninterrupted


def test_data_that_has_changed_is_refused(server: Server, tmp_path: Path) -> None:
    rows = [f"{i % 7},{i % 3},{i % 2}" for i in range(60)]
    data = tmp_path / "data.csv"
    data.write_text("\n".join(["a,b,y", *rows]) + "\n")
    config = tmp_path / "c.yaml"
    config.write_text(
        f"data: {{dataset: {{Csv: {{path: {data}, target: y}}}}, validation: 0.2}}\n"
        "model: [Linear: {out_features: 2}]\nloss: CrossEntropyLoss\noptimizer: {SGD: {lr: 0.1}}\ntrain: {epochs: 3}\n"
    )
    server.must("train", config, "--run-dir", "run", "--max-steps", 1)
    data.write_text("\n".join(["a,b,y", *rows[1:], rows[0]]) + "\n")
    code, process = server.run("resume", "run")
    assert code == 6
    assert process.lines[-1].endswith(f"the data differs from what the run was trained on: {data}")


def test_a_damaged_run_json_concerns_its_run_alone(server: Server, rig: Path, uninterrupted: Result) -> None:
    first = server.folder / server.must("train", rig, "--max-steps", 36).out.strip()
    (first / "run.json").write_text('{"start": ')
    second = server.must("train", rig, "--max-steps", 1)
    assert second.out.strip() == f"runs/{first.name}-2"
    assert len(json.loads(server.must("runs", "list", "--json").out)["runs"]) == 2
    code, process = server.run("resume", first)
    assert code == 6
    assert process.lines[-1].endswith("delete it and resume the run")
    (first / "run.json").unlink()
    server.must("resume", first)
    assert result(first) == uninterrupted


def test_killed_before_the_first_checkpoint(server: Server, rig: Path, uninterrupted: Result) -> None:
    """At every other operation of the start: the same command, given again, trains to the end in the same directory."""
    killed = 0
    for nth in range(1, 60, 2):
        run = server.folder / f"exact-{nth}"
        code, _ = server.run("train", rig, "--run-dir", run, env={"DLCLI_FAULT": f"any:{nth}:kill"})
        assert code == -signal.SIGKILL
        if run.exists() and verify(run):
            break
        killed += 1
        if nth % 5 == 0:
            process = server.must("train", rig, "--run-dir", run, "--resume")
            assert process.out == f"{run}\n"
            assert result(run) == uninterrupted
    assert killed > 6


def test_train_resume_without_a_directory(server: Server, rig: Path, uninterrupted: Result) -> None:
    started = server.must("train", rig, "--resume", "--max-steps", 20)
    name = started.out.strip()
    assert re.fullmatch(r"runs/rig-[0-9a-f]{8}", name)
    assert started.lines[-1] == f"stopped at step 20 of 72, saved; continue with: dlcli resume {name}"
    other = server.must("train", rig, "--set", "seed=1", "--resume", "--max-steps", 1).out.strip()
    assert other != name
    assert server.must("train", rig, "--resume").out.strip() == name
    assert result(server.folder / name) == uninterrupted
    stored = server.must("train", rig, "--resume")
    assert (stored.out.strip(), stored.lines[0]) == (name, f"already complete: {name}")
    again = server.must("train", rig, "--max-steps", 3)
    assert again.out.strip() == f"{name}-2"
    assert again.lines[0] == f"same config as {name}: will give the same bits; --resume shows its result"
    assert server.must("train", rig, "--resume").out.strip() == f"{name}-2"
    assert result(server.folder / f"{name}-2") == uninterrupted


def test_killed_before_its_first_checkpoint_a_run_begins_again(
    server: Server, rig: Path, uninterrupted: Result
) -> None:
    code, _ = server.run("train", rig, env={"DLCLI_FAULT": "save:1:kill"})
    assert code == -signal.SIGKILL
    process = server.must("train", rig, "--resume")
    name = process.out.strip()
    assert process.lines[0] == f"{name}: was stopped before its first checkpoint; starting at step 0"
    assert result(server.folder / name) == uninterrupted


def test_a_run_directory_that_exists(server: Server, rig: Path) -> None:
    server.must("train", rig, "--run-dir", "run", "--max-steps", 1)
    (server.folder / "mine").mkdir()
    (server.folder / "mine/notes.txt").write_text("keep")
    for name, flags, problem in (
        ("run", (), "exists already; add --resume to continue it, or choose another --run-dir"),
        ("mine", (), "exists already and is no run; choose another --run-dir"),
        ("mine", ("--resume",), "exists already and is no run; choose another --run-dir"),
    ):
        code, process = server.run("train", rig, "--run-dir", name, *flags)
        assert (code, process.lines) == (7, [f"error: {name}: {problem}"])
    assert [p.name for p in (server.folder / "mine").iterdir()] == ["notes.txt"]
