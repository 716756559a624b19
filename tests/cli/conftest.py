"""What the tests of commands share: a way to run command lines, and one trained run."""

from __future__ import annotations

import shutil
from collections.abc import Iterator
from pathlib import Path

import pytest
from commandline import Cli
from reliability.processes import Server


@pytest.fixture(scope="session")
def command_server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    logs = tmp_path_factory.mktemp("logs")
    server = Server(logs, logs)
    yield server
    server.close()


@pytest.fixture
def cli(command_server: Server, tmp_path: Path) -> Cli:
    """Runs commands in an empty folder."""
    return Cli(command_server, tmp_path)


@pytest.fixture(scope="session")
def trained_once(command_server: Server, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with `digits.yaml` and its complete run of four epochs, for `digits` to copy."""
    cli = Cli(command_server, tmp_path_factory.mktemp("trained"))
    cli.shipped("digits", ("epochs: 20", "epochs: 4"))
    cli.train("digits.yaml")
    return cli.folder


@pytest.fixture
def digits(cli: Cli, trained_once: Path) -> Path:
    """The complete run of `digits.yaml`, in the test's own folder."""
    shutil.copytree(trained_once, cli.folder, dirs_exist_ok=True)
    (run,) = (cli.folder / "runs").iterdir()
    return run.relative_to(cli.folder)
