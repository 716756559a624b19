"""Every snippet of the tutorial runs, in order, and gives the values that the page shows."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

import pytest
from snippets import Snippet, run, snippets

PAGE = Path(__file__).parents[2] / "docs" / "tutorial.md"
TEXT = PAGE.read_text(encoding="utf-8")
ALL = snippets(TEXT)


def write_files(room: Path) -> None:
    """Save the blocks that the reader is told to save."""
    for snippet in ALL:
        if snippet.mark[0] == "file":
            (room / str(snippet.mark[1])).write_text(snippet.code, encoding="utf-8")


def play(page: list[Snippet], namespace: dict[str, Any]) -> int:
    """Run the Python blocks in one namespace, compare the text blocks with what was printed; the values checked."""
    printed, checked = "", 0
    for snippet in page:
        if snippet.language == "python" and snippet.mark[0] != "file":
            printed, count = run(snippet, namespace, PAGE.name)
            checked += count
        elif snippet.language == "text":
            assert printed == snippet.code, f"{PAGE.name}:{snippet.line}"
            checked += 1
    return checked


def test_every_snippet_without_mnist(page_room, namespace):
    write_files(page_room)
    assert play([s for s in ALL if s.mark != ("needs", "mnist")], namespace) == 51


@pytest.mark.mnist
def test_every_snippet_with_mnist(page_room, namespace, mnist_folder, monkeypatch):
    monkeypatch.setenv("DLCLI_DATA_DIR", str(mnist_folder))
    write_files(page_room)
    assert play(ALL, namespace) == 57


def enter(page: list[Snippet], shell: Any) -> str:
    """Run the console blocks in turn, compare the output blocks with the one before; all that they wrote to stdout."""
    output, last = "", ""
    for snippet in page:
        if snippet.language == "console":
            done = shell(snippet.code)
            assert done.returncode == 0, f"{PAGE.name}:{snippet.line}: exit {done.returncode}\n{done.stderr}"
            last = done.stdout
            output += last
        elif snippet.language == "output":
            assert snippet.code == last, f"{PAGE.name}:{snippet.line}"
    return output


def test_every_command_without_mnist(page_room, shell):
    write_files(page_room)
    output = enter([s for s in ALL if s.mark != ("needs", "mnist")], shell)
    assert re.search(r"true +learned", output)  # the weights of the linear regression, side by side
    assert len(re.findall("^runs/", output, re.MULTILINE)) >= 2


@pytest.mark.mnist
def test_the_commands_on_mnist(mnist_folder, shell, monkeypatch):
    monkeypatch.setenv("DLCLI_DATA_DIR", str(mnist_folder))
    output = enter([s for s in ALL if s.mark == ("needs", "mnist")], shell)
    accuracies = [float(a) for a in re.findall(r"^accuracy +([\d.]+)", output, re.MULTILINE)]
    assert len(accuracies) == 2  # validation and test
    assert min(accuracies) > 0.97


def test_contents_lead_to_the_chapters():
    headings = re.findall(r"^## (\d+\. .*)$", TEXT, re.MULTILINE)
    assert re.findall(r"^\d+\. \[.*\]\(#(.*)\)$", TEXT, re.MULTILINE) == [
        re.sub(r"[^\w -]", "", heading.lower()).replace(" ", "-") for heading in headings
    ]


@pytest.mark.parametrize(
    ("code", "wrong"),
    [
        ("x = 1 / 3  # 0.33", "x = 1 / 3  # 0.34"),
        ("[1, 2]  # [1, 2]", "[1, 2]  # [1, 3]"),
        ("[[1.5]]  # [[1.5]]", "[[1.5]]  # [1.5]"),
        ("x = [[1, 2]]  # shape (1, 2)", "x = [[1, 2]]  # shape (2, 1)"),
        ("print('is', 7)  # 7", "print('is', 7)  # 8"),
        ("1 < 2  # True", "1 > 2  # True"),
    ],
)
def test_a_wrong_comment_is_found(code, wrong):
    assert run(Snippet(1, (None, None), "python", code), {}, "page").checked == 1
    with pytest.raises(AssertionError, match="page:1: shows"):
        run(Snippet(1, (None, None), "python", wrong), {}, "page")
