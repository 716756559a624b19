"""Resolved configs: every default written out, the same config back, one hash, and what differs."""

import copy
import re

from hypothesis import given
from hypothesis import strategies as st
from small_config import TEXT, edited, small

from dlcli.config.load import parse_config
from dlcli.config.resolved import differences, flow, to_yaml
from dlcli.core.registry import Registry


def test_every_default_is_written_out():
    resolved = small().resolved()
    assert list(resolved) == [
        "name", "seed", "dtype", "data", "model", "loss", "optimizer", "schedule", "metrics", "train",
    ]  # fmt: skip
    assert resolved["optimizer"] == {
        "SGD": {"momentum": 0.0, "dampening": 0.0, "weight_decay": 0.0, "nesterov": False, "lr": 0.1}
    }
    assert resolved["train"]["checkpoint"] == {"every": "1 epoch", "keep": 3}
    assert resolved["model"][1]["Linear"]["bias"] is True


def test_the_text_is_pleasant():
    text = to_yaml(small("schedule={StepLR: {step_size: 2 epochs}}"))
    assert "\n  - Flatten\n  - Linear: {in_features: null, out_features: 16, bias: true}\n  - ReLU\n" in text
    assert "\nschedule: {StepLR: {step_size: 2 epochs, gamma: 0.1, warmup: null}}\n" in text
    assert "\n  normalize: standardize\n" in text


NESTED = """\
model:
  - Flatten
  - Residual: {body: [Tanh, ReLU], shortcut: []}
  - Repeat:
      times: 3
      layers:
        - Residual:
            body:
              - Linear: {in_features: null, out_features: 64, bias: true, trainable: false}
              - Tanh
            shortcut: []
            lr_mult: 0.5
  - Concat:
      branches:
        - - Linear: {in_features: null, out_features: 5, bias: true}
          - Sequential: {layers: [{Dropout: {p: 0.5}}]}
        - []
        - [Tanh, ReLU]
        - - Residual:
              body:
                - Linear: {in_features: null, out_features: 64, bias: false, lr_mult: 2.0}
              shortcut: []
"""


def test_layers_inside_layers_have_lines_of_their_own():
    text = edited(TEXT[TEXT.index("model:") : TEXT.index("loss:")], NESTED)
    config = parse_config(text, "c.yaml")
    written = to_yaml(config)
    assert written[written.index("model:") : written.index("loss:")] == NESTED
    assert parse_config(written, "c.yaml").sha256 == config.sha256
    repeat = config.resolved()["model"][2]["Repeat"]
    assert repeat["trainable"] is True
    assert repeat["layers"][0]["Residual"]["body"][1] == config.resolved()["model"][1]["Residual"]["body"][0]


def spec(plural):
    """Components of a kind as their examples give them."""
    return st.sampled_from(
        [{e.name: shown.options} for e in Registry.all[plural].entries() for shown in e.cls.examples]
    )


LENGTHS = st.builds(
    "{} {}".format, st.integers(1, 10**9) | st.floats(1e-6, 1e9).map("{:f}".format).filter(lambda t: float(t) > 0),
    st.sampled_from(["steps", "epochs", "%"]),
)  # fmt: skip
CONFIGS = st.fixed_dictionaries(
    {
        "seed": st.integers(0, 2**63 - 1),
        "data": st.fixed_dictionaries(
            {"dataset": spec("datasets"), "validation": st.integers(0, 10**6) | st.floats(0, 1, exclude_max=True)}
        ),
        "model": st.lists(spec("layers"), min_size=1, max_size=4),
        "loss": spec("losses"),
        "optimizer": st.floats(0, exclude_min=True, allow_infinity=False).map(lambda lr: {"Adam": {"lr": lr}}),
        "schedule": st.none() | spec("schedules"),
        "metrics": st.lists(spec("metrics"), max_size=2),
        "train": st.fixed_dictionaries(
            {"epochs": st.integers(1, 10**6)},
            optional={
                "early_stopping": st.fixed_dictionaries({"patience": LENGTHS}),
                "clip_grad_norm": st.floats(1e-300, 1e300),
                "monitor": st.text(st.characters(exclude_categories=["Cs"], exclude_characters="\0"), max_size=20),
            },
        ),
    }
)


@given(CONFIGS)
def test_loading_the_text_gives_the_same_config(tree):
    config = parse_config(flow(copy.deepcopy(tree)), "tree.yaml")
    again = parse_config(to_yaml(config), "other.yaml")
    assert again == config
    assert again.sha256 == config.sha256


def test_the_hash_is_of_what_is_meant_not_of_how_it_is_written():
    plain = small().sha256
    assert re.fullmatch("[0-9a-f]{64}", plain)
    assert parse_config("# a comment\n" + TEXT.replace("lr: 0.1", "lr: 1e-1, momentum: 0"), "c.yaml").sha256 == plain
    assert small("seed=4").sha256 != plain
    assert small("train.checkpoint.keep=4").sha256 != plain


def test_differences():
    a = small().resolved()
    assert differences(a, a) == []
    b = small("optimizer.lr=0.2", "train.epochs=6", "schedule=ConstantLR").resolved()
    assert differences(a, b) == [
        ("optimizer.SGD.lr", 0.1, 0.2),
        ("schedule", None, {"ConstantLR": {"factor": 1.0, "total_iters": None, "warmup": None}}),
        ("train.epochs", 5, 6),
    ]
    other = small("optimizer=Adam", "model=[Flatten]").resolved()
    assert [key for key, _, _ in differences(a, other)] == ["model", "optimizer"]
    assert differences({"x": 1}, {"x": True, "y": [0]}) == [("x", 1, True), ("y", None, [0])]
