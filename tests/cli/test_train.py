"""`train` and `resume`: what they print, what a run directory holds, and that the same config gives the same bits."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
import yaml
from commandline import PACKAGE, Cli

SHORT = ("--set", "train.epochs=2")


def weights(run: Path) -> bytes:
    """The newest checkpoint of a run, which differs in no byte between two runs of one config."""
    return max((run / "checkpoints").glob("step-*.npz")).read_bytes()


def test_stdout_is_the_run_directory_and_stderr_ends_with_the_next_command(cli: Cli) -> None:
    cli.shipped("digits")
    ended = cli("train", "digits.yaml", *SHORT)
    (run,) = (cli.folder / "runs").iterdir()
    assert ended.out == f"runs/{run.name}\n"
    assert ended.lines[0].startswith("epoch 1/2  step 36  train.loss ")
    assert ended.lines[1].startswith("epoch 2/2  step 72  ")
    assert ended.lines[-1] == f"next   dlcli eval runs/{run.name}"
    assert any(line.startswith("best   val.accuracy 9") for line in ended.lines)
    assert not any("\r" in line or "\x1b" in line for line in ended.lines)


def test_json_has_the_documented_shape(cli: Cli) -> None:
    cli.shipped("digits")
    found = cli("train", "digits.yaml", *SHORT, "--json").json
    assert list(found) == ["run", "status", "epochs", "steps", "seconds", "best", "metrics"]
    assert (found["status"], found["epochs"], found["steps"]) == ("complete", 2, 72)
    assert list(found["best"]) == ["metric", "value", "step"]
    assert list(found["metrics"]) == ["train.loss", "train.accuracy", "val.loss", "val.accuracy"]
    assert 0.9 < found["metrics"]["val.accuracy"] <= 1
    assert cli("eval", found["run"], "--json").json["run"] == found["run"]
    assert cli("resume", "--json").json == found
    assert cli("train", "digits.yaml", *SHORT, "--resume", "--json").json == found
    assert len(list((cli.folder / "runs").iterdir())) == 1


def test_the_quick_start_is_quick_and_good(cli: Cli) -> None:
    cli.shipped("digits")
    found = cli("train", "digits.yaml", "--json", "--offline").json
    assert found["seconds"] < 10
    assert found["best"]["value"] >= 0.96


def test_run_directory(cli: Cli, digits: Path) -> None:
    run = cli.folder / digits
    names = {path.relative_to(run).as_posix() for path in run.rglob("*") if path.is_file()} - {".lock"}
    steps = {f"checkpoints/step-{step:09}.npz" for step in (72, 108, 144)}
    assert names == {"config.yaml", "run.json", "metrics.jsonl", "summary.json", "checkpoints/best.npz"} | steps
    facts = json.loads((run / "run.json").read_text())
    assert facts["status"] == "complete"
    assert facts["command"][1:] == ["train", "digits.yaml"]
    assert facts["blas_threads"] == 1
    recorded = "start end seconds numpy blas threads cpu packages git_commit data code samples_per_second peak_memory"
    assert set(recorded.split()) <= facts.keys()
    rows = [json.loads(line) for line in (run / "metrics.jsonl").read_text().splitlines()]
    assert [(row["epoch"], row["step"]) for row in rows] == [(1, 36), (2, 72), (3, 108), (4, 144)]
    flat = {"epoch", "step", "lr", "train.loss", "train.accuracy", "val.loss", "val.accuracy", "seconds"}
    assert all(flat <= row.keys() for row in rows)
    assert facts["config_sha256"].startswith(run.name.rpartition("-")[2])


def test_the_same_config_again_gives_the_same_bits_and_says_so(cli: Cli, digits: Path) -> None:
    again = cli("train", "digits.yaml", "--threads", "1")
    assert again.out == f"{digits}-2\n"
    assert again.lines[0] == f"same config as {digits}: will give the same bits; --resume shows its result"
    assert weights(cli.folder / f"{digits}-2") == weights(cli.folder / digits)
    # What a run resolved is a config of the same run, by its directory and by its file.
    assert cli("train", digits).out == f"{digits}-3\n"
    assert cli("train", digits / "config.yaml", "--threads", "4").out == f"{digits}-4\n"
    assert weights(cli.folder / f"{digits}-4") == weights(cli.folder / digits)


@pytest.mark.parametrize("stop", [("--max-steps", "50"), ("--max-time", "1 s", "--set", "train.epochs=2000")])
def test_stopping_early_is_a_success_with_a_checkpoint(cli: Cli, stop: tuple[str, ...]) -> None:
    cli.shipped("digits")
    ended = cli("train", "digits.yaml", *stop, "--json")
    run = cli.folder / ended.json["run"]
    assert ended.json["status"] == "stopped"
    assert not (run / "summary.json").exists()
    step = ended.json["steps"]
    total = 36 * (2000 if "--set" in stop else 20)
    assert (run / f"checkpoints/step-{step:09}.npz").exists()
    assert ended.lines[-1] == (
        f"stopped at step {step} of {total}, saved; continue with: dlcli resume {ended.json['run']}"
    )


def test_resume_takes_the_newest_run_names_it_and_ends_as_if_never_stopped(cli: Cli, digits: Path) -> None:
    stopped = cli.train("digits.yaml", "--max-steps", "50", "--run-dir", "elsewhere/mine")
    assert stopped == cli.folder / "elsewhere/mine"
    assert cli("train", "digits.yaml", "--run-dir", "elsewhere/mine", code=7).out == ""
    resumed = cli("resume", "--runs", "elsewhere")
    assert resumed.lines[:2] == ["run: elsewhere/mine", "elsewhere/mine: continues from step 50 of 144"]
    assert resumed.out == "elsewhere/mine\n"
    assert weights(stopped) == weights(cli.folder / digits)
    assert cli("resume", "elsewhere/mine").lines[0] == "already complete: elsewhere/mine"


def test_train_with_resume_starts_continues_or_shows(cli: Cli) -> None:
    cli.shipped("digits")
    line = ("train", "digits.yaml", *SHORT, "--resume")
    run = cli(*line, "--max-steps", "10").out
    assert cli(*line).out == run
    shown = cli(*line)
    assert shown.out == run
    assert shown.lines[0] == f"already complete: {run.strip()}"
    assert len(list((cli.folder / "runs").iterdir())) == 1


def test_names_and_parents_of_runs(cli: Cli) -> None:
    cli.shipped("digits")
    few = ("--max-steps", "1")
    assert cli("train", "digits.yaml", *few, "--name", "first").out.startswith("runs/first-")
    assert cli("train", "digits.yaml", *few, "--runs", "a/b").out.startswith("a/b/digits-")
    assert cli("train", "digits.yaml", *few, env={"DLCLI_RUNS": "c"}).out.startswith("c/digits-")
    config = yaml.safe_load(next(cli.folder.glob("runs/first-*/config.yaml")).read_text())
    assert config["name"] == "first"


def test_a_shell_can_pass_the_run_on_and_sweep(cli: Cli) -> None:
    cli.shipped("linear_regression")
    script = 'run=$(dlcli train linear_regression.yaml 2>/dev/null) && dlcli eval "$run" 2>/dev/null'
    assert "learned" in cli.shell(script).out
    sweep = "for lr in 0.01 0.1; do dlcli train linear_regression.yaml --set optimizer.lr=$lr --resume; done"
    runs = cli.shell(sweep).out.splitlines()
    assert len(set(runs)) == 2
    assert cli.shell(sweep).out.splitlines() == runs


def test_a_config_from_standard_input(cli: Cli) -> None:
    text = (PACKAGE / "configs" / "linear_regression.yaml").read_text()
    run = cli.real("train", "-", "--name", "piped", "--set", "train.epochs=1", stdin=text).out
    assert run.startswith("runs/piped-")
    assert cli.real("check", "-", code=3, stdin="model: [").err.startswith("error: stdin:1:")


DIVERGES = ("--set", "optimizer.lr=1e9", "--set", "data.normalize=none")


def test_divergence_is_exit_9_before_the_weights_are_touched(cli: Cli) -> None:
    cli.shipped("linear_regression")
    ended = cli("train", "linear_regression.yaml", *DIVERGES, code=9)
    assert ended.out == ""
    (run,) = (cli.folder / "runs").iterdir()
    assert json.loads((run / "run.json").read_text())["status"] == "diverged"
    assert not (run / "summary.json").exists()


def test_early_stopping_is_told_and_the_best_is_kept(cli: Cli) -> None:
    cli.shipped("digits")
    options = ("--set", "train.epochs=60", "--set", "train.early_stopping={patience: 2 epochs}")
    ended = cli("train", "digits.yaml", *options)
    run = cli.folder / ended.out.strip()
    summary = json.loads((run / "summary.json").read_text())
    assert summary["epochs"] < 60
    assert f"stopped early after epoch {summary['epochs']}: val.accuracy no longer improves" in ended.lines
    best = cli("eval", run, "--json").json
    assert best["metrics"]["accuracy"] == summary["best"]["value"]


def test_large_targets_are_warned_about(cli: Cli) -> None:
    rows = "\n".join(f"{i},{300_000 + 1000 * i}" for i in range(60))
    (cli.folder / "houses.csv").write_text(f"size,price\n{rows}\n", encoding="utf-8")
    text = (
        "{data: {dataset: {Csv: {path: houses.csv, target: price}}}, model: [{Linear: {out_features: 1}}], "
        "loss: MSELoss, optimizer: {SGD: {lr: 1.0e-9}}, train: {epochs: 1}}"
    )
    (cli.folder / "houses.yaml").write_text(text, encoding="utf-8")
    ended = cli("train", "houses.yaml")
    assert ended.lines[0].startswith("warning: the targets have mean 3.309e+05")
    assert "scale the target column" in ended.lines[0]
