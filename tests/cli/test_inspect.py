"""`check`, `summary`, `list` and `describe`."""

from __future__ import annotations

from pathlib import Path
from types import ModuleType

import pytest
from commandline import CONFIGS, Cli

import dlcli
from dlcli.cli.charts import bytes_text
from dlcli.core.registry import Registry

SHIPPED = sorted(path.stem for path in CONFIGS.glob("*.yaml"))


@pytest.mark.parametrize("name", SHIPPED)
def test_every_shipped_config_is_right_without_a_warning(cli: Cli, name: str) -> None:
    cli.shipped(name)
    ended = cli("check", f"{name}.yaml", "--json")
    assert ended.json["warnings"] == ended.json["notes"] == []
    assert ended.json["parameters"] > 0
    assert ended.err == ""
    assert [path.name for path in cli.folder.iterdir()] == [f"{name}.yaml"]


def test_check_tells_shapes_and_the_next_command(cli: Cli) -> None:
    cli.shipped("mnist")
    ended = cli("check", "mnist.yaml", "--set", "model.1.out_features=100")
    assert ended.out == ("ok: mnist.yaml: 1x28x28 -> 784 -> 100 -> 100 -> 10, 79,510 parameters, 860 steps an epoch\n")
    assert ended.err == "next   dlcli train mnist.yaml --set model.1.out_features=100\n"
    shapes = cli("check", "mnist.yaml", "--json").json["shapes"]
    assert shapes == [[1, 28, 28], [784], [128], [128], [10]]


def test_check_tells_all_problems_at_once(cli: Cli) -> None:
    cli.write("c.yaml", "data: {dataset: digitz}\nmodel:\n  - Linaer: {out_features: 3}\nloss: MSE\nseeed: 1\n")
    ended = cli("check", "c.yaml", code=3)
    assert ended.out == ""
    places = [line.split(": ")[1].removeprefix("c.yaml:") for line in ended.lines]
    assert places == ["1:1", "1:1", "1:17", "3:5", "4:7", "5:1"]
    for name in ("digits", "Linear", "seed"):
        assert f"did you mean '{name}'?" in ended.err


def test_check_without_the_users_file_notes_what_was_not_checked(cli: Cli) -> None:
    cli.shipped("xor", ("xor: {samples: 400}", "Csv: {path: none.csv, target: y}"))
    ended = cli("check", "xor.yaml")
    assert ended.out == "ok: xor.yaml\n"
    assert any("shapes were not checked" in line for line in ended.lines)


def test_a_missing_config_suggests_its_neighbour(cli: Cli) -> None:
    cli.shipped("digits")
    assert cli("check", "digit.yaml", code=3).err == (
        "error: digit.yaml: no such file; did you mean 'digits.yaml'? ('dlcli config new' writes starter configs)\n"
    )


def test_summary(cli: Cli, digits: Path) -> None:
    cli.shipped("mnist")
    text = cli("summary", "mnist.yaml").out
    rows = {cells[1]: cells for cells in map(str.split, text.splitlines()) if len(cells) > 1}
    assert rows["Flatten"][2:4] == ["784", "0"]
    assert "101,770 parameters in float32, 407.1 kB" in text
    found = cli("summary", "mnist.yaml", "--json").json
    assert [row["parameters"] for row in found["rows"]] == [0, 100480, 0, 1290]
    assert found["rows"][1]["flops"] == 2 * 784 * 128
    newest = cli("summary", "--json")
    assert newest.lines == [f"run: {digits}"]
    assert newest.json == cli("summary", "digits.yaml", "--json").json
    assert newest.json == cli("summary", f"{digits}/checkpoints/best.npz", "--json").json


NESTED = """\
data: {dataset: digits, batch_size: 10}
model:
  - Conv2d: {out_channels: 4, kernel_size: 3, padding: 1}
  - BatchNorm2d
  - Repeat:
      times: 4
      layers:
        - Residual:
            name: block
            body: [{Conv2d: {out_channels: 4, kernel_size: 3, padding: 1, trainable: false}}, ReLU]
        - Repeat: {times: 2, layers: [Tanh]}
  - Concat:
      branches:
        - [{Conv2d: {out_channels: 2, kernel_size: 1}}, Tanh]
        - []
  - Flatten
  - Linear: {out_features: 10}
loss: CrossEntropyLoss
optimizer: {SGD: {lr: 0.1}}
train: {epochs: 1}
"""


def test_summary_of_layers_inside_layers(cli: Cli) -> None:
    cli.write("nested.yaml", NESTED)
    conv, pixels = 4 * 4 * 9 + 4, 64
    found = cli("summary", "nested.yaml", "--json").json
    rows = {row["name"]: row for row in found["rows"]}
    assert len(rows) == 2 + 1 + 4 * (1 + 2 + 1 + 2) + 1 + 2 + 2
    depths = {"2.3.0": 1, "2.3.0.body.0": 2, "2.3.0.body.1": 2, "2.3.1": 1, "2.3.1.0.0": 2, "2.3.1.1.0": 2}
    assert {name: row["depth"] for name, row in rows.items() if name.startswith("2.3")} == depths
    assert found["parameters"] == sum(r["parameters"] for r in found["rows"]) == 40 + 8 + 4 * conv + 10 + 384 * 10 + 10
    assert found["flops"] == sum(row["flops"] for row in found["rows"])
    assert rows["2.0.0"]["flops"] == 4 * pixels
    assert rows["2"]["flops"] == rows["2"]["activation"] == rows["3"]["flops"] == 0
    assert rows["3"]["activation"] == 6 * pixels * 4
    assert found["activation_bytes"] == 10 * sum(row["activation"] for row in found["rows"])
    assert found["parameters"] - found["trainable"] == 4 * conv
    assert found["state"] == 2 * 4

    text = cli("summary", "nested.yaml").out
    lines = {cells[0]: " ".join(cells[1:]) for cells in map(str.split, text.splitlines()) if cells}
    assert list(lines)[2:16] == [
        *("0", "1", "2", "2.0.0", "2.0.0.body.0", "2.0.0.body.1", "2.0.1", "2.0.1.0.0", "2.0.1.1", "2.1-3"),
        *("3", "3.0.0", "3.0.1", "4"),
    ]
    assert "\n2.0.0.body.0      Conv2d          4 x 8 x 8  " in text
    assert lines["2.1-3"].startswith(f"3 more alike 4 x 8 x 8 {3 * conv} ")
    counts = " ".join(f"{found[key]:,}" for key in ("parameters", "flops", "backward_flops"))
    scratch = sum(row["scratch"] for row in found["rows"])
    assert lines["total"] == f"{counts} {bytes_text(found['activation_bytes'])} {bytes_text(scratch)}"
    assert f"{4 * conv} of them frozen; 8 numbers of state\n" in text


def test_summary_tells_what_training_takes(cli: Cli) -> None:
    cli.shipped("mnist")
    found = cli("summary", "mnist.yaml", "--threads", 2, "--json").json
    assert found["backward_flops"] == 2 * 784 * 128 + 128 + 2 * 2 * 128 * 10
    assert found["training_bytes"] == sum(found["memory"].values())
    assert list(found["memory"]) == [
        *("parameters", "gradients", "optimizer", "averages", "activations", "scratch", "batch"),
    ]
    text = cli("summary", "mnist.yaml", "--threads", 2).out
    assert "\nFLOPs of one sample, memory of a batch of 64 on 2 threads\n" in text
    taken = f"\ntraining takes {found['training_bytes'] / 1e6:.1f} MB, data and validation aside: "
    assert f"{taken}parameters 407.1 kB, gradients 407.1 kB, optimizer " in text
    assert f"\na checkpoint takes {found['checkpoint_bytes'] / 1e3:.1f} kB on disk\n" in text
    more = cli("summary", "mnist.yaml", "--set", "train.ema={}", "--set", "optimizer=Adam: {lr: 0.01}", "--json").json
    assert more["memory"]["averages"] > 3 * 407_080
    assert more["memory"]["optimizer"] > found["memory"]["optimizer"] + 2 * 407_080


@pytest.mark.parametrize(
    ("name", "changes"),
    [
        ("xor", ["train.epochs=2"]),
        ("digits", ["train.epochs=1"]),
        ("digits", ["train.epochs=1", "train.ema={}", "optimizer=Adam: {lr: 0.01}", "dtype=float64"]),
    ],
)
def test_summary_tells_the_size_of_a_checkpoint(cli: Cli, name: str, changes: list[str]) -> None:
    cli.shipped(name)
    options = [word for change in changes for word in ("--set", change)]
    told = cli("summary", f"{name}.yaml", *options, "--json").json["checkpoint_bytes"]
    run = cli.train(f"{name}.yaml", *options)
    for path in (run / "checkpoints").iterdir():
        assert told == pytest.approx(path.stat().st_size, rel=0.05)


def test_summary_of_a_users_plain_layers(cli: Cli) -> None:
    """One returns a new array at every call, the other what it gets; neither tells what it costs."""
    cli.write(
        "mine.py",
        "import dlcli\n"
        'class Twice:\n    """y = 2 x"""\n    def forward(self, x): return 2 * x\n'
        "    def backward(self, dy): return 2 * dy\ndlcli.layers.register(Twice)\n"
        'class Same:\n    """y = x"""\n    def forward(self, x): return x\n'
        "    def backward(self, dy): return dy\ndlcli.layers.register(Same)\n",
    )
    cli.shipped("digits", ("  - ReLU\n", "  - Twice\n  - Same\n"))
    _, linear, twice, same, _ = cli("summary", "digits.yaml", "--code", "mine.py", "--json").json["rows"]
    assert twice["activation"] == linear["activation"] == 4 * 64
    assert twice["scratch"] == same["activation"] == same["scratch"] == 0
    assert twice["flops"] == twice["backward_flops"] == 64


@pytest.mark.parametrize("returned", ["[1]", "x[:, 1:]", "x.astype('U')"])
def test_summary_blames_a_users_layer_that_does_not_work(cli: Cli, returned: str) -> None:
    cli.write(
        "mine.py",
        f'import dlcli\nclass Wrong:\n    """y = x"""\n    def forward(self, x): return {returned}\n'
        "    def backward(self, dy): return dy\ndlcli.layers.register(Wrong)\n",
    )
    cli.shipped("digits", ("  - ReLU\n", "  - Wrong\n"))
    (line,) = cli("summary", "digits.yaml", "--code", "mine.py", code=3).lines
    assert line.startswith("error: mine.py:2 ")
    assert "(class Wrong): forward gave " in line


@pytest.mark.torch
def test_summary_counts_the_parameters_of_pytorch(cli: Cli, torch: ModuleType) -> None:
    nn = torch.nn
    blocks = [nn.Conv2d(4, 4, 3, padding=1) for _ in range(4)]
    module = nn.Sequential(
        nn.Conv2d(1, 4, 3, padding=1), nn.BatchNorm2d(4), *blocks, nn.Conv2d(4, 2, 1), nn.Linear(384, 10)
    )
    cli.write("nested.yaml", NESTED)
    found = cli("summary", "nested.yaml", "--json").json
    assert found["parameters"] == sum(p.numel() for p in module.parameters())
    assert found["state"] == sum(b.numel() for b in module.buffers() if b.ndim)


def test_list_counts_the_components_of_every_kind_and_says_where_they_go(cli: Cli) -> None:
    dir(dlcli)
    found = cli("list", "--json").json
    assert found == {plural: list(registry) for plural, registry in Registry.all.items()}
    ended = cli("list")
    rows = [line.split(maxsplit=2) for line in ended.out.splitlines()[1:]]
    assert {kind: int(count) for kind, count, _ in rows} == {kind: len(names) for kind, names in found.items()}
    places = {kind: place for kind, _, place in rows}
    assert [places[kind] for kind in ("layers", "datasets", "augmentations")] == [
        "model",
        "data.dataset",
        "data.augment",
    ]
    assert places["initializers"] == "init of a layer"
    assert ended.lines == ["next   dlcli list layers"]


def test_list_of_a_kind_names_every_component_with_its_summary(cli: Cli) -> None:
    dir(dlcli)
    for plural, registry in Registry.all.items():
        lines = [line.split(maxsplit=1) for line in cli("list", plural).out.splitlines()]
        assert [name for name, _ in lines] == list(registry)
        assert all(about.strip() for _, about in lines)
    assert cli("list", "layer", "--json").json == {"layers": list(Registry.all["layers"])}
    assert max(map(len, cli("list", "layers").out.splitlines())) <= 80
    assert max(map(len, cli("list", "layers", env={"COLUMNS": "200"}).out.splitlines())) > 80
    assert "did you mean 'layers'" in cli("list", "layrs", code=2).err


def test_describe(cli: Cli) -> None:
    text = cli("describe", "Linear").out
    assert "y = x @ weight.T + bias" in text
    assert "  out_features  an integer >= 1          required\n" in text
    assert "  in_features   an integer >= 1 or null  inferred\n" in text
    assert "default 1.0   factor on the learning rate\n" in text
    assert "  Linear: {out_features: 3}\n" in text
    assert "dlcli/nn/layers/linear.py:" in text
    found = cli("describe", "Linear", "--json").json
    assert list(found) == ["kind", "name", "doc", "options", "place", "examples", "source", "origin"]


def test_describe_says_sizes_in_a_few_words(cli: Cli) -> None:
    text = cli("describe", "Conv2d").out
    assert "  stride        an integer >= 1 or a list of 2 of them                   default 1\n" in text
    assert "  padding       'same', 'valid', an integer >= 0 or a list of 2 of them  default 0\n" in text


def test_describe_shows_every_component_of_a_name(cli: Cli) -> None:
    text = cli("describe", "GaussianNoise").out
    assert [text.index(f"GaussianNoise ({kind})") for kind in ("layer", "augmentation")] == [
        0,
        text.rindex("GaussianNoise ("),
    ]
    assert "in a config (model)" in text
    assert "in a config (data.augment)" in text
    assert [found["kind"] for found in cli("describe", "GaussianNoise", "--json").json] == ["layer", "augmentation"]


def test_describe_wants_a_name_or_all(cli: Cli) -> None:
    assert "expected the NAME of a component, or --all" in cli("describe", code=2).err
    cli("describe", "Linear", "--all", code=2)
    everything = cli("describe", "--all", "--json").json
    assert len(everything) == sum(map(len, cli("list", "--json").json.values()))


def test_the_reference_page_has_the_users_components_too(cli: Cli) -> None:
    cli.write(
        "mine.py",
        'import dlcli\nclass Twice:\n    """y = 2 x"""\n    def forward(self, x): return 2 * x\n'
        "    def backward(self, dy): return 2 * dy\ndlcli.layers.register(Twice)\n",
    )
    page = cli("describe", "--all", "--code", "mine.py").out
    assert "### Twice\n\n```text\ny = 2 x\n```\n\nWritten in `mine.py`.\n" in page


def test_components_of_every_kind_can_be_described(cli: Cli) -> None:
    for names in cli("list", "--json").json.values():
        assert cli("describe", names[-1]).out.startswith(f"{names[-1]} (")
