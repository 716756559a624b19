"""The README: its config, its sweep, its layer, its error messages and its tables are true as typed."""

from __future__ import annotations

import json
import re
from pathlib import Path

from snippets import snippets

from dlcli.core.errors import EXIT_CODES

PAGE = (Path(__file__).parents[2] / "README.md").read_text(encoding="utf-8")
BLOCKS = snippets(PAGE)


def block(language: str, containing: str) -> str:
    """The one block of that language with that text."""
    (found,) = [b.code for b in BLOCKS if b.language == language and containing in b.code]
    return found


def test_it_opens_with_the_two_commands():
    first, second = [b.code for b in BLOCKS if b.language == "console"][:2]
    assert first.endswith("dlcli train configs/digits.yaml\n")
    assert second.endswith("pytest -q -n auto\n")


def test_the_config_is_sound(shell):
    Path("example.yaml").write_text(block("yaml", "name: example"), encoding="utf-8")
    done = shell("dlcli check example.yaml")
    assert (done.returncode, done.stdout.split(":")[0]) == (0, "ok"), done.stderr
    assert "warning" not in done.stderr


def test_the_broken_config_gets_the_errors_shown(shell):
    Path("broken.yaml").write_text(block("yaml", "batchsize"), encoding="utf-8")
    shown = block("console", "dlcli check broken.yaml")
    command, *lines = shown.removeprefix("$ ").splitlines()
    done = shell(command)
    assert done.returncode == 3
    assert done.stderr.splitlines() == lines


def test_the_sweep_works_as_typed_and_again(shell):
    sweep = block("bash", "xargs -P 2")
    done = shell(sweep)
    assert done.returncode == 0, done.stderr
    runs = sorted(path.name for path in Path("runs").iterdir())
    assert len(runs) == 7  # three rates and four seeds
    assert len([line for line in done.stdout.splitlines() if line.startswith("digits-")]) == 7
    again = shell(sweep)
    assert again.returncode == 0
    assert again.stderr.count("already complete") == 7
    assert sorted(path.name for path in Path("runs").iterdir()) == runs


def test_the_layer_is_graded_and_trains(shell):
    Path("scaled_tanh.py").write_text(block("python", "class ScaledTanh"), encoding="utf-8")
    for line in block("console", "--code scaled_tanh.py\ndlcli train").splitlines():
        done = shell(line)
        assert done.returncode == 0, done.stderr
    run = json.loads(shell("dlcli runs list --json").stdout)["runs"][0]
    assert run["status"] == "complete"
    assert run["best"]["value"] > 0.9


def test_the_exit_codes_are_the_ones_of_the_program():
    table = dict(re.findall(r"^\| (\d+) \| (.+) \|$", PAGE.partition("## Exit codes")[2], re.MULTILINE))
    assert {int(code): meaning for code, meaning in table.items()} == EXIT_CODES


def test_every_command_it_names_exists(shell):
    listed = re.findall(r"^  ([\w-]+)  ", shell("dlcli --help").stdout.partition("Commands:")[2], re.MULTILINE)
    named = set(re.findall(r"`dlcli ([a-z-]+)", PAGE)) | set(re.findall(r"^dlcli ([a-z-]+)", PAGE, re.MULTILINE))
    assert named
    assert named <= set(listed)
