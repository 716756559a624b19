"""Neural networks in plain NumPy: described in YAML for the command line, or put together in Python from this module.

Every name is loaded when it is first asked for, so that `import dlcli` loads no NumPy.
"""

from __future__ import annotations

from functools import cache
from importlib import import_module
from typing import Any

__version__ = "0.1.0"

_HOMES = {
    "Augmentation": "dlcli.data.augment.augmentation",
    "Constraint": "dlcli.nn.constraints",
    "Dataset": "dlcli.data.dataset",
    "Initializer": "dlcli.nn.initializers",
    "Layer": "dlcli.nn.layer",
    "Loss": "dlcli.nn.loss",
    "Metric": "dlcli.training.metrics",
    "Network": "dlcli.nn.network",
    "Optimizer": "dlcli.optim.optimizer",
    "Schedule": "dlcli.optim.schedule",
    "TwoLayerMLP": "dlcli.nn.mlp",
    "example": "dlcli.core.options",
    "gradient_check": "dlcli.nn.gradcheck",
    "gradient_check_weights": "dlcli.nn.gradcheck",
    "load_mnist": "dlcli.data.mnist",
    "manual_seed": "dlcli.nn.standalone",
}
"""The module of every name that is neither a registry nor a component."""

_REGISTRIES = {
    "layers": "dlcli.nn.layers",
    "losses": "dlcli.nn.losses",
    "initializers": "dlcli.nn.initializers",
    "constraints": "dlcli.nn.constraints",
    "optimizers": "dlcli.optim",
    "schedules": "dlcli.optim",
    "metrics": "dlcli.training.metrics",
    "datasets": "dlcli.data",
    "augmentations": "dlcli.data",
}
"""The module that registers all built-in components of a kind, by the name of the kind's registry."""

_EXPORTED = ("layers", "losses", "initializers", "constraints", "optimizers", "schedules")
"""The kinds whose classes are names of this module too."""


@cache
def _components() -> dict[str, Any]:
    """The registries and the built-in classes by name; a component that a user registers later is not among them."""
    from dlcli.core.registry import Registry

    for module in _REGISTRIES.values():
        import_module(module)
    entries = [entry for kind in _EXPORTED for entry in Registry.all[kind].entries() if entry.origin is None]
    return {kind: Registry.all[kind] for kind in _REGISTRIES} | {e.cls.__name__: e.cls for e in entries}


def __getattr__(name: str) -> Any:
    if name in _HOMES:
        return getattr(import_module(_HOMES[name]), name)
    if name == "__all__":
        return __dir__()
    # Only a name that can be a component loads them: `from dlcli import cli` asks here too before it finds the package.
    if (name in _REGISTRIES or name[0].isupper()) and name in _components():
        return _components()[name]
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")


def __dir__() -> list[str]:
    return sorted(["__version__", *_HOMES, *_components()])
