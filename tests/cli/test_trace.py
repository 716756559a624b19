"""`trace`: the tutorial's example against a hand calculation, what is told of layers, and where the batch is from."""

from __future__ import annotations

import json
import math
import re
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from commandline import CONFIGS, Cli
from registered import of, rows

from dlcli.experiment.recording import record
from dlcli.nn.layers.sequential import Part
from dlcli.nn.network import Network, walk

TUTORIAL = (Path(__file__).parents[2] / "docs" / "tutorial.md").read_text(encoding="utf-8")
PARAMETERS = ("weight", "bias")
SHIPPED = sorted(path.stem for path in CONFIGS.glob("*.yaml"))

NESTED = """\
data: {dataset: digits, batch_size: 10, normalize: standardize}
model:
  - Conv2d: {out_channels: 4, kernel_size: 3, padding: 1}
  - BatchNorm2d
  - Residual:
      name: block
      body: [{Conv2d: {out_channels: 4, kernel_size: 3, padding: 1, bias: false}}, ReLU, Dropout]
  - Repeat: {times: 2, layers: [Tanh]}
  - Concat:
      branches:
        - [{Conv2d: {out_channels: 2, kernel_size: 1}}]
        - []
  - Flatten
  - Linear: {out_features: 10}
loss: CrossEntropyLoss
optimizer: {SGD: {lr: 0.1}}
train: {epochs: 1}
"""


def by_hand(cli: Cli) -> str:
    """The tutorial's two files, saved; the name of the config."""
    for name, text in re.findall(r"^<!-- file: (by_hand\S+) -->\n```\w+\n(.*?)^```$", TUTORIAL, re.M | re.S):
        cli.write(name, text)
    return "by_hand.yaml"


Matrix = list[list[float]]


def times(a: Matrix, b: Matrix) -> Matrix:
    return [[sum(p * q for p, q in zip(row, column, strict=True)) for column in turned(b)] for row in a]


def turned(a: Matrix) -> Matrix:
    return [list(column) for column in zip(*a, strict=True)]


def calculated(x: Matrix, t: list[int]) -> dict[str, Any]:
    """The 2-3-2 network of the tutorial forward and backward, with nothing but Python's floats."""
    w1, b1 = [[1.0, 0.0], [0.0, -1.0], [0.5, 0.5]], [0.0, 0.0, 0.0]
    w2, b2 = [[1.0, 2.0, 0.0], [0.0, 1.0, 2.0]], [0.0, 0.0]
    n = len(x)
    a = [[v + b for v, b in zip(row, b1, strict=True)] for row in times(x, turned(w1))]
    h = [[max(0.0, v) for v in row] for row in a]
    z = [[v + b for v, b in zip(row, b2, strict=True)] for row in times(h, turned(w2))]
    p = [[math.exp(v) / sum(math.exp(u) for u in row) for v in row] for row in z]
    loss = sum(-math.log(row[k]) for row, k in zip(p, t, strict=True)) / n
    dz = [[(v - (j == k)) / n for j, v in enumerate(row)] for row, k in zip(p, t, strict=True)]
    dh = times(dz, w2)
    da = [[d if v > 0 else 0.0 for d, v in zip(*pair, strict=True)] for pair in zip(dh, a, strict=True)]
    return {
        "loss": loss,
        "forward": {
            "0": {"x": x, "weight": w1, "bias": b1, "y": a},
            "1": {"x": a, "y": h},
            "2": {"x": h, "weight": w2, "bias": b2, "y": z},
        },
        "outputs": {"z": z, "t": t},
        "backward": {
            "loss": {"dz": dz},
            "2": {"dy": dz, "dweight": times(turned(dz), h), "dbias": [sum(c) for c in turned(dz)], "dx": dh},
            "1": {"dy": dh, "dx": da},
            "0": {"dy": da, "dweight": times(turned(da), x), "dbias": [sum(c) for c in turned(da)]},
        },
    }


def numbers(passages: list[dict[str, Any]]) -> dict[str, dict[str, Any]]:
    return {p["name"]: {name: found["values"] for name, found in p["arrays"].items()} for p in passages}


def close(found: dict[str, Any], expected: dict[str, Any]) -> None:
    """The same names in the same order, with the same numbers to rounding."""
    assert list(found) == list(expected)
    for name, inside in expected.items():
        if isinstance(inside, dict):
            close(found[name], inside)
        else:
            np.testing.assert_allclose(found[name], inside, rtol=1e-12, atol=1e-12, err_msg=name)


@pytest.mark.parametrize("samples", [1, 2])
def test_the_tutorials_example_is_as_calculated_by_hand(cli: Cli, samples: int) -> None:
    found = cli("trace", by_hand(cli), "--batch", samples, "--numbers", "--json").json
    expected = calculated([[1.0, 2.0], [2.0, 1.0]][:samples], [0, 1][:samples])
    assert found["samples"] == samples
    assert found["loss"]["value"] == pytest.approx(expected["loss"], rel=1e-12)
    close(numbers(found["forward"]), expected["forward"])
    close(numbers([found["loss"]])["loss"], expected["outputs"])
    close(numbers(found["backward"]), expected["backward"])


def test_the_hand_calculation_is_that_of_the_tutorials_table() -> None:
    worked = calculated([[1.0, 2.0]], [0])
    assert worked["forward"]["2"]["y"] == [[1.0, 3.0]]
    assert round(worked["loss"], 4) == 2.1269
    table = "((-0.8808, -1.7616), (0, 0), (1.7616, 3.5232))"
    assert f"| back to W1 | dW1 = da outer x | {table} |" in TUTORIAL
    rounded = [[round(v, 4) for v in row] for row in worked["backward"]["0"]["dweight"]]
    np.testing.assert_allclose(rounded, [[-0.8808, -1.7616], [0, 0], [1.7616, 3.5232]], atol=1.01e-4)


def test_the_statistics_are_those_of_the_arrays(cli: Cli) -> None:
    found = cli("trace", by_hand(cli), "--batch", 2, "--numbers", "--json").json
    for passage in [*found["forward"], found["loss"], *found["backward"]]:
        for told in passage["arrays"].values():
            a = np.array(told["values"])
            expected = [a.mean(), a.std(), a.min(), a.max(), (a == 0).mean(), math.sqrt((a * a).sum())]
            got = [told[name] for name in ("mean", "sd", "min", "max", "zeros", "norm")]
            np.testing.assert_allclose(got, expected, rtol=1e-12, atol=1e-15)
            assert (told["shape"], told["nonfinite"]) == (list(a.shape), 0)


def test_small_arrays_are_printed_for_a_pencil(cli: Cli) -> None:
    text = cli("trace", by_hand(cli), "--batch", 1, "--numbers").out
    assert "\n   x       weight       bias       y\n   1  2    1     0      0  0  0    1  -2  1.5\n" in text
    assert "\n   L = 2.12693\n" in text
    assert "   dweight\n" not in cli("trace", "by_hand.yaml").out
    cli.shipped("digits")
    large = cli("trace", "digits.yaml", "--layer", 1, "--numbers").out
    assert "   left out, as more than 100 numbers: x of 256, weight of 4,096, y of 256\n" in large
    assert len(re.findall(r"-?0\.\d+", large.partition("\n   bias\n")[2].partition("left out")[0])) == 64


def test_no_step_of_a_recorded_network_differs(cli: Cli) -> None:
    """Recording changes no bit, every dx is the dy of the layer before, and no wrapper stays."""
    made = [of("layers", name, shown) for name, shown in (row.values for row in rows("layers")) if shown.shape == (5,)]
    kept = [layer for layer in made if layer.stochastic is False and type(layer).__name__ not in ("Concat", "Reshape")]
    x, y = np.random.default_rng(0).normal(size=(6, 5)), np.zeros((6, 3))
    stack = [layer for layer in kept if Network([layer], (5,)).out_shape == (5,)]
    last = of("layers", "Linear", rows("layers")[0].values[1]._replace(options={"out_features": 3}))
    network = Network([*stack, last], (5,), dtype=np.float64, seed=1)
    twin, loss = network.cast(np.float64), of("losses", "MSELoss", rows("losses")[0].values[1]._replace(options={}))
    trace = record(network, loss, (x, y), math.inf)
    outputs = twin.forward(x, training=True)
    assert trace.value == loss.forward(outputs, y)
    twin.backward(loss.backward())
    np.testing.assert_array_equal(network.arena.grads, twin.arena.grads)
    assert len(stack) > 15
    before = {p.name: p.arrays["dy"].values for p in trace.backward if "." not in p.name and p.name != "loss"}
    for passage in trace.backward:
        if "." not in passage.name and passage.name not in ("loss", "0") and "dx" in passage.arrays:
            assert passage.arrays["dx"].values == before[str(int(passage.name) - 1)]
    assert not any({"forward", "backward"} & set(vars(layer)) for _, layer in walk(network.root))


def test_containers_come_before_what_is_inside_them(cli: Cli) -> None:
    cli.write("nested.yaml", NESTED)
    found = cli("trace", "nested.yaml", "--json").json
    forward = [(p["name"], p["depth"], p["layer"]) for p in found["forward"]]
    assert forward == [
        ("0", 0, "Conv2d"),
        ("1", 0, "BatchNorm2d"),
        ("2", 0, "Residual 'block'"),
        ("2.body.0", 1, "Conv2d"),
        ("2.body.1", 1, "ReLU"),
        ("2.body.2", 1, "Dropout"),
        ("3", 0, "Repeat"),
        ("3.0.0", 1, "Tanh"),
        ("3.1.0", 1, "Tanh"),
        ("4", 0, "Concat"),
        ("4.0.0", 1, "Conv2d"),
        ("5", 0, "Flatten"),
        ("6", 0, "Linear"),
    ]
    order = ["loss", "6", "5", "4", "4.0.0", "3", "3.1.0", "3.0.0", "2", "2.body.2", "2.body.1", "2.body.0", "1", "0"]
    assert [p["name"] for p in found["backward"]] == order
    inner = found["forward"][3]
    assert inner["shapes"] == "x (4, 4, 8, 8), weight (4, 4, 3, 3), y (4, 4, 8, 8), no bias"
    assert inner["options"] == {"in_channels": 4, "out_channels": 4, "kernel_size": 3, "padding": 1, "bias": False}
    text = cli("trace", "nested.yaml").out
    assert "\n2  Residual 'block'\n   y = body(x) + shortcut(x)\n" in text
    assert "\n   2.body.1  ReLU\n      y = max(0, x)\n      x and y (4, 4, 8, 8)\n" in text
    assert {p: a["arrays"]["x"]["norm"] for p, a in zip("01", found["forward"], strict=False)}["1"] == pytest.approx(
        found["forward"][0]["arrays"]["y"]["norm"]
    )


@pytest.mark.parametrize("name", SHIPPED)
def test_every_shipped_config_is_traced_in_80_columns(cli: Cli, name: str) -> None:
    cli.shipped(name)
    ended = cli("trace", f"{name}.yaml", "--numbers")
    assert max(map(len, ended.out.splitlines())) <= 80
    drawn = re.search("dataset: (fashion-)?mnist", (CONFIGS / f"{name}.yaml").read_text())
    assert ended.lines[0].startswith("batch: 4 samples of random numbers" if drawn else "batch: the first 4 of ")
    assert ended.lines[-1] == f"next   dlcli gradcheck {name}.yaml   (are these gradients right?)"
    assert sorted(p.name for p in cli.folder.iterdir()) == [f"{name}.yaml"]


def test_the_batch_is_the_first_that_training_sees(cli: Cli) -> None:
    """With the config's own batch size the loss is that of the first step, augmented samples and all."""
    changes = ["--set", "data.augment=[{RandomShift: {pixels: 1}}]", "--set", "train.log_every=1 steps"]
    cli.shipped("digits")
    found = cli("trace", "digits.yaml", "--batch", 32, "--json", *changes[:2])
    assert found.lines[0] == (
        "batch: the first 32 of 1,150 training samples, in the order of seed 0, normalised, augmented"
    )
    run = cli.train("digits.yaml", "--max-steps", 1, *changes)
    first = json.loads((run / "metrics.jsonl").read_text().splitlines()[0])
    slopes = [a["norm"] for p in found.json["backward"] for name, a in p["arrays"].items() if name[1:] in PARAMETERS]
    assert found.json["loss"]["value"] == pytest.approx(first["step.loss"], rel=1e-6)
    assert math.hypot(*slopes) == pytest.approx(first["grad_norm"], rel=1e-5)


def test_a_seed_takes_the_place_of_the_configs(cli: Cli) -> None:
    cli.shipped("xor")
    other = cli("trace", "xor.yaml", "--seed", 3, "--json")
    assert other.json == cli("trace", "xor.yaml", "--set", "seed=3", "--json").json
    assert other.json != cli("trace", "xor.yaml", "--json").json


def test_a_run_is_traced_with_its_best_weights(cli: Cli, digits: Path) -> None:
    with np.load(cli.folder / digits / "checkpoints" / "best.npz") as arrays:
        weight = arrays["1.weight"]
    ended = cli("trace", digits, "--json")
    assert ended.lines[0].startswith(f"weights: {digits}/checkpoints/best.npz (step ")
    told = ended.json["forward"][1]["arrays"]["weight"]
    assert told["norm"] == pytest.approx(float(np.linalg.norm(weight.astype(np.float64))))
    assert ended.json["loss"]["value"] < 1 < cli("trace", "digits.yaml", "--json").json["loss"]["value"]
    newest = cli("trace", "--json")
    assert newest.json == ended.json == cli("trace", f"{digits}/checkpoints/best.npz", "--json").json
    assert newest.lines[0] == f"run: {digits}"
    refused = cli("trace", digits, "--set", "seed=1", code=2)
    assert refused.lines == ["error: --set goes with a config file; the weights of a run fit its own config"]


def test_one_layer_alone(cli: Cli) -> None:
    cli.write("nested.yaml", NESTED)
    found = cli("trace", "nested.yaml", "--layer", "2", "--json").json
    assert [p["name"] for p in found["forward"]] == ["2", "2.body.0", "2.body.1", "2.body.2"]
    assert [p["name"] for p in found["backward"]] == ["2", "2.body.2", "2.body.1", "2.body.0"]
    text = cli("trace", "nested.yaml", "--layer", "2.body.1").out
    assert re.findall(r"^ *([\d.]+(?:body\S*)?)  (\w+)", text, re.M) == [("2.body.1", "ReLU")] * 2
    assert "L = " not in text
    cli.shipped("digits")
    first = cli("trace", "digits.yaml", "--layer", "0").out
    assert first.endswith("\nnot reached, as nothing up to there learns: 0 Flatten\n")


WRONG = {
    "--layer 2.bdy.0": "--layer: there is no layer '2.bdy.0'; did you mean '2.body.0'?",
    "--layer 17": "--layer: there is no layer '17'; expected one of: 0, 1, 2, 2.body.0, 2.body.1, 2.body.2, 3, 3.0.0, "
    "... (13 in all)",
    "--batch 0": "--batch: got '0', expected an integer >= 1 and <= 100000; see 'dlcli trace --help'",
    "--batch 1 --set model=[Flatten,BatchNorm1d,{'Linear':{'out_features':10}}]": "--batch: got 1, expected >= 2: "
    "layer 1 (BatchNorm1d) cannot be trained on less",
}


@pytest.mark.parametrize("line", WRONG)
def test_what_cannot_be_traced_is_told_in_one_line(cli: Cli, line: str) -> None:
    cli.write("nested.yaml", NESTED)
    ended = cli("trace", "nested.yaml", *line.split(), code=2)
    assert ended.out == ""
    assert ended.lines[-1] == f"error: {WRONG[line]}"


def test_data_that_is_not_there(cli: Cli) -> None:
    cli.shipped("xor", ("xor: {samples: 400}", "Csv: {path: none.csv, target: y}"))
    assert "data.dataset: the file is not there" in cli("trace", "xor.yaml", code=3).err
    cli.shipped("mnist")
    assert cli("trace", "mnist.yaml", "--batch", 2).lines[0] == (
        "batch: 2 samples of random numbers in the shape of mnist, which is not in the cache; for real ones: "
        "dlcli data fetch mnist"
    )


@pytest.mark.mnist
def test_downloaded_data_is_taken_from_the_cache(cli: Cli, mnist_folder: Path) -> None:
    cli.shipped("mnist")
    ended = cli("trace", "mnist.yaml", "--json", env={"DLCLI_DATA_DIR": str(mnist_folder)})
    assert ended.lines[0] == "batch: the first 4 of 55,000 training samples, in the order of seed 0, normalised"
    assert ended.json["forward"][0]["arrays"]["x"]["min"] == pytest.approx(-0.4242, abs=1e-3)


def test_a_diverged_network_shows_where_it_left_the_finite_numbers(cli: Cli) -> None:
    changes = ["--set", "dtype=float32", "--set", "model.0.init={normal: {std: 1e38}}", "--set", "model.2.init=ones"]
    config = by_hand(cli)
    found = cli("trace", config, *changes, "--numbers", "--json").json
    y = found["forward"][0]["arrays"]["y"]
    assert (y["nonfinite"], y["mean"]) == (1, None)
    assert None in y["values"][0]
    assert found["loss"]["value"] is None
    text = cli("trace", config, *changes, "--numbers").out
    assert "\n   not finite: 1 of 6 in y\n" in text
    assert "\n   L = nan\n" in text


PLAIN = '''
import numpy as np
from dlcli import layers

@layers.register
class Double:
    """y = factor * x;  dx = factor * dy"""
    def __init__(self, factor=2.0): self.factor = factor
    def forward(self, x): return x * self.factor
    def backward(self, dy): return dy * self.factor

@layers.register
class Silent:
    def forward(self, x): return x
    def backward(self, dy): return dy

@layers.register
class Nothing:
    def forward(self, x): pass
    def backward(self, dy): return dy

@layers.register
class Short:
    def forward(self, x): return x
    def backward(self, dy): return dy[:1]
'''


def test_users_layers(cli: Cli) -> None:
    cli.write("mine.py", PLAIN)
    cli.shipped("xor", ("- Tanh", "- Double: {factor: 3.0}"))
    found = cli("trace", "xor.yaml", "--code", "mine.py", "--json").json
    assert (found["forward"][1]["formula"], found["backward"][2]["formula"]) == ("y = 3 * x", "dx = 3 * dy")
    cli.shipped("xor", ("- Tanh", "- Silent"))
    assert "\n1  Silent\n   x and y (4, 8)\n" in cli("trace", "xor.yaml", "--code", "mine.py").out
    cli.shipped("xor", ("- Tanh", "- Nothing"))
    assert cli("trace", "xor.yaml", "--code", "mine.py", code=3).lines[-1] == (
        "error: mine.py:17 (class Nothing): forward gave object shape (), expected real numbers of shape (4, 8)"
    )
    cli.shipped("xor", ("- Tanh", "- Short"))
    assert cli("trace", "xor.yaml", "--code", "mine.py", code=3).lines[-1] == (
        "error: mine.py:22 (class Short): backward gave shape (1, 8), expected real numbers of shape (4, 8)"
    )


def test_parts_are_never_shown(cli: Cli) -> None:
    network = Network([of("layers", *row.values) for row in rows("layers") if row.values[0] == "Residual"][:1], (4,))
    names = [name for name, layer in walk(network.root) if not isinstance(layer, Part)]
    loss = of("losses", "MSELoss", rows("losses")[0].values[1]._replace(options={}))
    trace = record(network, loss, (np.ones((2, 4)), np.zeros((2, 4))))
    assert [passage.name for passage in trace.forward] == names
