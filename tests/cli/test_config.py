"""`config show`, `schema` and `new`, and `--set` in all its forms."""

from __future__ import annotations

import tomllib
from pathlib import Path
from typing import Any

import jsonschema
import pytest
from commandline import CONFIGS, PACKAGE, Cli

from dlcli.config.yamlfile import parse

SHIPPED = sorted(path.stem for path in CONFIGS.glob("*.yaml"))


def loaded(text: str) -> Any:
    """A document in the YAML of configs, where `1e-08` is a number."""
    return parse(text, "test").value


@pytest.mark.parametrize("name", SHIPPED)
def test_show_writes_every_default_and_is_the_same_config(cli: Cli, name: str) -> None:
    cli.shipped(name)
    shown = cli("config", "show", f"{name}.yaml").out
    resolved = cli.write("resolved.yaml", shown)
    assert {"name", "seed", "dtype", "schedule"} <= loaded(shown).keys()
    assert cli("config", "show", resolved).out == shown
    hashes = {cli("check", file, "--json").json["sha256"] for file in (f"{name}.yaml", resolved)}
    assert len(hashes) == 1
    whole = cli("config", "show", f"{name}.yaml", "--json").json
    assert whole == cli("config", "show", resolved, "--json").json
    assert {k: v for k, v in whole.items() if k != "model"} == {k: v for k, v in loaded(shown).items() if k != "model"}


def test_what_show_prints_trains_to_the_same_directory_name(cli: Cli) -> None:
    cli.shipped("xor")
    cli.write("shown.yaml", cli("config", "show", "xor.yaml").out)
    few = ("--max-steps", "1")
    assert cli("train", "shown.yaml", *few).out == cli("train", "xor.yaml", *few).out.replace("-2\n", "\n")


def test_schema_accepts_every_shipped_config_and_its_resolved_form(cli: Cli) -> None:
    schema = cli("config", "schema").json
    jsonschema.Draft202012Validator.check_schema(schema)
    validator = jsonschema.Draft202012Validator(schema)
    for name in SHIPPED:
        cli.shipped(name)
        for text in ((CONFIGS / f"{name}.yaml").read_text(), cli("config", "show", f"{name}.yaml").out):
            assert list(validator.iter_errors(loaded(text))) == []
    wrong = loaded((CONFIGS / "xor.yaml").read_text())
    wrong["model"][0] = {"Linear": {"out_feature": 3}}
    assert not validator.is_valid(wrong)


@pytest.mark.parametrize("name", SHIPPED)
def test_new_writes_the_shipped_configs(cli: Cli, name: str) -> None:
    assert name in cli("config", "new").out
    ended = cli("config", "new", name)
    assert (ended.out, ended.err) == (f"{name}.yaml\n", f"next   dlcli train {name}.yaml\n")
    assert (cli.folder / f"{name}.yaml").read_text() == (CONFIGS / f"{name}.yaml").read_text()
    assert "exists already" in cli("config", "new", name, code=7).err
    assert cli("config", "new", name, "mine/first.yaml").out == "mine/first.yaml\n"


def test_the_wheel_carries_the_configs() -> None:
    settings: dict[str, Any] = tomllib.loads((PACKAGE / "pyproject.toml").read_text())["tool"]["hatch"]["build"]
    assert settings["targets"]["wheel"]["packages"] == ["dlcli"]
    assert settings["targets"]["wheel"]["force-include"] == {"configs": "dlcli/configs"}


def test_an_installed_package_has_the_configs(cli: Cli) -> None:
    # What the wheel unpacks to: the package with the configs inside.
    site = cli.folder / "site"
    site.mkdir()
    (site / "dlcli").mkdir()
    for entry in (PACKAGE / "dlcli").iterdir():
        (site / "dlcli" / entry.name).symlink_to(entry)
    (site / "dlcli" / "configs").symlink_to(CONFIGS)
    assert "digits  " in cli.real("config", "new", env={"PYTHONPATH": str(site)}).out


SETTINGS: dict[str, tuple[str, Any]] = {
    "optimizer.lr=0.05": ("optimizer.SGD.lr", 0.05),
    "optimizer.SGD.lr=5e-2": ("optimizer.SGD.lr", 0.05),
    "model.1.out_features=20": ("model.1.Linear.out_features", 20),
    "model.1.Linear.out_features=20": ("model.1.Linear.out_features", 20),
    "train.epochs=3": ("train.epochs", 3),
    "optimizer={Adam: {lr: 0.01}}": ("optimizer.Adam.lr", 0.01),
    "optimizer=AdamW": ("optimizer.AdamW.lr", 0.001),
    "schedule=CosineAnnealingLR": ("schedule.CosineAnnealingLR.warmup", None),
    "schedule={OneCycleLR: {warmup: 10%}}": ("schedule.OneCycleLR.warmup", "10%"),
    "train.early_stopping={patience: 3 epochs}": ("train.early_stopping.patience", "3 epochs"),
    "train.monitor=val.loss": ("train.monitor", "val.loss"),
    "seed=7": ("seed", 7),
    "dtype=float64": ("dtype", "float64"),
}


@pytest.mark.parametrize("change", SETTINGS)
def test_set(cli: Cli, change: str) -> None:
    cli.shipped("digits")
    path, expected = SETTINGS[change]
    found = cli("config", "show", "digits.yaml", "--set", change, "--json").json
    for part in path.split("."):
        found = found[int(part) if isinstance(found, list) else part]
    assert found == expected


REFUSED = {
    "train.epoch=3": (3, "unknown key 'train.epoch'; did you mean 'train.epochs'?"),
    "epochs=3": (3, "unknown key 'epochs'; did you mean 'train.epochs'?"),
    "lr=1": (3, "unknown key 'lr'; did you mean 'optimizer.lr'?"),
    "optimizer.lr=fast": (3, "optimizer.SGD.lr: got 'fast'"),
    "model.9.out_features=3": (3, "unknown key 'model.9.out_features'"),
    "loss=[": (3, "--set loss=["),
    "optimizer.lr": (2, "--set 'optimizer.lr': got no '=', expected KEY=VALUE such as optimizer.lr=0.05"),
}


@pytest.mark.parametrize("change", REFUSED)
def test_a_wrong_set(cli: Cli, change: str) -> None:
    cli.shipped("digits")
    code, message = REFUSED[change]
    ended = cli("train", "digits.yaml", "--set", change, code=code)
    assert ended.out == ""
    assert len(ended.lines) == 1
    assert message in ended.err
    assert not (cli.folder / "runs").exists()


def test_a_config_may_be_a_run_directory_or_standard_input(cli: Cli, digits: Path) -> None:
    text = (cli.folder / digits / "config.yaml").read_text()
    assert cli("config", "show", digits).out == text
    assert cli.real("config", "show", "-", stdin=text).out == text
