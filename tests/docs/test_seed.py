"""The code of the tutorial that dlcli grew out of runs under the renamings that our own tutorial publishes.

Its text is no part of this repository: `DLCLI_TEST_SEEDS` names the folder that has it.
"""

from __future__ import annotations

import ast
import json
import re
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from snippets import Snippet, run, snippets

import dlcli
from dlcli import manual_seed
from dlcli.data import mnist

PAGE = (Path(__file__).parents[2] / "docs" / "tutorial.md").read_text(encoding="utf-8")
CONFIG = next(s.code for s in snippets(PAGE) if s.mark == ("file", "robust.yaml"))
RENAMINGS = re.findall(r"^\| `(.+)` \| `(.+)` \|$", PAGE.partition("| there | here |")[2], re.MULTILINE)


@pytest.fixture(scope="module")
def blocks(seeds_folder: Path) -> list[Snippet]:
    """The Python blocks of every text in the folder; the sketch that says `for each batch:` is no Python."""
    pages = [path.read_text(encoding="utf-8") for path in sorted(seeds_folder.iterdir())]
    found = [s for page in pages for s in snippets(page) if s.language == "python"]
    python = [s for s in found if "for each batch:" not in s.code]
    assert (len(found), len(python)) == (16, 15)
    return python


def renamed(code: str) -> str:
    """`code` under the published table; a row `def NAME` puts its import in the place of that function."""
    functions = {}
    for old, new in sorted(RENAMINGS, key=lambda row: -len(row[0])):
        if old.startswith("def "):
            functions[old.removeprefix("def ")] = new
        else:
            code = re.sub(re.escape(old) + r"\b", lambda _, new=new: new, code)
    lines = code.splitlines(keepends=True)
    for node in reversed(ast.parse(code).body):
        if isinstance(node, ast.FunctionDef) and node.name in functions:
            lines[node.lineno - 1 : node.end_lineno] = [functions[node.name] + "\n"]
    return "".join(lines)


def stand_in() -> Any:
    """A small set in the form of `load_mnist`: noise around one pattern for each class."""
    rng = np.random.default_rng(0)
    patterns = rng.standard_normal((10, 784))
    labels = rng.integers(0, 10, 1200)
    images = (patterns[labels] + rng.standard_normal((1200, 784))).astype(np.float32)
    return (images[:1000], labels[:1000]), (images[1000:], labels[1000:])


def play(blocks: list[Snippet], namespace: dict[str, Any]) -> tuple[str, int]:
    """Run all blocks in one namespace: what they printed, and how many of their commented values were held."""
    np.random.seed(0)
    manual_seed(0)
    printed, checked = "", 0
    for block in blocks:
        if "x_test" in block.code and "x_test" not in namespace and "X_train" in namespace:
            namespace |= {"x_test": namespace["X_train"], "y_test": namespace["y_train"]}  # the page leaves them out
        ran = run(block._replace(code=renamed(block.code)), namespace, "seed")
        printed, checked = printed + ran.printed, checked + ran.checked
    assert printed.count("PASSED") == 2
    assert "FAILED" not in printed
    assert printed.count("Loss = ") == 10
    return printed, checked


def test_the_table_is_read():
    assert ("deeplearning", "dlcli") in RENAMINGS
    assert len(RENAMINGS) == 7
    assert all(hasattr(dlcli, name) for name in ("gradient_check", "gradient_check_weights", "load_mnist"))


def test_all_blocks(blocks, namespace, monkeypatch):
    monkeypatch.setattr(mnist, "load_mnist", stand_in)
    _, checked = play(blocks, namespace)
    assert checked == 9
    assert namespace["test_acc"] > 0.9
    # What the page says in words next to its numbers.
    np.testing.assert_allclose(namespace["mse"].forward(namespace["y_pred"], namespace["y_true"]), 0.25)
    np.testing.assert_allclose(namespace["mse"].backward(), [[0.5, -0.5]])


@pytest.mark.mnist
def test_all_blocks_on_mnist(blocks, namespace, mnist_folder, monkeypatch):
    monkeypatch.setenv("DLCLI_DATA_DIR", str(mnist_folder))
    printed, _ = play(blocks, namespace)
    assert "Epoch 5/5" in printed
    assert namespace["X_test"].shape == (10000, 784)
    assert 0.94 < namespace["test_acc"] < 0.96  # what its learning rate of 0.01 gives


def test_plain_classes_as_written(blocks, namespace):
    """The page's activation, loss and optimizer, defined and then used."""
    for block in blocks[-3:]:
        run(block, namespace, "seed")
    x, y = np.array([[-2.0, 3.0]]), np.array([[-2.5, 0.0]])
    leaky, huber = namespace["LeakyReLU"](alpha=0.1), namespace["HuberLoss"](delta=1.0)
    np.testing.assert_allclose(leaky.forward(x), [[-0.2, 3.0]])
    assert dlcli.gradient_check(leaky, x)
    assert huber.forward(x, y) == pytest.approx((0.125 + 2.5) / 2)
    np.testing.assert_allclose(huber.backward(), [[0.25, 0.5]])
    np.testing.assert_allclose(huber.backward(), _of_built_in(x, y))

    params = {"w": np.ones((2, 2)), "b": np.zeros(2)}
    optimizer = namespace["SGDMomentum"](lr=0.1, momentum=0.5)
    for _ in range(2):
        optimizer.update(params, {"dw": np.ones((2, 2)), "db": np.ones(2)}, layer_id=0)
    np.testing.assert_allclose(params["w"], np.full((2, 2), 1 - 0.1 - 0.15))
    np.testing.assert_allclose(params["b"], [-0.25, -0.25])


def test_plain_classes_in_a_config(blocks, page_room, shell):
    """One decorator line each, and `--code`: checked and trained from the config that our tutorial shows."""
    layer, loss = (block.code for block in blocks[-3:-1])
    parts = [
        "from dlcli import layers, losses",
        layer.replace("class LeakyReLU", "@layers.register\nclass LeakyReLU"),
        loss.replace("class HuberLoss", "@losses.register\nclass HuberLoss"),
    ]
    (page_room / "parts.py").write_text("\n".join(parts), encoding="utf-8")
    (page_room / "robust.yaml").write_text(CONFIG, encoding="utf-8")
    checked = shell("dlcli gradcheck --code parts.py")
    assert checked.returncode == 0, checked.stderr
    assert "LeakyReLU" in checked.stdout
    assert "HuberLoss" in checked.stdout
    trained = shell('run=$(dlcli train robust.yaml --code parts.py); dlcli eval "$run" --code parts.py --json')
    assert trained.returncode == 0, trained.stderr
    assert json.loads(trained.stdout)["metrics"]["r2"] > 0.99


def _of_built_in(x: np.ndarray, y: np.ndarray) -> np.ndarray:
    loss = dlcli.HuberLoss()
    loss.forward(x, y)
    return loss.backward()
