"""The doctor: parts that do not fit, each with its place and the way out; and warnings that are never false."""

from pathlib import Path

import numpy as np
import pytest
from small_config import TEXT, edited, small

from dlcli.config.doctor import diagnose
from dlcli.config.load import load_config, parse_config
from dlcli.config.targets import wanted_targets
from dlcli.core.errors import ConfigError
from dlcli.core.registry import Registry
from dlcli.data.dataset import DataInfo
from dlcli.nn.losses import losses

SHIPPED = sorted(Path(__file__).parents[2].glob("configs/*.yaml"))


@pytest.mark.parametrize("file", SHIPPED, ids=lambda f: f.stem)
def test_shipped_configs_are_sound(file):
    found = diagnose(load_config(file)).check()
    assert found.warning_lines() == []
    assert found.notes == []


def test_what_follows_from_a_config():
    found = diagnose(small()).check()
    assert [(s.component.name, s.in_shape, s.out_shape, s.parameters) for s in found.shapes] == [
        ("Flatten", (1, 8, 8), (64,), 0),
        ("Linear", (64,), (16,), 1040),
        ("ReLU", (16,), (16,), 0),
        ("Linear", (16,), (10,), 170),
    ]
    assert found.parameters == 1210
    assert found.train == 1438 - 144
    assert found.steps_per_epoch == 41
    assert diagnose(small("data.drop_last=true", "train.accumulate=3")).steps_per_epoch == 14


PROBLEMS = [
    (
        ["data.augment=[GaussianNoise, RandomShift: {pixels: 9}]"],
        "--set data.augment=[GaussianNoise, RandomShift: {pixels: 9}]: data.augment.1.RandomShift: got pixels = 9, "
        "which can move an image of 8 x 8 out of sight; use at most 7",
    ),
    (
        ["data.dataset={blobs: {features: 6}}", "data.augment=[RandomErasing]"],
        "--set data.augment=[RandomErasing]: data.augment.0.RandomErasing: got samples of shape (6,), expected images "
        "(channels, height, width); of all augmentations tables take GaussianNoise alone",
    ),
    (
        ["model.1.init={biass: zeros}"],
        "c.yaml:8:13: model.1.Linear: init: got an initializer for 'biass'; did you mean 'bias'? "
        "(shapes: input (1, 8, 8) -> Flatten (64,))",
    ),
    (
        ["model.3.out_features=7"],
        "c.yaml:10:13: model.3.Linear: got outputs of shape (7,) from the last layer, expected (10,) for 10 "
        "classes; end the stack with Linear: {out_features: 10}",
    ),
    (
        ["model.1.in_features=9"],
        "c.yaml:8:13: model.1.Linear: got 64 features, expected in_features = 9; leave in_features out to infer it "
        "(shapes: input (1, 8, 8) -> Flatten (64,))",
    ),
    (
        ["model.0=Tanh"],
        "c.yaml:8:13: model.1.Linear: got samples of shape (1, 8, 8), expected one axis of features; put a Flatten "
        "before it (shapes: input (1, 8, 8) -> Tanh (1, 8, 8))",
    ),
    (
        ["model.2={Sequential: {layers: [Tanh, {Linear: {in_features: 3, out_features: 4}}]}}"],
        "--set model.2={Sequential: {layers: [Tanh, {Linear: {in_feature...: model.2.Sequential.layers.1.Linear: "
        "got 16 features, expected in_features = 3; leave in_features out to infer it (shapes: input (1, 8, 8) -> "
        "Flatten (64,) -> Linear (16,))",
    ),
    (
        ["loss=PoissonNLLLoss", "metrics=[mse]"],
        "--set loss=PoissonNLLLoss: loss: PoissonNLLLoss learns values, but digits has 10 classes as targets; use a "
        "loss on classes such as CrossEntropyLoss",
    ),
    (
        ["loss=MSELoss", "metrics=[mse]"],
        "--set metrics=[mse]: metrics.0: mse measures values, but digits has classes",
    ),
    (
        ["data.dataset=linear", "data.normalize=none"],
        "c.yaml:11:7: loss: CrossEntropyLoss learns classes, but linear has values of shape (1,) as targets; use a "
        "loss on values such as MSELoss",
    ),
    (
        ["data.dataset={Csv: {path: nowhere.csv, target: [a, b]}}", "loss=MSELoss"],
        "c.yaml:14:11: metrics.0: accuracy measures classes, but Csv has values",
    ),
    (
        ["data.dataset={Csv: {path: nowhere.csv, target: [a, b]}}"],
        "c.yaml:11:7: loss: CrossEntropyLoss learns classes, but Csv has values of shape (2,) as targets; use a "
        "loss on values such as MSELoss",
    ),
    (["metrics=[r2]"], "--set metrics=[r2]: metrics.0: r2 measures values, but CrossEntropyLoss learns classes"),
    (
        ["metrics=[accuracy, accuracy]"],
        "--set metrics=[accuracy, accuracy]: metrics.1: accuracy is in the list already; remove one of them",
    ),
    (
        ["train.monitor=val.acuracy"],
        "--set train.monitor=val.acuracy: train.monitor: got 'val.acuracy', which is not logged; did you mean "
        "'val.accuracy'?",
    ),
    (
        ["train.monitor=val.confusion_matrix", "metrics=[confusion_matrix, accuracy]"],
        "--set train.monitor=val.confusion_matrix: train.monitor: got 'val.confusion_matrix', which is not logged; "
        "expected one of: train.accuracy, train.loss, val.accuracy, val.loss",
    ),
    (
        ["train.monitor=val.loss", "data.validation=0"],
        "--set train.monitor=val.loss: train.monitor: got 'val.loss', which is not logged; nothing is held out "
        "(data.validation is 0); expected one of: train.accuracy, train.loss",
    ),
    (
        ["data.validation=1438"],
        "--set data.validation=1438: data.validation: got 1438, which leaves nothing of 1,438 training samples; "
        "hold out fewer",
    ),
    (
        ["data.validation=0.0001"],
        "--set data.validation=0.0001: data.validation: got 0.0001, which is less than one of 1,438 training "
        "samples; hold out more, or 0 for none",
    ),
    (
        ["model.2=BatchNorm1d", "data.batch_size=1"],
        "--set model.2=BatchNorm1d: model.2.BatchNorm1d: trains on batches of 2 samples or more; raise data.batch_size",
    ),
    (
        ["model.2=BatchNorm1d", "data.batch_size=1293"],
        "--set model.2=BatchNorm1d: model.2.BatchNorm1d: trains on batches of 2 samples or more, but 1,294 "
        "samples in batches of 1,293 leave one of 1; set data.drop_last: true, or another data.batch_size",
    ),
    (
        ["data.batch_size=2000", "data.drop_last=true"],
        "--set data.batch_size=2000: data.batch_size: got 2,000 with drop_last, which leaves no batch of 1,294 "
        "training samples; use at most that",
    ),
    (
        ["schedule={StepLR: {step_size: 6 epochs}}"],
        "--set schedule={StepLR: {step_size: 6 epochs}}: schedule.StepLR.step_size: got '6 epochs', which is "
        "longer than the run (5 epochs); shorten it or raise train.epochs",
    ),
    (
        ["schedule={ConstantLR: {warmup: 206 steps}}"],
        "--set schedule={ConstantLR: {warmup: 206 steps}}: schedule.ConstantLR.warmup: got '206 steps', which is "
        "longer than the run (5 epochs); shorten it or raise train.epochs",
    ),
    (
        ["model.1.trainable=false", "model.3.trainable=false"],
        "c.yaml:7:3: model: no layer has a parameter to train; add one such as Linear",
    ),
    (
        ["model.1.name=a", "model.3.name=a"],
        "--set model.3.name=a: model.3.Linear.name: got 'a', which is the name of model.1 already; choose another",
    ),
    (
        ["model.1.name=../a"],
        "--set model.1.name=../a: model.1.Linear.name: got '../a', expected 1 to 100 of the characters A-Z a-z 0-9 "
        ". _ -, the first a letter or digit",
    ),
    (
        ["model.3={Sequential: {layers: [{Linear: {out_features: 10}}, Softmax]}}"],
        "--set model.3={Sequential: {layers: [{Linear: {out_features: 10...: model.3.Sequential.layers.1.Softmax: "
        "Softmax before CrossEntropyLoss, which holds a softmax already; remove this layer",
    ),
    (
        ["model.2=Sigmoid", "model.3=Sigmoid", "model.1.out_features=10", "loss=BCEWithLogitsLoss"],
        "--set model.3=Sigmoid: model.3.Sigmoid: Sigmoid before BCEWithLogitsLoss, which holds a sigmoid already; "
        "remove this layer",
    ),
    (
        ["loss=BCELoss"],
        "c.yaml:10:13: model.3.Linear: Linear gives logits, but BCELoss takes probabilities; end with Sigmoid",
    ),
    (
        ["loss=NLLLoss"],
        "c.yaml:10:13: model.3.Linear: Linear gives logits, but NLLLoss takes log-probabilities; end with LogSoftmax",
    ),
    (
        ["data.dataset=xor", "data.normalize=none", "model.0=Tanh", "model.3.out_features=3", "loss=BCEWithLogitsLoss"],
        "c.yaml:10:13: model.3.Linear: got outputs of shape (3,) from the last layer, expected (2,) "
        "or (1,) for 2 classes; end the stack with Linear: {out_features: 2 or 1}",
    ),
    (
        ["loss={CrossEntropyLoss: {weight: [1, 2]}}"],
        "--set loss={CrossEntropyLoss: {weight: [1, 2]}}: loss.CrossEntropyLoss: got factors of 2 classes, expected "
        "10: one for each class",
    ),
    (
        ["loss={BCEWithLogitsLoss: {pos_weight: [1, 2]}}"],
        "--set loss={BCEWithLogitsLoss: {pos_weight: [1, 2]}}: loss.BCEWithLogitsLoss: got 2 numbers as pos_weight, "
        "expected one or 10",
    ),
]


@pytest.mark.parametrize(("changes", "message"), PROBLEMS, ids=[changes[0][:40] for changes, _ in PROBLEMS])
def test_problem(changes, message):
    with pytest.raises(ConfigError) as error:
        diagnose(small(*changes)).check()
    assert error.value.problems == [message]
    assert all(len(line) <= 400 for line in error.value.lines())


CONTAINERS = """\
model:
  - Flatten
  - Residual:
      body:
        - Linear: {out_features: 64}
        - Linear: {in_features: 64, out_features: 64}
      shortcut:
        - Linear: {out_features: 64}
  - Concat:
      branches:
        - - Linear: {out_features: 8}
          - Tanh
        - []
  - Repeat:
      times: 2
      layers:
        - Tanh
        - Linear: {out_features: 12}
  - Linear: {out_features: 10}
"""


def nested(*overrides):
    """The small config with containers in its model."""
    return parse_config(edited(TEXT[TEXT.index("model:") : TEXT.index("loss:")], CONTAINERS), "c.yaml", overrides)


def swapped(old, new):
    """The same with a piece of the text replaced."""
    assert CONTAINERS.count(old) == 1, old
    changed = CONTAINERS.replace(old, new)
    return parse_config(edited(TEXT[TEXT.index("model:") : TEXT.index("loss:")], changed), "c.yaml")


def test_layers_inside_count():
    found = diagnose(nested()).check()
    assert [(s.component.name, s.out_shape, s.parameters, s.activations) for s in found.shapes] == [
        ("Flatten", (64,), 0, 64),
        ("Residual", (64,), 3 * (64 * 64 + 64), 4 * 64),
        ("Concat", (72,), 64 * 8 + 8, 72 + 8 + 8),
        ("Repeat", (12,), 72 * 12 + 12 + 12 * 12 + 12, 72 + 12 + 12 + 12),
        ("Linear", (10,), 130, 10),
    ]


BLOCK = "(shapes: input (1, 8, 8) -> Flatten (64,)"

NESTED_PROBLEMS = [
    (
        ("{in_features: 64, out_features: 64}", "{in_features: 63, out_features: 64}"),
        "c.yaml:11:19: model.1.Residual.body.1.Linear: got 64 features, expected in_features = 63; "
        f"leave in_features out to infer it {BLOCK})",
    ),
    (
        ("shortcut:\n        - Linear: {out_features: 64}", "shortcut:\n        - Linear: {out_features: 32}"),
        "c.yaml:9:7: model.1.Residual: body gives (64,), shortcut gives (32,); let both end in the same shape "
        f"{BLOCK})",
    ),
    (
        ("        - []\n", "        - [Linear: {in_features: 5, out_features: 2}]\n"),
        "c.yaml:18:20: model.2.Concat.branches.1.0.Linear: got 64 features, expected in_features = 5; "
        f"leave in_features out to infer it {BLOCK} -> Residual (64,))",
    ),
    (
        ("- Linear: {out_features: 12}", "- Linear: {in_features: 72, out_features: 12}"),
        "c.yaml:23:19: model.3.Repeat.layers.1.Linear: got 12 features, expected in_features = 72; "
        f"leave in_features out to infer it {BLOCK} -> Residual (64,) -> Concat (72,))",
    ),
    (
        ("- Linear: {out_features: 12}", "- Residual: {body: [Linear: {out_features: 12}]}"),
        "c.yaml:23:21: model.3.Repeat.layers.1.Residual: body gives (12,), the identity shortcut gives (72,); let the "
        f"body keep the shape of x, or put layers in the shortcut {BLOCK} -> Residual (64,) -> Concat (72,))",
    ),
]


@pytest.mark.parametrize(("change", "message"), NESTED_PROBLEMS, ids=[change[1][:40] for change, _ in NESTED_PROBLEMS])
def test_problem_inside_a_container(change, message):
    assert [f"{mark.text}: {text}" for mark, text in diagnose(swapped(*change)).problems] == [message]


EMPTY = [
    (("    times: 2", "    times: 0"), "20:14: model.3.Repeat.times: got 0, expected an integer >= 1"),
    (("    times: 2", "    times: 900"), "20:7: model.3.Repeat: got 900 times 2 layers, expected at most 1,000 in all"),
    (
        ("layers:\n        - Tanh\n        - Linear: {out_features: 12}", "layers: []"),
        "21:15: model.3.Repeat.layers: got 0 entries, expected 1 or more, each a layer",
    ),
    (
        ("branches:\n        - - Linear: {out_features: 8}\n          - Tanh\n        - []", "branches: []"),
        "15:17: model.2.Concat.branches: got 0 entries, expected 1 or more, each a list, each a layer",
    ),
    (
        ("        - []", "        - Tanh"),
        "18:11: model.2.Concat.branches.1: got 'Tanh' (string), expected a list, each a layer",
    ),
    (
        ("          - Tanh", "          - Tan"),
        "17:13: model.2.Concat.branches.0.1: unknown layer 'Tan'; did you mean 'Tanh'?",
    ),
]


@pytest.mark.parametrize(("change", "message"), EMPTY, ids=[change[1][:40] for change, _ in EMPTY])
def test_container_without_sense(change, message):
    with pytest.raises(ConfigError) as error:
        swapped(*change)
    assert error.value.problems == [f"c.yaml:{message}"]


def test_containers_are_changed_by_overrides():
    changes = [
        *("model.1.body.0.out_features=20", "model.1.body.1.Linear.in_features=20", "model.2.branches.0.0.bias=false"),
        *("model.3.layers.1.Linear.out_features=9", "model.3.times=4"),
    ]
    found = diagnose(nested(*changes)).check()
    assert [s.parameters for s in found.shapes[1:4]] == [65 * 20 + 21 * 64 + 65 * 64, 64 * 8, 73 * 9 + 3 * 90]
    with pytest.raises(
        ConfigError, match=r"model\.1\.body\.0\.out_feature'; did you mean 'model.1.body.0.out_features'"
    ):
        nested("model.1.body.0.out_feature=3")


def test_an_override_cannot_nest_without_end():
    inner, overrides = "model.2", []
    for _ in range(40):
        overrides.append(f"{inner}={{Residual: {{body: [Tanh]}}}}")
        inner += ".Residual.body.0"
    with pytest.raises(ConfigError) as error:
        small(*overrides)
    assert error.value.problems[0].endswith("...: nested deeper than 32 levels")


def test_layers_inside_are_held_in_memory_too():
    with pytest.raises(ConfigError) as error:
        diagnose(
            small("model.2={Residual: {body: [Linear: {out_features: 100000000000}, Linear: {out_features: 16}]}}")
        ).check()
    assert ": model.2.Residual: " in error.value.problems[0]


def test_a_network_larger_than_the_machine():
    with pytest.raises(ConfigError) as error:
        diagnose(small("model.1.out_features=1000000000", "optimizer=Adam")).check()
    (problem,) = error.value.problems
    assert problem.startswith(
        "c.yaml:8:13: model.1.Linear: 75,000,000,010 parameters with Adam and batches of 32 need 1,"
    )
    assert problem.endswith("GiB; make the layers smaller")


def test_a_loss_for_both_leaves_the_metrics_to_the_data():
    with Registry.origin("mine.py"):

        @losses.register
        class Mine:
            def forward(self, y_pred, y_true):
                return 0.0

            def backward(self):
                return None

    try:
        found = diagnose(small("loss=Mine", "metrics=[mae]"))
        fits = diagnose(small("loss=Mine"))
    finally:
        del losses._entries["Mine"]
    assert [message for _, message in found.problems] == ["metrics.0: mae measures values, but digits has classes"]
    assert fits.problems == []


@pytest.mark.parametrize("loss", ["MSELoss", "L1Loss", "HuberLoss", "SmoothL1Loss", "LogCoshLoss", "BCEWithLogitsLoss"])
def test_a_loss_on_values_takes_classes_too(loss):
    assert diagnose(small(f"loss={loss}")).check().problems == []


@pytest.mark.parametrize(
    ("loss", "metrics", "wanted"),
    [
        ("MSELoss", [], "values"),
        ("MSELoss", ["r2"], "values"),
        ("MSELoss", ["accuracy"], "classes"),
        ("BCEWithLogitsLoss", [], "values"),
        ("BCEWithLogitsLoss", ["accuracy"], "classes"),
        ("PoissonNLLLoss", ["accuracy"], "values"),
        ("CrossEntropyLoss", [], "classes"),
        ("CrossEntropyLoss", ["r2"], "classes"),
    ],
)
def test_whole_numbers_in_a_file_are_what_loss_and_metrics_want(loss, metrics, wanted):
    assert wanted_targets(small(f"loss={loss}", f"metrics=[{', '.join(metrics)}]")) == wanted


def test_a_file_whose_values_were_meant_as_classes(tmp_path):
    path = tmp_path / "a.npz"
    np.savez(path, x_train=np.zeros((60, 4)), y_train=np.arange(60) % 3)
    changes = [f"data.dataset={{Npz: {{path: {path}}}}}", "data.validation=0", "model.3.out_features=3", "loss=MSELoss"]
    ((_, message),) = diagnose(small(*changes, "metrics=[]")).problems
    assert message.endswith("{out_features: 1}; for classes, add a metric of classes such as accuracy")
    assert diagnose(small(*changes, "metrics=[accuracy]")).problems == []


def test_a_long_chain_is_cut():
    layers = "".join("  - Tanh\n" for _ in range(20)) + "  - Linear: {in_features: 3, out_features: 2}\n"
    found = diagnose(parse_config(TEXT.replace("  - ReLU\n", layers), "c.yaml"))
    ((_, message),) = found.problems
    assert message.endswith("(shapes: input (1, 8, 8) -> ... -> Tanh (16,) -> Tanh (16,) -> Tanh (16,))")


WARNINGS = [
    (
        ["data.normalize=none"],
        "c.yaml:3:3: data: pixels go in as they are, all of them positive; normalize: standardize trains far better",
    ),
    (
        ["model.2=Dropout"],
        "c.yaml:10:13: model.3.Linear: two Linear without an activation between are no more than one; put one such "
        "as ReLU before this",
    ),
    (
        ["model=[Flatten, {Linear: {out_features: 10}}, ReLU]"],
        "--set model=[Flatten, {Linear: {out_features: 10}}, ReLU]: model.2.ReLU: ReLU as the last layer cuts "
        "every output below 0; end with the Linear before it",
    ),
    (
        ["optimizer={Adam: {lr: 0.5}}"],
        "--set optimizer={Adam: {lr: 0.5}}: optimizer.Adam.lr: 0.5 is much for Adam; 0.001 is usual",
    ),
    (
        ["train.early_stopping.patience=5 epochs"],
        "--set train.early_stopping.patience=5 epochs: train.early_stopping.patience: '5 epochs' is as long as the "
        "run (5 epochs): it never stops early",
    ),
    (
        ["data.validation=1"],
        "--set data.validation=1: data.validation: every val figure rests on 1 sample; hold out more",
    ),
    (
        ["data.batch_size=5000"],
        "--set data.batch_size=5000: data.batch_size: 5,000 is more than the 1,294 training samples: every epoch "
        "is a single step",
    ),
]


@pytest.mark.parametrize(("changes", "message"), WARNINGS, ids=[changes[0][:40] for changes, _ in WARNINGS])
def test_warning(changes, message):
    assert diagnose(small(*changes)).check().warning_lines() == [message]


def test_a_file_that_is_not_there_leaves_things_unchecked():
    config = small("data.dataset={Csv: {path: nowhere.csv, target: y}}")
    found = diagnose(config).check()
    assert found.notes == [
        "the number of training samples is not known before the data is read: batches were not checked",
        "the data's file is not there: shapes were not checked",
    ]
    known = diagnose(config, DataInfo((4,), 3, (), 90, 10))
    assert [message for _, message in known.problems] == [
        "model.3.Linear: got outputs of shape (10,) from the last layer, expected (3,) for 3 classes; "
        "end the stack with Linear: {out_features: 3}"
    ]


def test_what_a_data_set_refuses_has_its_place():
    with pytest.raises(ConfigError) as error:
        diagnose(small("data.dataset={linear: {weight: []}}"))
    assert error.value.problems[0].startswith(
        "--set data.dataset={linear: {weight: []}}: data.dataset.linear.weight: got no"
    )
