"""The checks in the order in which causes come before effects, and the run through all of them."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np

from dlcli.config.doctor import diagnose
from dlcli.config.schema import Config
from dlcli.data.dataset import Access
from dlcli.experiment.assemble import build_network
from dlcli.experiment.data import load_data
from dlcli.experiment.sanity import activations, data, fitting, gradients, labels, progress, regularisation, start
from dlcli.experiment.sanity.bench import Bench
from dlcli.experiment.sanity.causes import GRADIENTS
from dlcli.experiment.sanity.finding import Finding, Report
from dlcli.experiment.trial import rehearse

BEFORE: dict[str, Callable[[Bench], Finding]] = {
    "inputs": data.inputs,
    "targets": data.targets,
    "initial loss": start.initial_loss,
    GRADIENTS: start.gradient_check,
    "activations": activations.first_activations,
    "symmetry": gradients.symmetry,
    "gradients": gradients.gradients,
}
"""What is checked of the untrained network and its data."""

TRAINED: dict[str, Callable[[Bench], Finding]] = {
    "overfit": fitting.overfit,
    "training": progress.training,
    "updates": progress.updates,
    "trained activations": activations.later_activations,
    "regularisation": regularisation.regularisation,
    "labels": labels.labels,
    "shuffled labels": labels.shuffled,
}
"""What is checked by short trainings."""


@np.errstate(all="ignore")
def examine(config: Config, access: Access, threads: int) -> Report:
    """Every check on a config and some of its training and held-out samples; nothing is written."""
    splits = load_data(config, access)
    diagnose(config, splits.info).check()
    rehearse(config, lambda: build_network(config, splits.info), *splits.train)
    bench = Bench(config, splits, threads)
    found = {}
    for name, check in BEFORE.items():
        found[name] = check(bench)
        if found[name].verdict == "failed":
            bench.faults.append(name)
    return Report(found | {name: check(bench) for name, check in TRAINED.items()})
