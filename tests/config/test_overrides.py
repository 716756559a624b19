"""`--set KEY=VALUE`: every way to write a path, and what a wrong one is told."""

import pytest
from small_config import TEXT, small

from dlcli.config.load import parse_config
from dlcli.core.errors import ConfigError, UsageError
from dlcli.core.options import Length


def test_a_component_name_may_be_left_out():
    for key in ("optimizer.lr", "optimizer.SGD.lr"):
        assert small(f"{key}=0.5").optimizer.options["lr"] == 0.5
    for key in ("model.1.out_features", "model.1.Linear.out_features"):
        assert small(f"{key}=7").model[1].options["out_features"] == 7
    for key in ("model.1.init.std", "model.1.Linear.init.normal.std", "model.1.init.normal.std"):
        assert small("model.1.init=normal", f"{key}=2").model[1].options["init"].options["std"] == 2.0


def test_values_that_the_file_leaves_out():
    config = small(
        "model.2.name=middle",
        "train.early_stopping.patience=2 epochs",
        "train.checkpoint.keep=9",
        "schedule=StepLR",
        "schedule.step_size=2 epochs",
        "optimizer=Adam",
        "optimizer.lr=5e-4",
    )
    assert config.model[2].options["name"] == "middle"
    assert config.train.early_stopping.patience == Length(2, "epoch")
    assert config.train.checkpoint.keep == 9
    assert config.schedule.options["step_size"] == Length(2, "epoch")
    assert (config.optimizer.name, config.optimizer.options["lr"]) == ("Adam", 5e-4)
    assert small("schedule=ConstantLR", "schedule=null").schedule is None
    assert small("data.dataset=xor").data.dataset.name == "xor"
    assert small("metrics=[]").metrics == []


def test_the_last_one_holds():
    assert small("train.epochs=2", "train.epochs=3").train.epochs == 3


MESSAGES = [
    ("lr=1", "--set lr=1: unknown key 'lr'; did you mean 'optimizer.lr'?"),
    ("epochs=1", "--set epochs=1: unknown key 'epochs'; did you mean 'train.epochs'?"),
    ("optimiser.lr=1", "--set optimiser.lr=1: unknown key 'optimiser.lr'; did you mean 'optimizer.lr'?"),
    ("train.epoch=1", "--set train.epoch=1: unknown key 'train.epoch'; did you mean 'train.epochs'?"),
    (
        "model.1.out_feature=1",
        "--set model.1.out_feature=1: unknown key 'model.1.out_feature'; did you mean 'model.1.out_features'?",
    ),
    (
        "data.x.y=1",
        "--set data.x.y=1: unknown key 'data.x.y'; expected one of: data.augment, data.batch_size, data.dataset, "
        "data.drop_last, data.normalize, data.shuffle, data.validation",
    ),
    ("optimizer.lr=abc", "--set optimizer.lr=abc: optimizer.SGD.lr: got 'abc' (string), expected a number > 0"),
    ("seed=[1", "--set seed=[1: VALUE:1:3: '[' is not closed by ']', or a comma is missing"),
    ("loss=HuberLos", "--set loss=HuberLos: loss: unknown loss 'HuberLos'; did you mean 'HuberLoss'?"),
    (
        "optimizer={SGD: {lr: 1, momentum: 2}}",
        "--set optimizer={SGD: {lr: 1, momentum: 2}}: optimizer.SGD.momentum: got 2, expected a number >= 0 and < 1",
    ),
]


@pytest.mark.parametrize(("argument", "message"), MESSAGES, ids=[argument for argument, _ in MESSAGES])
def test_message(argument, message):
    with pytest.raises(ConfigError) as error:
        small(argument)
    assert error.value.problems == [message]


def test_an_unknown_key_without_a_near_one():
    with pytest.raises(ConfigError) as error:
        small("=1", "zzz=1")
    assert [p.partition("; expected one of: data, dtype")[1] != "" for p in error.value.problems] == [True, True]


def test_what_is_no_assignment_is_a_matter_of_usage():
    with pytest.raises(UsageError) as error:
        small("optimizer.lr")
    assert error.value.problems == ["--set 'optimizer.lr': got no '=', expected KEY=VALUE such as optimizer.lr=0.05"]


def test_a_file_without_a_mapping_stays_the_problem():
    with pytest.raises(ConfigError) as error:
        parse_config("- 1", "c.yaml", ["seed=1"])
    assert error.value.problems[0].startswith("c.yaml:1:1: got [1]")


def test_a_file_that_is_wrong_elsewhere_can_be_set():
    with pytest.raises(ConfigError) as error:
        parse_config(TEXT.replace("model:", "model: 5\nmodl:"), "c.yaml", ["train.epochs=0"])
    assert len(error.value.problems) == 3


@pytest.mark.parametrize(
    "argument", ["." * 100_000 + "=1", "a" * 100_000 + "=1", "seed=" + "[" * 100_000, "seed=\ud800"]
)
def test_long_and_odd_arguments_end_in_one_short_line(argument):
    with pytest.raises(ConfigError) as error:
        small(argument)
    (line,) = error.value.lines()
    assert len(line) <= 400
    assert line.isprintable()
