"""The names of the package `dlcli`: all there, the same objects as in their rooms, and free until asked for."""

from __future__ import annotations

import subprocess
import sys

import pytest

import dlcli
from dlcli.core.registry import Registry

PROMISED = [
    *(
        "Adam",
        "AdamW",
        "Augmentation",
        "augmentations",
        "CrossEntropyLoss",
        "Dropout",
        "Flatten",
        "HuberLoss",
        "Layer",
        "LeakyReLU",
        "Linear",
        "Loss",
    ),
    *("MSELoss", "Network", "Optimizer", "ReLU", "SGD", "SGDMomentum", "Sigmoid", "Softmax", "Tanh", "TwoLayerMLP"),
    *("datasets", "example", "gradient_check", "gradient_check_weights", "initializers", "layers", "load_mnist"),
    *("losses", "manual_seed", "metrics", "optimizers", "schedules"),
]


@pytest.mark.parametrize("name", PROMISED)
def test_promised_name_is_exported(name):
    assert getattr(dlcli, name) is not None
    assert name in dir(dlcli)
    assert name in dlcli.__all__


def test_every_listed_name_can_be_had():
    assert [name for name in dir(dlcli) if not hasattr(dlcli, name)] == []


@pytest.mark.parametrize("kind", ["layers", "losses", "optimizers", "schedules", "initializers", "constraints"])
def test_built_in_components_are_the_registered_ones(kind):
    entries = [e for e in Registry.all[kind].entries() if e.origin is None]
    assert entries
    for entry in entries:
        assert getattr(dlcli, entry.cls.__name__) is entry.cls
    assert getattr(dlcli, kind) is Registry.all[kind]


def test_unknown_name_is_an_attribute_error():
    with pytest.raises(AttributeError, match="module 'dlcli' has no attribute 'Lienar'"):
        dlcli.Lienar  # noqa: B018
    with pytest.raises(ImportError):
        from dlcli import no_such_thing  # noqa: F401


@pytest.mark.parametrize("statement", ["import dlcli", "import dlcli; dlcli.__version__", "from dlcli import core"])
def test_import_alone_loads_no_numpy(statement):
    code = f"import sys; {statement}; sys.exit('numpy' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", code], timeout=60).returncode == 0
