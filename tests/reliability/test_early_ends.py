"""Stopping on request, what a folder of checkpoints keeps, and the record of the test set's openings."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from processes import Server
from rig import STEPS, Result, result, verify

from dlcli.training import checkpoint


@pytest.mark.parametrize("how", [("--max-steps", 30), ("--max-time", "0.02 s")])
def test_stopping_on_request_is_no_failure(
    server: Server, rig: Path, uninterrupted: Result, how: tuple[str, object]
) -> None:
    process = server.must("train", rig, *how, "--json")
    document = json.loads(process.out)
    run, step = server.folder / document["run"], document["steps"]
    assert step == 30 if how[0] == "--max-steps" else 0 < step < STEPS
    assert document["status"] == "stopped"
    at = f"stopped at step {step} of {STEPS}, saved; continue with: dlcli resume {document['run']}"
    assert process.lines[-1] == at
    assert verify(run)[-1] == step
    assert not (run / "summary.json").exists()
    (row,) = json.loads(server.must("runs", "list", "--json").out)["runs"]
    assert (row["run"], row["status"]) == (document["run"], "stopped")
    server.must("resume", run, "--max-steps", 10)
    server.must("resume")
    assert result(run) == uninterrupted


def test_a_limit_beyond_the_end_changes_nothing(server: Server, rig: Path, uninterrupted: Result) -> None:
    server.must("train", rig, "--run-dir", "run", "--max-steps", STEPS + 1, "--max-time", "1 h")
    assert result(server.folder / "run") == uninterrupted


@pytest.mark.parametrize("keep", [1, 2])
def test_r23_what_a_run_keeps(server: Server, rig: Path, keep: int) -> None:
    command = ("train", rig, "--set", f"train.checkpoint.keep={keep}", "--run-dir", "run")
    server.must(*command, "--max-steps", 22)
    folder = server.folder / "run/checkpoints"
    other = server.folder / "other"
    server.must("train", rig, "--set", "seed=9", "--run-dir", other, "--max-steps", 3)
    stale = checkpoint.path_of(other / "checkpoints", 3).read_bytes()
    foreign = {"step-000000003.npz": stale, "step-000000007.npz": b"text", "notes.txt": b"mine", "step-8.npz": b"x"}
    for name, data in foreign.items():
        (folder / name).write_bytes(data)
    server.must("resume", "run")
    kept = [path.name for _, path in checkpoint.steps(folder) if path.name not in foreign]
    assert kept == [f"step-{step:09}.npz" for step in (70, 72)[-keep:]]
    assert all((folder / name).read_bytes() == data for name, data in foreign.items())
    best = checkpoint.read(folder / "best.npz")
    assert best.step == json.loads((server.folder / "run/summary.json").read_text())["best"]["step"]


def test_checkpoints_are_saved_when_they_are_due(server: Server, rig: Path) -> None:
    keep = ("--set", "train.checkpoint.keep=99", "--set", "train.monitor=train.loss")
    for every, due in (("1 epoch", {12, 24, 36, 48, 60, 72}), ("20 steps", {20, 40, 60, 72}), ("50%", {36, 72})):
        run = server.folder / every
        server.must("train", rig, *keep, "--set", f"train.checkpoint.every={every}", "--run-dir", run)
        rows = [json.loads(line) for line in (run / "metrics.jsonl").read_text().splitlines()]
        best, lowest = set(), float("inf")
        for row in rows:
            if row.get("train.loss", lowest) < lowest:
                lowest = row["train.loss"]
                best.add(row["step"])
        assert set(verify(run)) == due | best


def test_the_openings_of_the_test_set_are_recorded(server: Server) -> None:
    config = server.folder / "c.yaml"
    config.write_text(
        "data: {dataset: {blobs: {samples: 200}}, validation: 0.2}\nmodel: [Linear: {out_features: 3}]\n"
        "loss: CrossEntropyLoss\noptimizer: {SGD: {lr: 0.1}}\nmetrics: [accuracy]\ntrain: {epochs: 2}\n"
    )
    run = server.must("train", config).out.strip()
    before = (server.folder / run / "metrics.jsonl").read_bytes()
    evaluated = [
        json.loads(server.must("eval", run, "--json", *split).out) for split in ((), *[("--split", "test")] * 2)
    ]
    assert [e["split"] for e in evaluated] == ["val", "test", "test"]
    rows = [json.loads(line) for line in (server.folder / run / "evals.jsonl").read_text().splitlines()]
    assert [row["split"] for row in rows] == ["val", "test", "test"]
    (listed,) = json.loads(server.must("runs", "list", "--json").out)["runs"]
    assert [opening["metrics"] for opening in listed["test"]] == [evaluated[1]["metrics"]] * 2
    assert [opening["samples"] for opening in listed["test"]] == [200, 200]
    assert (server.folder / run / "metrics.jsonl").read_bytes() == before


def test_evaluations_at_once_are_all_recorded(server: Server, rig: Path) -> None:
    server.must("train", rig, "--run-dir", "run", "--max-steps", 13)
    started = [server.start("eval", "run", "--json") for _ in range(12)]
    assert [process.wait() for process in started] == [0] * 12
    rows = [json.loads(line) for line in (server.folder / "run/evals.jsonl").read_text().splitlines()]
    assert len(rows) == 12
    assert len({json.dumps(row["metrics"]) for row in rows}) == 1


def test_divergence_leaves_finite_checkpoints(server: Server, rig: Path) -> None:
    run = server.folder / "run"
    hot = ("--set", "optimizer={SGD: {lr: 1e6}}", "--set", "schedule=null", "--set", "train.checkpoint.every=1 steps")
    code, process = server.run("train", rig, *hot, "--run-dir", run)
    assert code == 9
    assert process.lines[-1].startswith("error: training diverged")
    assert "RuntimeWarning" not in process.err
    assert process.out == ""
    assert json.loads(server.must("runs", "show", run, "--json").out)["status"] == "diverged"
    verify(run)
    assert server.run("resume", run)[0] == 9
