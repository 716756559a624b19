"""What reaches stdout and stderr: exact plain lines, the moving bar on a pseudo-terminal, streams that are dead."""

from __future__ import annotations

import io
import os
import pty
import re
import subprocess
import sys
import threading
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path
from typing import TextIO

import pytest

from dlcli.cli import render, screen
from dlcli.core.errors import OutputError
from dlcli.training.loop import EpochDone, StepDone

FIGURES = {"train.loss": 0.35194, "train.accuracy": 0.89981, "val.loss": 0.201, "val.accuracy": 0.94237, "grad_norm": 1}
CONTROL = re.compile(r"\x1b\[[0-9;?]*[A-Za-z]")


def step(k: int, epoch: int = 1) -> StepDone:
    return StepDone(k, epoch, 0.5, 0.1, 1.0, 64, False)


def train(view: render.TrainingView, epochs: int = 2, steps: int = 3) -> None:
    """What a training shows."""
    for epoch in range(1, epochs + 1):
        for k in range(1, steps + 1):
            view.step(step((epoch - 1) * steps + k, epoch))
        view.epoch(EpochDone(epoch * steps, epoch, 0.1, FIGURES), 0.94, best=epoch == 1)


@pytest.fixture
def _every_step_is_drawn(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(screen, "PERIOD", 0.0)
    monkeypatch.setattr(screen, "SHARE", float("inf"))
    for name in ("NO_COLOR", "FORCE_COLOR", "TTY_COMPATIBLE", "TTY_INTERACTIVE", "COLUMNS"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("TERM", "xterm-256color")
    monkeypatch.setenv("COLUMNS", "80")


def on_terminal(show: Callable[[TextIO], None]) -> str:
    """Everything that `show` sends to a terminal."""
    master, slave = pty.openpty()
    received = bytearray()

    def read() -> None:
        while True:
            try:
                data = os.read(master, 65536)
            except OSError:  # the last writer is gone
                return
            if not data:
                return
            received.extend(data)

    reader = threading.Thread(target=read)
    reader.start()
    with open(slave, "w", encoding="utf-8") as stream:
        show(stream)
    reader.join(10)
    os.close(master)
    return received.decode()


def test_elsewhere_training_is_one_plain_line_an_epoch() -> None:
    stream = io.StringIO()
    with render.TrainingView(6, 3, 2, stream=stream) as view:
        train(view)
        view.note("a note")
    assert stream.getvalue().split("\n") == [
        "epoch 1/2  step 3  train.loss 0.3519  train.accuracy 0.8998  val.loss 0.2010  val.accuracy 0.9424"
        "  lr 0.1  0.9 s  best",
        "epoch 2/2  step 6  train.loss 0.3519  train.accuracy 0.8998  val.loss 0.2010  val.accuracy 0.9424"
        "  lr 0.1  0.9 s",
        "a note",
        "",
    ]


@pytest.mark.usefixtures("_every_step_is_drawn")
def test_on_a_terminal_a_table_grows_above_a_bar_and_the_bar_is_taken_away() -> None:
    def show(stream: TextIO) -> None:
        with render.TrainingView(6, 3, 2, stream=stream, running=lambda: {"accuracy": 0.75}) as view:
            train(view)
            view.note("[bold]a note[/bold]")

    sent = on_terminal(show)
    text = CONTROL.sub("", sent).replace("\r", "\n")
    assert "━" in text
    assert re.search(r"epoch 2/2  ━+[╸╺]?━* +83 %  [\d.]+ m?s left", text)
    assert re.search(r"loss 0\.5000   accuracy 0\.7500   lr 0\.1   [\d,]+ samples/s", text)
    lines = [line.rstrip() for line in text.split("\n") if line.strip()]
    rows = [line for line in lines if not re.search(r"━|samples/s", line)]
    assert rows == [
        "          ───── train ──────   ────── val ───────",
        "  epoch      loss   accuracy      loss   accuracy         lr        time",
        "    1/2    0.3519     0.8998    0.2010     0.9424        0.1       0.9 s  best",
        "    2/2    0.3519     0.8998    0.2010     0.9424        0.1       0.9 s",
        "[bold]a note[/bold]",
    ]
    assert sent.rindex("\x1b[?25h") > sent.rindex("\x1b[?25l")
    assert sent.rindex("\x1b[2K") > sent.rindex("samples/s")


@pytest.mark.usefixtures("_every_step_is_drawn")
def test_an_exception_takes_the_bar_away_too() -> None:
    def show(stream: TextIO) -> None:
        with suppress(KeyboardInterrupt), render.TrainingView(6, 3, 2, stream=stream) as view:
            view.step(step(1))
            raise KeyboardInterrupt

    sent = on_terminal(show)
    assert sent.rindex("\x1b[2K") > sent.rindex("samples/s")
    assert sent.rindex("\x1b[?25h") > sent.rindex("\x1b[?25l")


@pytest.mark.usefixtures("_every_step_is_drawn")
def test_no_color_is_honoured_on_a_terminal(monkeypatch: pytest.MonkeyPatch) -> None:
    def show(stream: TextIO) -> None:
        with render.TrainingView(6, 3, 2, stream=stream) as view:
            train(view)

    assert re.search(r"\x1b\[[0-9;]*m", on_terminal(show))
    monkeypatch.setenv("NO_COLOR", "1")
    sent = on_terminal(show)
    assert "samples/s" in sent
    assert not re.search(r"\x1b\[[0-9;]*m", sent)


@pytest.mark.usefixtures("_every_step_is_drawn")
def test_a_dumb_terminal_gets_plain_lines(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("TERM", "dumb")
    sent = on_terminal(lambda stream: train(render.TrainingView(6, 3, 2, stream=stream)))
    assert "\x1b" not in sent
    assert sent.count("\n") == 2


@pytest.mark.usefixtures("_every_step_is_drawn")
@pytest.mark.parametrize("size", ["0", "1", "7", "40", "1000", "-3", "x"])
@pytest.mark.parametrize("side", ["COLUMNS", "LINES"])
def test_any_size_is_survived_and_rows_are_never_wrapped(monkeypatch: pytest.MonkeyPatch, side: str, size: str) -> None:
    def show(stream: TextIO) -> None:
        with render.TrainingView(6, 3, 2, stream=stream) as view:
            train(view)

    monkeypatch.setenv(side, size)
    row, plain = "    2/2    0.3519     0.8998    0.2010", "epoch 2/2  step 6  train.loss 0.3519  train.accuracy 0.8998"
    assert (plain if size == "0" else row) in on_terminal(show)


@pytest.mark.usefixtures("_every_step_is_drawn")
def test_drawing_is_limited_in_number_and_in_its_share_of_the_time(monkeypatch: pytest.MonkeyPatch) -> None:
    now = [100.0]
    monkeypatch.setattr(screen.time, "monotonic", lambda: now[0])
    monkeypatch.setattr(screen, "PERIOD", 0.1)
    shown = []

    def show(stream: TextIO) -> None:
        view = render.TrainingView(1000, 1000, 1, stream=stream)
        draw = screen.Screen.draw
        monkeypatch.setattr(screen.Screen, "draw", lambda *a: (shown.append(now[0]), draw(*a)))
        for k in range(1, 1000):
            now[0] += 0.001
            view.step(step(k))
        view.close()

    on_terminal(show)
    assert 9 <= len(shown) <= 10


class Failing(io.StringIO):
    """A terminal that fails from its n-th write on."""

    def __init__(self, good: int, error: type[Exception]) -> None:
        super().__init__()
        self.left, self.error = good, error

    def isatty(self) -> bool:
        return True

    def write(self, text: str) -> int:
        self.left -= 1
        if self.left < 0:
            raise self.error("gone")
        return super().write(text)


@pytest.mark.usefixtures("_every_step_is_drawn")
@pytest.mark.parametrize("error", [BrokenPipeError, OSError, ValueError])
@pytest.mark.parametrize("good", range(12))
def test_r24_a_stream_that_dies_at_any_write_makes_the_view_silent(good: int, error: type[Exception]) -> None:
    stream = Failing(good, error)
    with render.TrainingView(6, 3, 2, stream=stream) as view:
        train(view)
        view.note("x")
    assert stream.left == -1  # the failed write was the last one


def test_a_closed_or_missing_stderr_is_silence(monkeypatch: pytest.MonkeyPatch) -> None:
    closed = io.StringIO()
    closed.close()
    for stream in (closed, None):
        monkeypatch.setattr(sys, "stderr", stream)
        render.err("x")
        with render.TrainingView(6, 3, 2) as view:
            train(view)
        progress = render.download_progress()
        progress("name", 5, 5)
        progress.close()


def run(code: str, **how: object) -> subprocess.CompletedProcess[str]:
    code = "import sys\nfrom dlcli.cli import render\n" + code
    return subprocess.run([sys.executable, "-c", code], text=True, check=False, **how)  # type: ignore[call-overload]


def test_r24_a_full_device_as_stderr_leaves_stdout_and_exit_code_alone() -> None:
    code = "v = render.TrainingView(6, 3, 2)\nv.note('x')\nrender.err('y')\nv.close()\nrender.out('result')"
    with Path("/dev/full").open("w") as full:
        done = run(code, stdout=subprocess.PIPE, stderr=full)
    assert (done.returncode, done.stdout) == (0, "result\n")


def test_importing_and_plain_lines_load_neither_rich_nor_numpy() -> None:
    code = """
view = render.TrainingView(6, 3, 2)
view.note("x")
view.close()
progress = render.download_progress()
progress("name", 1, 2)
progress("name", 2, 2)
render.out(" ".join(m for m in ("rich", "numpy") if m in sys.modules))
"""
    assert run(code, capture_output=True).stdout == "\n"


def test_out_is_one_write_with_one_newline(capfd: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch) -> None:
    written: list[str] = []
    monkeypatch.setattr(sys.stdout, "write", written.append)
    render.out("a")
    render.out("b\nc\n")
    assert written == ["a\n", "b\nc\n"]


def test_out_keeps_charts_and_the_bytes_of_paths_in_any_locale() -> None:
    code = "render.out('█ caf\\udce9')"
    for encoding in ("ascii", "utf-8"):
        done = subprocess.run(
            [sys.executable, "-c", "from dlcli.cli import render\n" + code],
            env={**os.environ, "PYTHONIOENCODING": f"{encoding}:strict"},
            capture_output=True,
            check=True,
        )
        assert done.stdout == "█ caf".encode() + b"\xe9\n"


def test_out_raises_where_nothing_can_be_written(monkeypatch: pytest.MonkeyPatch) -> None:
    closed = io.StringIO()
    closed.close()
    for stream in (None, closed, Failing(0, BrokenPipeError)):
        monkeypatch.setattr(sys, "stdout", stream)
        with pytest.raises((OutputError, BrokenPipeError), match=r"closed|gone"):
            render.out("x")


def test_downloads_elsewhere_are_one_line_a_file() -> None:
    stream = io.StringIO()
    progress = render.DownloadProgress(stream)
    for received in (1_000_000, 5_000_000, 9_912_422):
        progress("train-images-idx3-ubyte.gz", received, 9_912_422)
    progress.note("trying the next mirror")
    progress.close()
    assert stream.getvalue() == "fetched train-images-idx3-ubyte.gz 9.9 MB\ntrying the next mirror\n"


@pytest.mark.usefixtures("_every_step_is_drawn")
def test_downloads_on_a_terminal_have_a_bar_for_each_file() -> None:
    def show(stream: TextIO) -> None:
        progress = render.DownloadProgress(stream)
        for name in ("first", "second"):
            for received in (1000, 500_000, 2_000_000):
                progress(name, received, 2_000_000)
        progress.close()

    sent = on_terminal(show)
    text = CONTROL.sub("", sent)
    assert re.search(r"second  ━+[╸╺]?━* +500\.0 kB of 2\.0 MB", text)
    assert "fetched first 2.0 MB\r\n" in text
    assert text.endswith("fetched second 2.0 MB\r\n")
    assert sent.rindex("\x1b[?25h") > sent.rindex("\x1b[?25l")
