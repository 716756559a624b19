"""The exact words for each wrong value, with its place."""

import pytest
from small_config import edited, problems

MESSAGES = [
    ("seed: 3", "seed: -1", "c.yaml:1:7: seed: got -1, expected an integer >= 0 and < 9223372036854775808"),
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
        "weather: []",
        "c.yaml:1:1: weather: unknown key; expected one of: data, dtype, loss, metrics, model, name, optimizer, "
        "schedule, ... (10 in all)",
    ),
    ("seed: 3", "augment: []", "c.yaml:1:1: augment: unknown key; it belongs into 'data'"),
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
        "c.yaml:8:79: model.1.Linear.init.bias.constant.value: got 'x' (string), expected a number or a list of them",
    ),
    (
        "out_features: 16",
        "out_features: 16, init: [zeros]",
        "c.yaml:8:38: model.1.Linear.init: got ['zeros'], expected an initializer, a mapping "
        "{name: an initializer} or null",
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
        "c.yaml:14:32: schedule.StepLR.step_size: got 5, expected a length > 0 with its unit, such as '500 steps', '3 "
        "epochs' or '10%'",
    ),
    (
        "metrics: [accuracy]",
        "schedule: {ReduceLROnPlateau: {patience: 3 epochs}}",
        "c.yaml:14:42: schedule.ReduceLROnPlateau.patience: got '3 epochs' (string), expected an integer >= 0; write "
        "the number alone (epochs in a row without improvement that are let pass)",
    ),
    (
        "metrics: [accuracy]",
        "schedule: {CosineAnnealingWarmRestarts: {T_0: 0 steps}}",
        "c.yaml:14:47: schedule.CosineAnnealingWarmRestarts.T_0: got '0 steps' (string), expected a length > 0 with "
        "its unit, such as '500 steps', '3 epochs' or '10%'",
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
