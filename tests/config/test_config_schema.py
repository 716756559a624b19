"""Sections, components and options: what they give, what they refuse all in one go, and their limits."""

import pytest
from small_config import TEXT, edited, problems, small

from dlcli.config.load import parse_config
from dlcli.core.options import Length


@pytest.mark.parametrize(
    "name", ["__class__", "os.system", "Linear.__init__", "../Linear", "`id`", "{0}", "Linear\x1b"]
)
def test_only_registered_names_are_looked_up(name):
    (problem,) = problems(edited("- ReLU", f"- {name.encode('unicode_escape').decode()!r}"))
    assert problem.startswith("c.yaml:9:5: model.2: unknown layer '")


def test_the_whole_file_is_wrong():
    keys = "name, seed, dtype, data, model, loss, optimizer, schedule"
    assert problems("# nothing") == [
        "c.yaml: the config is empty, expected keys such as data, model, loss, optimizer and train"
    ]
    assert problems("a:1") == [
        f"c.yaml:1:1: got 'a:1' (string), expected a mapping with keys such as {keys}; put a space after ':'"
    ]
    assert problems("- 1") == [f"c.yaml:1:1: got [1], expected a mapping with keys such as {keys}"]
    assert [p.split(", ")[0] for p in problems("seed: 1")] == [
        f"c.yaml:1:1: missing '{key}'" for key in ("data", "model", "loss", "optimizer", "train")
    ]


def test_all_problems_at_once_in_the_order_of_lines():
    text = TEXT.replace("32", "x").replace("ReLU", "Relu").replace("0.1", "0").replace("epochs: 5", "epochs: 0")
    assert [p.split(": ")[:2] for p in problems(text)] == [
        ["c.yaml:4:15", "data.batch_size"],
        ["c.yaml:9:5", "model.2"],
        ["c.yaml:13:13", "optimizer.SGD.lr"],
        ["c.yaml:16:11", "train.epochs"],
    ]


def test_the_number_of_layers_is_limited():
    start, end = TEXT.split("  - ReLU\n")
    assert problems(start + "  - ReLU\n" * 998 + end) == [
        "c.yaml:7:3: model: got 1,001 entries, expected 1 to 1,000, each a layer"
    ]
    assert problems(TEXT.split("model:")[0] + "model: []\nloss:" + TEXT.split("loss:")[1]) == [
        "c.yaml:6:8: model: got 0 entries, expected 1 to 1,000, each a layer"
    ]


def test_defaults_and_types():
    config = small()
    assert config.name == "c"
    assert config.train.monitor == "val.loss"
    assert small("data.validation=0").train.monitor == "train.loss"
    assert config.train.checkpoint.every == Length(1, "epoch")
    assert config.model[1].options["in_features"] is None
    adam = small("optimizer={Adam: {lr: 1, betas: [0.5, 0]}}").optimizer
    assert adam.options["betas"] == (0.5, 0.0)
    assert type(adam.options["lr"]) is float
    assert type(adam.build()).__name__ == "Adam"


def test_nested_components_are_built():
    layer = small("model.1.init={weight: {normal: {std: 2}}, bias: zeros}").model[1].build()
    assert layer.init["weight"].std == 2.0
    assert type(layer.init["bias"]).__name__ == "Zeros"
    assert small("model.1.init=zeros").model[1].build().init is not None
    stack = small("model.2={Sequential: {layers: [ReLU, {Sequential: {layers: [Tanh]}}]}}").model[2]
    assert [c.name for c in stack.walk()] == ["Sequential", "ReLU", "Sequential", "Tanh"]
    assert type(stack.build().layers[1].layers[0]).__name__ == "Tanh"


@pytest.mark.parametrize(("file", "name"), [("my config.yaml", "my-config"), ("...yaml", "run"), ("ü.yaml", "run")])
def test_a_file_name_becomes_a_name(file, name):
    assert parse_config(TEXT, file).name == name
