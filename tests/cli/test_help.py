"""`--help` of every command, what stands alone, and what a wrong command line is told."""

from __future__ import annotations

import shlex
from collections.abc import Iterator
from typing import Any

import pytest
from commandline import Cli
from typer.main import get_command

from dlcli import __version__
from dlcli.cli.commands import app
from dlcli.core.errors import EXIT_CODES

ORDER = [
    "train",
    "eval",
    "predict",
    "gradcheck",
    "resume",
    "check",
    "sanity",
    "summary",
    "trace",
    "time",
    "lr-find",
    "list",
    "describe",
    "runs",
    "data",
    "config",
]
"""The commands in the order of use."""

LATER = ["plot", "report", "sweep", "export", "doctor"]
"""Commands that are not built: none may be named."""


def commands(command: Any, path: tuple[str, ...] = ()) -> Iterator[tuple[tuple[str, ...], Any]]:
    yield path, command
    for name, inner in getattr(command, "commands", {}).items():
        yield from commands(inner, (*path, name))


ALL = dict(commands(get_command(app)))


def test_help_lists_commands_in_order_of_use_and_the_exit_codes(cli: Cli) -> None:
    shown = cli("--help").out
    listed = shown.partition("Commands:\n")[2].partition("\n\n")[0].splitlines()
    assert [line.split()[0] for line in listed] == ORDER
    assert not any("..." in line for line in listed)
    for code, meaning in EXIT_CODES.items():
        assert f"{code:>3}  {meaning}\n" in shown
    assert not set(shown.split()) & set(LATER)
    assert cli().out == cli("-h").out == shown


@pytest.mark.parametrize("path", ALL, ids=" ".join)
def test_every_command_explains_itself_within_80_columns(cli: Cli, path: tuple[str, ...]) -> None:
    shown = cli(*path, "--help")
    assert shown.err == ""
    assert max(map(len, shown.out.splitlines())) <= 80
    assert "[[" not in shown.out
    words = " ".join(shown.out.split())
    for parameter in ALL[path].params:
        assert parameter.help, f"{parameter.name} has no help"
        assert parameter.help in words
        assert not parameter.help.endswith(" .")
        for option in parameter.opts:
            assert option in words or not option.startswith("-")


@pytest.mark.parametrize("group", ["runs", "data", "config"])
def test_a_group_alone_shows_its_help(cli: Cli, group: str) -> None:
    alone = cli(group)
    assert alone.out == cli(group, "--help").out
    assert alone.err == ""


def test_version(cli: Cli) -> None:
    assert cli("--version").out == f"dlcli {__version__}\n"


WRONG = {
    "trian c.yaml": "unknown command 'trian'; did you mean 'train'?",
    "runs lst": "unknown command 'lst'; did you mean 'list'?",
    "train": "dlcli train: missing argument CONFIG; see 'dlcli train --help'",
    "eval --splitt val": "unknown option '--splitt'; did you mean '--split'?",
    "train c.yaml --jsn": "unknown option '--jsn'; did you mean '--json'?",
    "list layrs": "no kind of component is called 'layrs'; did you mean 'layers'?",
    "describe Lineer": "no component is called 'Lineer'; did you mean 'Linear'?",
    "data show mnst": "no data set 'mnst'; did you mean 'mnist'?",
    "config new digts": "no shipped config is called 'digts'; did you mean 'digits'?",
    "train c.yaml --name a/b": "--name: got 'a/b', expected 1 to 100 of A-Z a-z 0-9 . _ - with a letter or digit first",
    "train c.yaml --name=-x": "--name: got '-x', expected 1 to 100 of A-Z a-z 0-9 . _ - with a letter or digit first",
    "train c.yaml --run-dir a --runs b": "--run-dir and --runs exclude each other; give one of them",
    "gradcheck --input 3": "--input goes with --layer or --loss",
}


@pytest.mark.parametrize("line", WRONG)
def test_a_wrong_command_line_is_told_in_one_line(cli: Cli, line: str) -> None:
    ended = cli(*line.split(), code=2)
    assert ended.out == ""
    assert ended.err == f"error: {WRONG[line]}\n"
    assert not list(cli.folder.iterdir())


def test_the_next_command_works_as_pasted(cli: Cli) -> None:
    cli.shipped("digits")
    line = ["check", "digits.yaml", "--set", "train.epochs=1", "--set", "optimizer={SGD: {lr: 0.05}}"]
    seen: list[list[str]] = []
    while line not in seen:
        seen.append(line)
        line = shlex.split(cli(*line).lines[-1].partition("   (")[0])[2:]
    assert [command for command, *_ in seen] == ["check", "train", "eval", "eval", "runs", "runs"]
    for start in (("list",), ("describe", "Linear"), ("data", "list"), ("config", "show", "digits.yaml")):
        last = cli(*start).lines[-1]
        assert last.startswith("next   dlcli ")
        if "digits.yaml" not in last:
            cli(*shlex.split(last)[2:])
