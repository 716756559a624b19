"""Sections, components and options: each wrong value at its line, in exact words, all in one go."""

import random
import string

import pytest
from small_config import TEXT, edited, small

from dlcli.config.load import parse_config
from dlcli.config.reader import component_options, section_options
from dlcli.config.schema import Checkpoint, Config, Data, EarlyStopping, Train
from dlcli.core.errors import ConfigError, suggest
from dlcli.core.options import Length
from dlcli.core.registry import Registry


def problems(text: str) -> list[str]:
    with pytest.raises(ConfigError) as error:
        parse_config(text, "c.yaml")
    return error.value.problems


MESSAGES = [
    ("seed: 3", "seed: -1", "c.yaml:1:7: seed: got -1, expected an integer >= 0 and < 9.22337e+18"),
    ("seed: 3", "sed: 3", "c.yaml:1:1: sed: unknown key; did you mean 'seed'?"),
    (
        "seed: 3",
        "name: a/b",
        "c.yaml:1:7: name: got 'a/b', expected 1 to 100 of the characters A-Z a-z 0-9 . _ -, the first a letter or "
        "digit",
    ),
    ("seed: 3", "dtype: half", "c.yaml:1:8: dtype: got 'half' (string), expected 'float32' or 'float64'"),
    (
        "seed: 3",
        "augment: []",
        "c.yaml:1:1: augment: unknown key; expected one of: data, dtype, loss, metrics, model, name, optimizer, "
        "schedule, ... (10 in all)",
    ),
    ("  batch_size: 32", "  batch-size: 32", "c.yaml:4:3: data.batch-size: unknown key; did you mean 'batch_size'?"),
    ("  batch_size: 32", "  Batch_Size: 32", "c.yaml:4:3: data.Batch_Size: unknown key; did you mean 'batch_size'?"),
    ("  batch_size: 32", "  batch_size:", "c.yaml:4:14: data.batch_size: got nothing, expected an integer >= 1"),
    ("  batch_size: 32", "  batch_size: 64.0", "c.yaml:4:15: data.batch_size: got 64.0, expected an integer >= 1"),
    (
        "  batch_size: 32",
        "  batch_size: 0x80",
        "c.yaml:4:15: data.batch_size: got '0x80' (string), expected an integer >= 1",
    ),
    ("  batch_size: 32", "  shuffle: no", "c.yaml:4:12: data.shuffle: got 'no' (string), expected true or false"),
    ("  batch_size: 32", "  drop_last: 1", "c.yaml:4:14: data.drop_last: got 1, expected true or false"),
    (
        "  batch_size: 32",
        "  validation: 1.5",
        "c.yaml:4:15: data.validation: got 1.5, expected an integer >= 0 or a number >= 0 and < 1",
    ),
    (
        "dataset: digits",
        "dataset: digit",
        "c.yaml:3:12: data.dataset: unknown data set 'digit'; did you mean 'digits'?",
    ),
    ("  dataset: digits\n", "", "c.yaml:2:1: data: missing 'dataset', expected a data set"),
    ("  - ReLU", "  - relu", "c.yaml:9:5: model.2: unknown layer 'relu'; did you mean 'ReLU'?"),
    ("  - ReLU", "  - ReLU:1", "c.yaml:9:5: model.2: unknown layer 'ReLU:1'; put a space after ':'"),
    ("  - ReLU", "  -", "c.yaml:9:4: model.2: got nothing, expected a layer: 'Name' or 'Name: {options}'"),
    ("  - ReLU", "  - [ReLU]", "c.yaml:9:5: model.2: got ['ReLU'], expected a layer: 'Name' or 'Name: {options}'"),
    ("  - ReLU", "  - Linear", "c.yaml:9:5: model.2.Linear: missing 'out_features', expected an integer >= 1"),
    ("  - ReLU", "  - Linear: 5", "c.yaml:9:13: model.2.Linear: got 5, expected its options as a mapping"),
    (
        "  - ReLU",
        "  - Linear:\n    out_features: 5",
        "c.yaml:9:5: model.2: got the keys 'Linear' and 'out_features' side by side; indent the options below "
        "'Linear:'",
    ),
    (
        "  - ReLU",
        "  - {ReLU: {}, Tanh: {}}",
        "c.yaml:9:5: model.2: got 2 names, 'ReLU' and 'Tanh' among them, expected a layer: one 'Name' or one "
        "'Name: {options}'",
    ),
    (
        "out_features: 16",
        "out_feature: 16",
        [
            "c.yaml:8:5: model.1.Linear: missing 'out_features', expected an integer >= 1",
            "c.yaml:8:14: model.1.Linear.out_feature: unknown key; did you mean 'out_features'?",
        ],
    ),
    (
        "out_features: 16",
        "out_features: true",
        "c.yaml:8:28: model.1.Linear.out_features: got true, expected an integer >= 1",
    ),
    (
        "out_features: 16",
        "out_features: -3",
        "c.yaml:8:28: model.1.Linear.out_features: got -3, expected an integer >= 1",
    ),
    (
        "out_features: 16",
        "out_features: 16, init: zero",
        "c.yaml:8:38: model.1.Linear.init: unknown initializer 'zero'; did you mean 'zeros'?",
    ),
    (
        "out_features: 16",
        "out_features: 16, init: {weight: zeros, bias: {constant: {value: x}}}",
        "c.yaml:8:79: model.1.Linear.init.bias.constant.value: got 'x' (string), expected a number",
    ),
    (
        "out_features: 16",
        "out_features: 16, init: [zeros]",
        "c.yaml:8:38: model.1.Linear.init: got ['zeros'], expected an initializer, a mapping of names, each to an "
        "initializer or null",
    ),
    ("lr: 0.1", "lr: 1e-3x", "c.yaml:13:13: optimizer.SGD.lr: got '1e-3x' (string), expected a number > 0"),
    ("lr: 0.1", "lr: .inf", "c.yaml:13:13: optimizer.SGD.lr: got '.inf' (string), expected a number > 0"),
    ("lr: 0.1", "lr: -0.0", "c.yaml:13:13: optimizer.SGD.lr: got -0.0, expected a number > 0"),
    ("lr: 0.1", "lr: [1, 2]", "c.yaml:13:13: optimizer.SGD.lr: got [1, 2], expected a number > 0"),
    ("lr: 0.1", "lr: 1, momentum: 1", "c.yaml:13:26: optimizer.SGD.momentum: got 1, expected a number >= 0 and < 1"),
    (
        "lr: 0.1",
        "lr: 1, nesterov: true",
        "c.yaml:13:8: optimizer.SGD: got nesterov: true, which needs momentum > 0 and dampening 0",
    ),
    (
        "  SGD: {lr: 0.1}",
        "  Adam: {betas: [0.9, 1]}",
        "c.yaml:13:17: optimizer.Adam.betas: got [0.9, 1], expected a list of 2, each a number >= 0 and < 1",
    ),
    (
        "metrics: [accuracy]",
        "metrics: accuracy",
        "c.yaml:14:10: metrics: got 'accuracy' (string), expected a list, each a metric",
    ),
    (
        "metrics: [accuracy]",
        "schedule: {StepLR: {step_size: 5}}",
        "c.yaml:14:32: schedule.StepLR.step_size: got 5, expected a length with its unit, such as '500 steps', '3 "
        "epochs' or '10%'",
    ),
    (
        "epochs: 5",
        "epochs: 5\n  checkpoint: {every: 0 epochs}",
        "c.yaml:17:23: train.checkpoint.every: got '0 epochs' (string), expected a length > 0 with its unit, such "
        "as '3 epochs', '10%' or '90 s'",
    ),
    (
        "epochs: 5",
        "epochs: 5\n  early_stopping: {patience: 90 s}",
        "c.yaml:17:30: train.early_stopping.patience: got '90 s' (string), expected a length > 0 with its unit, "
        "such as '500 steps', '3 epochs' or '10%'",
    ),
    (
        "epochs: 5",
        "epochs: 5\n  early_stopping: 3",
        "c.yaml:17:19: train.early_stopping: got 3, expected a mapping with keys such as patience, min_delta",
    ),
]


@pytest.mark.parametrize(("old", "new", "expected"), MESSAGES, ids=[new.strip()[:30] for _, new, _ in MESSAGES])
def test_message(old, new, expected):
    assert problems(edited(old, new)) == ([expected] if isinstance(expected, str) else expected)


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


def one_edit(word: str, rng: random.Random) -> str:
    i, letter = rng.randrange(len(word)), rng.choice(string.ascii_lowercase)
    swapped = word[:i] + word[i : i + 2][::-1] + word[i + 2 :]
    return rng.choice(
        [word[:i] + word[i + 1 :], word[:i] + letter + word[i:], word[:i] + letter + word[i + 1 :], swapped]
    )


def known_names() -> list[tuple[str, list[str]]]:
    """Every key and component name, with the names beside it."""
    groups = [[o.name for o in section_options(cls)] for cls in (Config, Data, Train, Checkpoint, EarlyStopping)]
    for registry in Registry.all.values():
        entries = registry.entries()
        groups.append([e.name for e in entries])
        groups += [[o.name for o in component_options(e, registry)] for e in entries]
    return [(name, group) for group in groups for name in group]


def test_one_edit_is_recognised():
    rng = random.Random(0)
    tried = right = 0
    for name, group in known_names():
        for _ in range(5):
            typo = one_edit(name, rng)
            if typo not in group and len(name) > 2:
                tried += 1
                right += suggest(typo, group) == f"did you mean '{name}'?"
    assert tried > 500
    assert right / tried >= 0.95, (right, tried)


PIECES = [
    *"{}[]:'\"#\t\0?|>%@\\\n\ud800é",
    *(
        "- ",
        "  ",
        "&a ",
        "*a",
        "!!int ",
        "1e999",
        "null",
        "true",
        "-1",
        "<<: ",
        "---\n",
        "9" * 30,
        "ReLU",
        "Linear: {}",
    ),
]


def mutated(text: str, rng: random.Random) -> str:
    for _ in range(rng.randint(1, 4)):
        i, j = sorted(rng.randrange(len(text) + 1) for _ in range(2))
        kind = rng.randrange(4)
        if kind == 0:
            text = text[:i] + rng.choice(PIECES) + text[i:]
        elif kind == 1:
            text = text[:i] + text[min(j, i + rng.randint(1, 8)) :]
        elif kind == 2:
            text = text[:i] + text[j:] + text[i:j]
        else:
            text = text[:i] + chr(rng.choice([rng.randrange(32, 127), rng.randrange(0x300)])) + text[i + 1 :]
    return text


def test_mutated_configs_raise_nothing_but_config_errors():
    rng = random.Random(1)
    wrong = []
    for _ in range(2000):
        try:
            parse_config(mutated(TEXT, rng), "c.yaml")
        except ConfigError as error:
            wrong.append(error)
    assert len(wrong) > 1000
    lines = [line for error in wrong for line in error.lines()]
    assert all(line.startswith("error: ") and len(line) <= 400 and line.isprintable() for line in lines)
