"""Where a config may come from, and what is refused without waiting for it."""

import io
import os
from pathlib import Path

import pytest
from small_config import TEXT

from dlcli.config.load import load_config
from dlcli.config.source import MAX_BYTES, read_text
from dlcli.core.errors import ConfigError, UsageError


def problem(source) -> str:
    with pytest.raises(ConfigError) as error:
        read_text(source)
    (only,) = error.value.problems
    return only


@pytest.fixture(autouse=True)
def inside(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)


def test_a_file_and_a_run_directory():
    Path("small.yaml").write_text(TEXT)
    Path("run").mkdir()
    Path("run/config.yaml").write_text("name: earlier\n" + TEXT)
    assert load_config("small.yaml").name == "small"
    assert load_config("run").name == "earlier"


def test_standard_input(monkeypatch):
    monkeypatch.setattr("sys.stdin", io.TextIOWrapper(io.BytesIO(TEXT.encode())))
    assert load_config("-").name == "stdin"


def test_a_mark_at_the_start_is_no_character():
    Path("bom.yaml").write_bytes(b"\xef\xbb\xbf" + TEXT.encode())
    assert load_config("bom.yaml").seed == 3


REFUSED = [
    (b"a: \xe9\n", "f.yaml:1:4: byte 0xe9 is not UTF-8; save the file as UTF-8"),
    (b"a: 1\nb: \xff\n", "f.yaml:2:4: byte 0xff is not UTF-8; save the file as UTF-8"),
    ("a: 1".encode("utf-16"), "f.yaml: the text is UTF-16, expected UTF-8; save it as UTF-8"),
    (b"#" * (MAX_BYTES + 1), "f.yaml: larger than 1,048,576 bytes, expected a config"),
]


@pytest.mark.parametrize(("data", "message"), REFUSED, ids=["latin-1", "line-2", "utf-16", "large"])
def test_what_is_no_text(data, message):
    Path("f.yaml").write_bytes(data)
    assert problem("f.yaml") == message


def test_what_is_no_file():
    os.mkfifo("fifo")
    Path("folder").mkdir()
    assert problem("fifo") == "fifo: is no regular file, expected a config file (or '-' for standard input)"
    assert problem("/dev/zero").startswith("/dev/zero: is no regular file")
    assert problem("folder").startswith("folder: is a directory without config.yaml")
    assert problem("a\0b").startswith("a\\x00b: cannot be read")
    assert "cannot be read" in problem("x" * 5000)
    with pytest.raises(UsageError):
        read_text("")


def test_a_missing_file_has_a_neighbour():
    Path("configs").mkdir()
    Path("configs/mnist.yaml").touch()
    way_out = "'dlcli config new' writes starter configs"
    assert problem("configs/mnst.yaml") == (
        f"configs/mnst.yaml: no such file; did you mean 'configs/mnist.yaml'? ({way_out})"
    )
    assert problem("mnist.yaml").endswith(f"did you mean 'configs/mnist.yaml'? ({way_out})")
    assert problem("mnist").endswith(f"did you mean 'configs/mnist.yaml'? ({way_out})")
    assert problem("elsewhere/zzz.yaml") == f"elsewhere/zzz.yaml: no such file; {way_out}"
