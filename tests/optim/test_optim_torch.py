"""Optimizers and schedules against PyTorch, in float64."""

from __future__ import annotations

import dataclasses
import json
import math
from collections.abc import Iterator
from types import ModuleType
from typing import Any

import numpy as np
import pytest
from hypothesis import assume, given, settings
from hypothesis import strategies as st
from registered import build, names, rows

from dlcli.core.arena import Arena, Parameter
from dlcli.core.options import Length
from dlcli.optim.optimizer import optimizers
from dlcli.optim.schedule import Span

pytestmark = pytest.mark.torch
few = settings(max_examples=15, deadline=None, derandomize=True, database=None)

unit = st.floats(0.0, 0.95)
small = st.floats(1e-10, 1e-2)
side = st.integers(1, 7)
VARIED: dict[str, Any] = {
    "SGD": st.one_of(
        st.fixed_dictionaries({"momentum": unit, "dampening": unit, "weight_decay": unit}),
        st.fixed_dictionaries({"momentum": st.floats(0.1, 0.95), "weight_decay": unit, "nesterov": st.just(True)}),
    ),
    "Adam": st.fixed_dictionaries({"betas": st.tuples(unit, unit).map(list), "eps": small, "weight_decay": unit}),
}
VARIED |= dict.fromkeys(("AdamW", "Adamax", "RAdam"), VARIED["Adam"])
VARIED["NAdam"] = st.builds(lambda rest, decay: {**rest, "momentum_decay": decay}, VARIED["Adam"], unit)
VARIED["RMSprop"] = st.one_of(
    st.fixed_dictionaries({"alpha": unit, "momentum": unit, "eps": small, "weight_decay": unit}),
    st.fixed_dictionaries({"alpha": st.floats(0.5, 0.95), "momentum": unit, "eps": small, "centered": st.just(True)}),
)
VARIED["Adagrad"] = st.fixed_dictionaries({"lr_decay": unit, "eps": small, "weight_decay": unit})
VARIED["Adadelta"] = st.fixed_dictionaries({"rho": unit, "eps": small, "weight_decay": unit})
VARIED["Muon"] = st.fixed_dictionaries(
    {
        "momentum": unit,
        "nesterov": st.booleans(),
        "weight_decay": unit,
        "ns_steps": st.integers(1, 6),
        "eps": small,
        "adjust_lr_fn": st.sampled_from([None, "original", "match_rms_adamw"]),
        "ns_coefficients": st.sampled_from([[3.4445, -4.775, 2.0315], [2.0, -1.5, 0.5], [1.5, -0.5, 0.0]]),
    }
)
"""Other options than those of the examples."""


def torch_optimizers(torch: ModuleType, name: str, params: dict[str, Any], chosen: dict[str, Any]) -> list[Any]:
    """The weight decayed and the bias not; PyTorch's Muon takes no bias, which then is AdamW's."""
    cls = getattr(torch.optim, name)
    if name != "Muon":
        groups = [{"params": [params["weight"]]}, {"params": [params["bias"]], "weight_decay": 0.0}]
        return [cls(groups, **chosen)]
    betas = tuple(chosen.pop("betas", (0.9, 0.999)))
    muon = cls([params["weight"]], **chosen)
    others = {"lr": chosen["lr"], "eps": chosen.get("eps", muon.defaults["eps"]), "weight_decay": 0.0}
    return [muon, torch.optim.AdamW([params["bias"]], betas=betas, **others)]


@pytest.fixture(autouse=True)
def double(torch: ModuleType, monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """PyTorch in float64 throughout: NAdam's product of momenta has its default type, Muon's matrices are bfloat16."""
    monkeypatch.setattr(torch.Tensor, "bfloat16", torch.Tensor.clone)
    before = torch.get_default_dtype()
    torch.set_default_dtype(torch.float64)
    yield
    torch.set_default_dtype(before)


def compare_steps(
    torch: ModuleType, name: str, chosen: dict[str, Any], seed: int = 0, shape: tuple[int, int] = (4, 3)
) -> None:
    """Twenty steps on given gradients, of `step` and of `textbook`."""
    rng = np.random.default_rng(seed)
    arena = Arena([Parameter("weight", shape), Parameter("bias", shape[:1], decay=0.0)], np.float64)
    arena.values[:] = rng.normal(size=arena.values.shape)
    ours = build("optimizers", name, chosen)
    ours.bind(arena)
    textbook = {key: value.copy() for key, value in arena.params.items()}
    states = {key: {slot: np.zeros_like(w) for slot in ours.slots} for key, w in textbook.items()}
    theirs = {key: torch.tensor(value.copy(), requires_grad=True) for key, value in arena.params.items()}
    optimizers = torch_optimizers(torch, name, theirs, {"lr": ours.lr, **chosen})
    for t in range(1, 21):
        for key, tensor in theirs.items():
            gradient = rng.normal(size=tuple(tensor.shape))
            arena.gradients[key] = gradient
            tensor.grad = torch.tensor(gradient)
            decay = float(key == "weight")
            textbook[key] = ours.textbook(textbook[key], gradient, states[key], ours.lr, decay, t)
        ours.step(ours.lr)
        for optimizer in optimizers:
            optimizer.step()
    for key, tensor in theirs.items():
        for got in (arena.params[key], textbook[key]):
            np.testing.assert_allclose(got, tensor.detach().numpy(), rtol=1e-10, atol=1e-13)


@pytest.mark.parametrize(("name", "example"), rows("optimizers"))
def test_twenty_steps(torch: ModuleType, name: str, example: Any) -> None:
    if not hasattr(torch.optim, name):
        pytest.skip(f"PyTorch has no {name}")
    compare_steps(torch, name, example.options)


def test_every_optimizer_that_pytorch_has_is_compared(torch: ModuleType) -> None:
    assert {name for name in names("optimizers") if hasattr(torch.optim, name)} == set(VARIED)


@pytest.mark.parametrize("name", VARIED)
def test_twenty_steps_with_other_options(torch: ModuleType, name: str) -> None:
    @few
    @given(chosen=VARIED[name], lr=st.floats(1e-4, 0.2), seed=st.integers(0, 99), shape=st.tuples(side, side))
    def compare(chosen: dict[str, Any], lr: float, seed: int, shape: tuple[int, int]) -> None:
        # Adamax divides by |g| alone where beta2 is 0: near 0 the last digits decide where w goes
        assume(name != "Adamax" or chosen.get("betas", (0, 1))[1] > 0)
        compare_steps(torch, name, {"lr": lr, **chosen}, seed, shape)

    compare()


@pytest.mark.parametrize("name", VARIED)
def test_defaults_are_those_of_pytorch(torch: ModuleType, name: str) -> None:
    ours, cls = optimizers.get(name)(lr=0.1), getattr(torch.optim, name)
    theirs = cls([torch.zeros(1, 1)], lr=0.1).defaults
    for option in [field.name for field in dataclasses.fields(ours) if field.name in theirs]:
        assert getattr(ours, option) == theirs[option], option


MORE: list[tuple[str, dict[str, Any]]] = [
    ("OneCycleLR", {"anneal_strategy": "linear"}),
    ("OneCycleLR", {"anneal_strategy": "linear", "three_phase": True, "pct_start": 0.4}),
    ("OneCycleLR", {"pct_start": 0.07, "div_factor": 3.0, "final_div_factor": 50.0}),
    ("CosineAnnealingLR", {"eta_min": 0.01}),
    ("StepLR", {"step_size": "7 steps", "gamma": 0.9}),
    ("ConstantLR", {"factor": 0.25, "total_iters": "40 steps"}),
    ("ExponentialLR", {"gamma": 0.5, "decay_steps": "7 steps"}),
    ("ExponentialLR", {"gamma": 1.02, "decay_steps": "1 step"}),
    ("CyclicLR", {"base_lr": 0.02, "step_size_up": "7 steps", "step_size_down": "3 steps"}),
    ("CyclicLR", {"base_lr": 0.1}),
    ("CyclicLR", {"base_lr": 0.3, "step_size_up": "1 step", "mode": "triangular2"}),
    ("CyclicLR", {"base_lr": 0.5, "step_size_up": "5 steps", "step_size_down": "11 steps", "mode": "triangular2"}),
    ("CyclicLR", {"base_lr": 0.001, "step_size_up": "9 steps", "mode": "exp_range", "gamma": 0.95}),
]
CURVES = [(row.values[0], row.values[1].options) for row in rows("schedules")] + MORE


@pytest.mark.parametrize("steps", [30, 97])
@pytest.mark.parametrize(("name", "chosen"), CURVES, ids=str)
def test_whole_curves(torch: ModuleType, name: str, chosen: dict[str, Any], steps: int) -> None:
    if not hasattr(torch.optim.lr_scheduler, name) or name == "ReduceLROnPlateau":
        pytest.skip(f"PyTorch has no {name}, or one that is no function of the step")
    span = Span(0.3, steps, 10)
    schedule = build("schedules", name, {**chosen, "warmup": None})

    def plain(value: Any) -> Any:
        if isinstance(value, list):
            return [plain(v) for v in value]
        return span.length(value) if isinstance(value, Length) else value

    given_options = {k: plain(v) for k, v in vars(schedule).items()}
    del given_options["warmup"]
    for whole_run in ("T_max", "total_iters"):
        if given_options.get(whole_run, 0) is None:
            given_options[whole_run] = steps
    if name == "ExponentialLR":
        given_options["gamma"] **= 1 / given_options.pop("decay_steps")
    if name == "CyclicLR":
        given_options |= {"max_lr": span.lr, "cycle_momentum": False}
    if name == "OneCycleLR":
        given_options |= {"max_lr": span.lr, "total_steps": steps, "cycle_momentum": False}
    optimizer = torch.optim.SGD([torch.zeros(1, requires_grad=True)], lr=span.lr)
    theirs = getattr(torch.optim.lr_scheduler, name)(optimizer, **given_options)
    for step in range(steps):
        got, wanted = schedule.lr(step, span), optimizer.param_groups[0]["lr"]
        assert got == pytest.approx(wanted, rel=1e-12, abs=1e-15), f"step {step}"
        optimizer.step()
        if step < steps - 1:
            theirs.step()


@few
@given(
    chosen=st.fixed_dictionaries(
        {
            "factor": st.floats(0.1, 0.9),
            "patience": st.integers(0, 3),
            "threshold": st.sampled_from([0.0, 1e-4, 0.1, 0.5]),
            "threshold_mode": st.sampled_from(["rel", "abs"]),
            "cooldown": st.integers(0, 3),
            "min_lr": st.sampled_from([0.0, 0.01, 0.5]),
            "eps": st.sampled_from([0.0, 1e-8, 0.05]),
        }
    ),
    better=st.sampled_from(["min", "max"]),
    figures=st.lists(st.sampled_from([-1.0, -0.5, 0.0, 0.1, 0.5, 0.50001, 0.9, 1.0, math.nan]), max_size=40),
    saved_after=st.integers(0, 40),
)
def test_plateaus(torch: ModuleType, chosen: Any, better: str, figures: list[float], saved_after: int) -> None:
    """The same rates to the bit, the state saved and restored on the way."""
    ours, span = build("schedules", "ReduceLROnPlateau", chosen), Span(0.3, 1000, 10)
    optimizer = torch.optim.SGD([torch.zeros(1, requires_grad=True)], lr=span.lr)
    theirs = torch.optim.lr_scheduler.ReduceLROnPlateau(optimizer, mode=better, **chosen)
    for epoch, figure in enumerate(figures):
        if epoch == saved_after:
            saved = json.loads(json.dumps(ours.to_json()))
            ours = build("schedules", "ReduceLROnPlateau", chosen)
            ours.restore(saved)
        ours.observe(figure, better)
        theirs.step(figure)
        assert ours.lr(10 * epoch, span) == optimizer.param_groups[0]["lr"], f"epoch {epoch}"
