"""The catalogue of bad inputs: each gets its exit code and one line a problem, and changes nothing."""

from __future__ import annotations

import os
import queue
import random
import re
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from fnmatch import fnmatch
from functools import partial
from http.server import SimpleHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from threading import Thread

import pytest
from bad import harness
from bad.harness import HERE, Case, Ended, ForkServer

from dlcli.core.errors import ConfigError, DataError
from dlcli.experiment.plugins import load_components
from dlcli.experiment.prepare import prepare

CASES = {case.id: case for case in harness.cases()}
WORKERS = 2

Outcome = Callable[[str], tuple[Ended, Path]]


@pytest.fixture(scope="module")
def outcome(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Outcome]:
    """How a case ended. All chosen cases run side by side, ahead of their tests; a server runs one at a time."""
    items = [] if "PYTEST_XDIST_WORKER" in os.environ else request.session.items  # there, others have most of them
    chosen = [item.callspec.params["name"] for item in items if item.originalname == "test_bad_input"]
    top = tmp_path_factory.mktemp("bad")
    servers: queue.Queue[ForkServer] = queue.Queue()
    for _ in range(WORKERS):
        servers.put(ForkServer())

    def run(name: str) -> tuple[Ended, Path]:
        server, work = servers.get(), top / str(list(CASES).index(name))
        try:
            return harness.run(CASES[name], server, work), work
        finally:
            servers.put(server)

    with ThreadPoolExecutor(WORKERS) as pool:
        ahead = {name: pool.submit(run, name) for name in chosen}
        yield lambda name: ahead[name].result() if name in ahead else run(name)
    for _ in range(WORKERS):
        servers.get().close()


@pytest.mark.parametrize("name", CASES)
def test_bad_input(name: str, outcome: Outcome) -> None:
    judge(CASES[name], *outcome(name))


def judge(case: Case, ended: Ended, work: Path) -> None:
    """What holds for every bad input, and what expect.json asks of this one."""
    said = ended.stderr.splitlines()
    errors = [line for line in said if line.startswith("error: ")]
    notes = [line for line in said if not line.startswith("error: ")]
    assert ended.code == case.code, (ended.code, ended.stderr)
    assert len(errors) == len(case.lines), errors
    for line, expected in zip(errors, case.lines, strict=True):
        assert harness.matches(line, expected, work), f"\n  got      {line}\n  expected {expected}"
    assert all(len(line) <= 400 and line.isprintable() and not line.endswith(".") for line in errors), errors
    if case.notes != harness.ANY:
        assert len(notes) == len(case.notes), notes
        for line, expected in zip(notes, case.notes, strict=True):
            assert harness.matches(line, expected, work), f"\n  got      {line}\n  expected {expected}"
    assert "Traceback" not in ended.stderr
    assert "Warning:" not in ended.stderr
    if case.stdout != harness.ANY:
        assert ended.stdout == case.stdout
    assert [p for p in ended.changed if not any(fnmatch(p, allowed) for allowed in case.leaves)] == []
    assert ended.audit == ""
    assert ended.memory < harness.MEMORY
    assert ended.seconds < harness.LIMIT


def test_the_catalogue_is_whole() -> None:
    """Every exit code that a user can meet is met in a process of its own, and every row that is due has a folder."""
    real = {case.code for case in CASES.values() if case.real or case.cmd.startswith(harness.SCRIPT)}
    codes = {case.code for case in CASES.values()}
    rows = {int(name[:3]) for name in CASES}
    due = {*range(1, 72), *range(74, 106), 116, 117, 120, *range(124, 129), *range(138, 144), 145}
    assert codes == {0, 2, 3, 4, 5, 6, 7, 8, 9, 10}
    assert real == codes
    assert due <= rows


class Quiet(SimpleHTTPRequestHandler):
    """Serves a folder and says nothing."""

    def log_message(self, *_: object) -> None:
        pass


@pytest.mark.mnist
def test_109_a_mirror_with_wrong_bytes_is_passed_over_with_a_note(mnist_folder: Path, tmp_path: Path) -> None:
    served, work = tmp_path / "served", tmp_path / "w"
    (served / "wrong").mkdir(parents=True)
    for file in mnist_folder.glob("*.gz"):
        (served / "wrong" / file.name).write_bytes(b"wrong" + file.read_bytes()[5:])
    (served / "right").symlink_to(mnist_folder)
    with ThreadingHTTPServer(("127.0.0.1", 0), partial(Quiet, directory=str(served))) as http:
        Thread(target=http.serve_forever, daemon=True).start()
        base = f"http://127.0.0.1:{http.server_port}"
        mirrors = {"DLCLI_MIRRORS": f"{base}/wrong/,{base}/right/"}
        case = Case("109", tmp_path / "none", "data fetch mnist", 0, env=mirrors, real=True)
        case.folder.mkdir()
        ended = harness.run(case, None, work)
        http.shutdown()
    assert ended.code == 0, ended.stderr
    assert f"{base}/wrong/train-images-idx3-ubyte.gz" in ended.stderr
    assert len([line for line in ended.stderr.splitlines() if line.startswith("fetched ")]) == 4
    assert [line.split("/")[-1] for line in ended.stdout.splitlines()] == [Path(p).name for p in fetched(work)]


def fetched(work: Path) -> list[str]:
    """The files of the cache, training before test, images before labels."""
    return sorted((p.name for p in (work / "cache").glob("*.gz")), key=lambda n: (n[0] == "t" and n[1] == "1", n))


PIECES = (
    "null", "true", "-1", "0", "1e308", "1e-320", "99999999999999999", "''", "[]", "{}", "[1, 2]", "{a: 1}", "abc",
    "0.5", "10%", "0 steps", "9e9 epochs", "90 s", "Linear", "{Linear: {out_features: 3}}", "Softmax", "Dropout",
    "{Sequential: {layers: [Flatten]}}", "{Sequential: {layers: []}}", "linear", "xor", "{spirals: {classes: 2}}",
    "MSELoss", "HuberLoss", "Adam", "AdamW", "{StepLR: {step_size: 1 epoch}}", "OneCycleLR", "float64", "val.loss",
    "train.accuracy", "[mse, r2]",
)  # fmt: skip
"""What is put in place of a value: wrong kinds, extremes, and what is right elsewhere."""


def mutated(text: str, rng: random.Random) -> str:
    """A config with up to four of its values replaced, lines doubled, moved or taken away."""
    for _ in range(rng.randint(1, 4)):
        lines = text.splitlines(keepends=True)
        i, kind = rng.randrange(len(lines)), rng.randrange(6)
        if kind == 0:
            del lines[i]
        elif kind == 1:
            lines.insert(rng.randrange(len(lines)), lines[i])
        else:
            values = list(re.finditer(r"(?<=[:\[-] )[^ {}\[\],\n][^,{}\[\]\n]*", lines[i]))
            if values:
                value = rng.choice(values)
                lines[i] = lines[i][: value.start()] + rng.choice(PIECES) + lines[i][value.end() :]
        text = "".join(lines) or "a: 1\n"
    return text


def check(file: Path) -> list[str]:
    """The lines that `dlcli check` prints for a config; any exception but its own fails the test."""
    try:
        prepare(str(file), [], lambda line: None)
    except (ConfigError, DataError) as error:
        return error.lines()
    return []


def test_r18_no_mutation_of_a_config_gets_past_check(tmp_path: Path) -> None:
    load_components()
    rng, file = random.Random(7), tmp_path / "c.yaml"
    seeds = [HERE.joinpath(harness.BASE).read_text(), *(p.read_text() for p in harness.ROOT.glob("configs/*.yaml"))]
    refused = 0
    for _ in range(2000):
        text = mutated(rng.choice(seeds), rng)
        file.write_text(text)
        began = time.monotonic()
        try:
            lines = check(file)
        except Exception as error:
            pytest.fail(f"{type(error).__name__}: {error}; put this into tests/corpus/configs:\n{text}")
        refused += bool(lines)
        assert all(line.isprintable() and len(line) <= 400 and "c.yaml" in line for line in lines), text
        assert time.monotonic() - began < 1, text
    assert 1000 < refused < 2000


@pytest.mark.parametrize("file", sorted(harness.ROOT.glob("tests/corpus/configs/*")), ids=lambda file: file.stem)
def test_r18_past_failures_stay_fixed(file: Path) -> None:
    load_components()
    assert check(file)


SPY = """
import os, pickle, socket, subprocess
os.system("true")
subprocess.Popen(["true"]).wait()
exec("1 + 1")
pickle.loads(pickle.dumps(os.getcwd))
open("../outside", "a").close()
try:
    socket.create_connection(("127.0.0.1", 9), 0.1)
except OSError:
    pass
"""


def test_r17_the_guard_sees_what_it_forbids(tmp_path: Path) -> None:
    """What a user's own code may do is the proof that data which did it would be noticed."""
    case = Case("17", tmp_path / "files", "check c.yaml --code spy.py", 0)
    case.folder.mkdir()
    (case.folder / "spy.py").write_text(SPY)
    server = ForkServer()
    try:
        seen = harness.run(case, server, tmp_path / "w").audit
    finally:
        server.close()
    for event in ("os.system", "subprocess.Popen", "exec", "pickle.find_class", "open", "socket.connect"):
        assert f"{event}: " in seen, event
