"""Metrics against PyTorch's functions."""

from __future__ import annotations

from types import ModuleType

import numpy as np
import pytest

from dlcli.training.metrics import metrics

pytestmark = pytest.mark.torch


def test_metrics(torch: ModuleType) -> None:
    rng = np.random.default_rng(0)
    outputs, classes, values = rng.normal(size=(60, 5)), rng.integers(0, 5, 60), rng.normal(size=(60, 5))
    o, c, v = (torch.tensor(a) for a in (outputs, classes, values))
    functional = torch.nn.functional
    wanted = {
        "accuracy": (classes, (o.argmax(1) == c).double().mean()),
        "mse": (values, functional.mse_loss(o, v)),
        "mae": (values, functional.l1_loss(o, v)),
        "r2": (values, (1 - ((o - v) ** 2).sum(0) / ((v - v.mean(0)) ** 2).sum(0)).mean()),
    }
    for name, (targets, value) in wanted.items():
        metric = metrics.get(name)()
        assert metric.value(metric.sums(outputs, targets)) == pytest.approx(float(value), rel=1e-12), name
