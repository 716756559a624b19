"""The reference page: made by one command, up to date, with links that lead somewhere, and complete."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

import dlcli
from dlcli.config.schema import Config
from dlcli.core.registry import Registry
from dlcli.experiment.inspect import sections
from dlcli.experiment.reference import COMMAND

ROOT = Path(__file__).parents[2]
PAGE = (ROOT / "docs" / "reference.md").read_text(encoding="utf-8")

CATALOGUE = {
    "layers": """
        Linear Conv2d MaxPool2d AvgPool2d AdaptiveAvgPool2d GlobalAvgPool2d GlobalMaxPool2d
        BatchNorm1d BatchNorm2d LayerNorm GroupNorm Dropout Dropout2d GaussianNoise
        Flatten Reshape Identity ZeroPad2d Sequential Residual Concat Repeat
        ReLU LeakyReLU ReLU6 PReLU ELU SELU CELU GELU SiLU Mish Hardswish Hardsigmoid Hardtanh
        Sigmoid Tanh Softplus Softsign LogSigmoid Softmax LogSoftmax Maxout
    """,
    "initializers": """
        zeros ones constant uniform normal trunc_normal xavier_uniform xavier_normal kaiming_uniform kaiming_normal
        lecun_uniform lecun_normal orthogonal sparse torch_default
    """,
    "constraints": "MaxNorm NonNeg UnitNorm",
    "losses": """
        CrossEntropyLoss NLLLoss MSELoss L1Loss HuberLoss SmoothL1Loss BCELoss BCEWithLogitsLoss KLDivLoss
        MultiMarginLoss FocalLoss LogCoshLoss PoissonNLLLoss
    """,
    "optimizers": "SGD SGDMomentum Adam AdamW RMSprop Adagrad Adadelta Adamax NAdam RAdam Lion LAMB Muon",
    "schedules": """
        ConstantLR StepLR MultiStepLR ExponentialLR LinearLR PolynomialLR CosineAnnealingLR CosineAnnealingWarmRestarts
        OneCycleLR CyclicLR ReduceLROnPlateau InverseTimeDecay InverseSqrt WarmupStableDecay
    """,
    "metrics": """
        accuracy error_rate top_k_accuracy balanced_accuracy precision recall f1 confusion_matrix log_loss brier
        calibration_error mse rmse mae r2
    """,
    "datasets": "mnist fashion-mnist digits linear xor spirals blobs Csv Npz Npy Idx",
    "augmentations": """
        RandomShift RandomRotation RandomAffine ElasticTransform RandomErasing RandomCrop RandomHorizontalFlip
        GaussianNoise
    """,
}
"""What a user can count on, by kind: configs name these."""


@pytest.mark.parametrize("plural", CATALOGUE)
def test_the_catalogue_is_registered_under_these_names(plural: str) -> None:
    dir(dlcli)
    assert sorted(set(CATALOGUE[plural].split()) - set(Registry.all[plural])) == []


def test_every_kind_is_in_the_catalogue() -> None:
    dir(dlcli)
    assert set(CATALOGUE) == set(Registry.all)


def test_the_page_is_what_its_command_prints(shell) -> None:
    done = shell(COMMAND.partition(" >")[0])
    assert done.returncode == 0, done.stderr
    assert done.stdout == PAGE, f"docs/reference.md is stale; renew it: {COMMAND}"


def test_its_links_lead_somewhere() -> None:
    anchors = re.findall(r'<a id="([^"]+)"></a>', PAGE)
    assert len(anchors) == len(set(anchors))
    assert set(re.findall(r"\]\(#([^)]+)\)", PAGE)) == set(anchors)
    files = set(re.findall(r"\]\(\.\./([^)]+)\)", PAGE))
    assert len(files) > 40
    assert [file for file in files if not (ROOT / file).is_file()] == []


def test_it_has_every_key_and_component() -> None:
    headings = re.findall(r"^### (.+)$", PAGE, re.MULTILINE)
    paths = [path for path, *_ in sections() if path]
    assert headings == [f"`{path}`" for path in paths] + [name for plural in CATALOGUE for name in names(plural)]
    keys = {f.name for f in vars(Config)["__dataclass_fields__"].values() if f.init}
    first = PAGE.partition("## Config")[2].partition("###")[0]
    assert set(re.findall(r"^\| `(\w+)` \|", first, re.MULTILINE)) == keys


def names(plural: str) -> list[str]:
    """The entries of a kind in the table of contents, which tells how many they are."""
    (count, links) = re.search(
        rf"^- \[\*\*{plural.capitalize()}\*\*\]\(#{plural}\) \((\d+)\): (.+)$", PAGE, re.M
    ).groups()
    found = re.findall(r"\[([^]]+)\]", links)
    assert len(found) == int(count)
    return found


def test_it_has_no_path_of_the_machine_that_made_it() -> None:
    assert str(ROOT) not in PAGE
    assert re.findall(r"[\s(`'\"]/(?:home|root|tmp|usr|Users)\b", PAGE) == []
