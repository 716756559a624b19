"""Losses against PyTorch, on random shapes and options."""

from __future__ import annotations

from types import ModuleType
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from registered import build, names

from dlcli.core.options import options
from dlcli.nn.loss import Loss, losses

pytestmark = [pytest.mark.torch, pytest.mark.filterwarnings("ignore:reduction. 'mean' divides")]
few = settings(max_examples=25, deadline=None, derandomize=True, database=None)

ABSENT = {"FocalLoss", "LogCoshLoss"}
"""What PyTorch has not; compared with their formulas beside the other losses."""


def factors(n: int) -> Any:
    """A factor for each of n classes, not all 0."""
    return st.lists(st.sampled_from([0.0, 0.5, 1.0, 3.0]), min_size=n, max_size=n).filter(any)


CHOICES: dict[str, Any] = {
    "reduction": lambda name, k: st.sampled_from(["mean", "sum", *["batchmean"] * (name == "KLDivLoss")]),
    "weight": lambda name, k: st.none() | factors(k),
    "pos_weight": lambda name, k: st.none() | st.floats(0, 5) | factors(k),
    "label_smoothing": lambda name, k: st.sampled_from([0.0, 0.1, 1.0]) | st.floats(0, 1),
    "delta": lambda name, k: st.floats(0.05, 3),
    "beta": lambda name, k: st.just(0.0) | st.floats(0.05, 3),
    "margin": lambda name, k: st.floats(-1, 3),
    "p": lambda name, k: st.sampled_from([1, 2]),
    "eps": lambda name, k: st.floats(1e-9, 0.1),
    "log_input": lambda name, k: st.booleans(),
    "log_target": lambda name, k: st.booleans(),
    "full": lambda name, k: st.booleans(),
}
"""The values of every option, for a loss of that name on k outputs."""


@st.composite
def varied(draw: Any, name: str) -> tuple[dict[str, Any], int]:
    """Options of a loss, and the number of outputs."""
    k = draw(st.integers(2 if losses.get(name).task == "classification" else 1, 6))
    found = {o.name: draw(CHOICES[o.name](name, k)) for o in options(losses.get(name), Loss)}
    return {option: value for option, value in found.items() if value is not None or draw(st.booleans())}, k


def compare(
    torch: ModuleType,
    name: str,
    chosen: dict[str, Any],
    y_pred: Any,
    y_true: Any,
    theirs: Any = None,
    rtol: float = 1e-10,
) -> None:
    """The value and gradient of a loss beside PyTorch's, whose targets are `theirs` if they are not the same."""
    loss = build("losses", name, chosen)
    tensors = {o: torch.tensor(v, dtype=torch.float64) if "weight" in o and v else v for o, v in chosen.items()}
    tensors.setdefault("reduction", loss.reduction)
    predicted = torch.tensor(y_pred, requires_grad=True)
    value = getattr(torch.nn, name)(**tensors)(predicted, torch.tensor(y_true if theirs is None else theirs))
    value.backward()
    weighed = bool(torch.isfinite(value))
    assert weighed or loss.count(y_true) == 0  # where PyTorch divides 0 by 0
    got = loss.forward(y_pred, y_true)
    assert got == pytest.approx(float(value.detach()), rel=1e-12, abs=1e-13) if weighed else np.isfinite(got)
    if weighed:
        np.testing.assert_allclose(loss.backward(), predicted.grad.numpy(), rtol=rtol, atol=1e-12)


@pytest.mark.parametrize("name", names("losses"))
def test_losses(torch: ModuleType, name: str) -> None:
    assert hasattr(torch.nn, name) == (name not in ABSENT)
    if name in ABSENT:
        return

    @few
    @given(case=varied(name), n=st.integers(1, 6), seed=st.integers(0, 99))
    def check(case: Any, n: int, seed: int) -> None:
        chosen, k = case
        y_pred, y_true = build("losses", name, chosen).draw(np.random.default_rng(seed), (n, k))
        compare(torch, name, chosen, y_pred, y_true)

    check()


@pytest.mark.parametrize("name", [name for name in names("losses") if losses.get(name).one_hot and name not in ABSENT])
def test_classes_as_one_hot_targets(torch: ModuleType, name: str) -> None:
    @few
    @given(case=varied(name), n=st.integers(1, 6), seed=st.integers(0, 99))
    def check(case: Any, n: int, seed: int) -> None:
        chosen, k = case
        chosen.pop("log_target", None)  # whose one-hot rows would hold log(0)
        k = k if k > 1 or losses.get(name).binary else 2
        rng = np.random.default_rng(seed)
        y_pred, targets = build("losses", name, chosen).draw(rng, (n, k))[0], rng.integers(max(k, 2), size=n)
        rows = np.eye(k)[targets] if k > 1 else targets[:, None].astype(float)
        compare(torch, name, chosen, y_pred, targets, rows)

    check()


@pytest.mark.parametrize("size", [1e2, 1e4])
@pytest.mark.parametrize("name", ["BCEWithLogitsLoss", "CrossEntropyLoss", "MultiMarginLoss", "SmoothL1Loss"])
def test_large_outputs(torch: ModuleType, name: str, size: float) -> None:
    rng = np.random.default_rng(0)
    y_pred, y_true = losses.get(name)().draw(rng, (20, 4))
    compare(torch, name, {}, y_pred * size, y_true)


def test_probabilities_of_0_and_1(torch: ModuleType) -> None:
    p, t = np.array([[0.0, 1.0, 0.0, 1.0, 1e-60, 1e-13]]), np.array([[0.0, 1.0, 1.0, 0.0, 1.0, 1.0]])
    compare(torch, "BCELoss", {}, p, t, rtol=1e-8)  # PyTorch divides by at least 1e-12 as float32 has it
