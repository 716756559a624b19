"""Losses against PyTorch, on random shapes and options."""

from __future__ import annotations

from types import ModuleType
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from registered import build, names

from dlcli.nn.loss import losses

pytestmark = pytest.mark.torch
few = settings(max_examples=15, deadline=None, derandomize=True, database=None)


@pytest.mark.parametrize("name", names("losses"))
def test_losses(torch: ModuleType, name: str) -> None:
    if not hasattr(torch.nn, name):
        pytest.skip(f"PyTorch has no {name}")

    @few
    @given(shown=st.sampled_from(losses.get(name).examples), n=st.integers(1, 6), seed=st.integers(0, 99))
    def compare(shown: Any, n: int, seed: int) -> None:
        rng = np.random.default_rng(seed)
        y_pred = 2 * rng.normal(size=(n, *shown.shape))
        of_classes = losses.get(name).task == "classification"
        y_true = rng.integers(0, shown.shape[0], n) if of_classes else rng.normal(size=(n, *shown.shape))
        loss = build("losses", name, shown.options)
        predicted = torch.tensor(y_pred, requires_grad=True)
        value = getattr(torch.nn, name)(**shown.options)(predicted, torch.tensor(y_true))
        value.backward()
        assert loss.forward(y_pred, y_true) == pytest.approx(float(value.detach()), rel=1e-12)
        np.testing.assert_allclose(loss.backward(), predicted.grad.numpy(), rtol=1e-10, atol=1e-12)

    compare()
