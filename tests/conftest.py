"""What all tests share: floating-point errors raise; what a machine lacks skips a test or, if required, fails it."""

from __future__ import annotations

import importlib.util
import os
import signal
from pathlib import Path
from types import ModuleType

for _variable in ("OPENBLAS_NUM_THREADS", "OMP_NUM_THREADS", "MKL_NUM_THREADS"):
    os.environ[_variable] = "1"  # before NumPy: threads of several test processes would wait for each other's cores

import numpy as np
import pytest

REQUIRED = set(filter(None, os.environ.get("DLCLI_TEST_REQUIRE", "").split(",")))
"""What must be there: `torch`, `mnist`, `seeds`. A test that would be skipped for want of it fails."""

FOLDERS = {"mnist": "DLCLI_TEST_MNIST", "seeds": "DLCLI_TEST_SEEDS"}
"""The environment variable that names each folder of test data."""


def pytest_configure() -> None:
    np.seterr(all="raise", under="ignore")
    signal.signal(signal.SIGHUP, signal.SIG_DFL)  # the processes under test inherit what nohup and & ignore
    signal.signal(signal.SIGINT, signal.default_int_handler)


def lacking(what: str) -> str | None:
    """Why a test that needs `torch` or a folder of data cannot run here; None where it can."""
    if what == "torch":
        return None if importlib.util.find_spec("torch") else "torch cannot be imported"
    return None if os.environ.get(FOLDERS[what]) else f"{FOLDERS[what]} is not set"


def need(what: str) -> None:
    """Skip where `what` is lacking, or fail where it is required."""
    if reason := lacking(what):
        (pytest.fail if what in REQUIRED else pytest.skip)(reason)


def pytest_runtest_setup(item: pytest.Item) -> None:
    for what in ("torch", "mnist"):
        if item.get_closest_marker(what):
            need(what)


@pytest.fixture(scope="session")
def torch() -> ModuleType:
    """PyTorch, imported only by the tests that compare with it."""
    need("torch")
    module = importlib.import_module("torch")
    module.set_num_threads(1)
    return module


@pytest.fixture(scope="session")
def mnist_folder() -> Path:
    """The folder with the four real MNIST files."""
    need("mnist")
    return Path(os.environ["DLCLI_TEST_MNIST"])


@pytest.fixture(scope="session")
def seeds_folder() -> Path:
    """The folder with the texts of the two tutorials that the project grew from."""
    need("seeds")
    return Path(os.environ["DLCLI_TEST_SEEDS"])
