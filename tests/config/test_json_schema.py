"""The JSON Schema agrees with the loader on what is a config."""

import copy
import json
from pathlib import Path

import jsonschema
import pytest
from small_config import TEXT, small

from dlcli.config.jsonschema import json_schema
from dlcli.config.load import load_config
from dlcli.config.resolved import flow
from dlcli.config.yamlfile import parse
from dlcli.core.errors import ConfigError

SHIPPED = sorted(Path(__file__).parents[2].glob("configs/*.yaml"))


@pytest.fixture(scope="module")
def validator():
    schema = json_schema()
    assert json.loads(json.dumps(schema)) == schema
    jsonschema.Draft202012Validator.check_schema(schema)
    return jsonschema.Draft202012Validator(schema)


@pytest.mark.parametrize("file", SHIPPED, ids=lambda f: f.stem)
def test_accepts_every_shipped_config(validator, file):
    validator.validate(parse(file.read_text(), file.name).value)
    validator.validate(load_config(file).resolved())


def test_there_are_shipped_configs():
    assert {f.stem for f in SHIPPED} >= {"digits", "mnist", "fashion_mnist", "linear_regression", "xor", "spirals"}


WRONG = [
    "seed=-1",
    "data.batch_size=0",
    "data.validation=1.5",
    "data.normalize=mean",
    "model=[]",
    "model=[Relu]",
    "model=[Linear]",
    "model=[{Linear: {out_feature: 1}}]",
    "model=[{Linear: {out_features: 0}}]",
    "model=[{Linear: {out_features: 1, init: zero}}]",
    "model=[{Linear: {out_features: 1, init: {kaiming_unifrm: {a: 1}}}}]",
    "model=[{ReLU: {}, Tanh: {}}]",
    "model=[{Residual: {body: []}}]",
    "model=[{Residual: {body: [Tanh], shortcut: Tanh}}]",
    "model=[{Concat: {branches: [Tanh]}}]",
    "model=[{Concat: {branches: [[Tanh], [Tan]]}}]",
    "model=[{Repeat: {times: 0, layers: [Tanh]}}]",
    "loss=HuberLos",
    "optimizer={SGD: {lr: 0}}",
    "optimizer={Adam: {betas: [0.9]}}",
    "schedule={StepLR: {step_size: 3}}",
    "train.epochs=five",
    "train.early_stopping={patience: 3 epoch s}",
    "train.early_stopping={min_delta: 0}",
]


@pytest.mark.parametrize("change", WRONG)
def test_refuses_what_the_loader_refuses(validator, change):
    with pytest.raises(ConfigError):
        small(change)
    value = copy.deepcopy(parse(TEXT, "c").value)
    path, text = change.split("=", 1)
    *sections, key = path.split(".")
    inside = value
    for section in sections:
        inside = inside[section]
    inside[key] = parse(text, "value").value
    assert not validator.is_valid(value), flow(value)


def test_accepts_nested_containers(validator):
    config = small(
        "model.2={Repeat: {times: 2, layers: [Residual: {body: [Tanh]}, Concat: {branches: [[], [Tanh, ReLU]]}]}}"
    )
    validator.validate(config.resolved())
    validator.validate(config.resolved(brief=True))


def test_completes_names_with_their_documentation(validator):
    layers = validator.schema["$defs"]["layers"]["anyOf"]
    assert "ReLU" in layers[0]["enum"]
    assert "Linear" not in layers[0]["enum"]
    linear = next(entry for entry in layers[1:] if entry["required"] == ["Linear"])
    assert linear["description"].startswith("y = x @ weight.T + bias")
    assert linear["properties"]["Linear"]["properties"]["bias"] == {"type": "boolean", "default": True}
    assert validator.schema["properties"]["seed"]["description"]
