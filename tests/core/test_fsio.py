"""Files: atomic writes under the failure of every operation, exclusive directories, appended lines, plain messages."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from dlcli.core import faults, fsio
from dlcli.core.appendfile import AppendFile
from dlcli.core.errors import OutputError

ERRNOS = ("ENOSPC", "EIO", "EACCES", "EROFS", "EDQUOT", "EMFILE")


@pytest.fixture(autouse=True)
def _no_faults():
    faults.plan("")
    yield
    faults.plan("")


def names(folder: Path) -> list[str]:
    return sorted(p.name for p in folder.iterdir())


def failure_of(path: Path, data: bytes) -> OutputError | None:
    try:
        fsio.write_atomic(path, data)
    except OutputError as error:
        return error
    return None


def test_a_write_replaces_the_content_and_leaves_no_temporary_file(tmp_path: Path) -> None:
    path = tmp_path / "file"
    for content in (b"", b"one", b"x" * 3_000_000):
        fsio.write_atomic(path, content)
        assert path.read_bytes() == content
    assert names(tmp_path) == ["file"]


@pytest.mark.parametrize("umask", [0o000, 0o022, 0o077])
def test_permissions_follow_the_umask(tmp_path: Path, umask: int) -> None:
    before = os.umask(umask)
    try:
        fsio.write_atomic(tmp_path / "file", b"x")
    finally:
        os.umask(before)
    assert (tmp_path / "file").stat().st_mode & 0o777 == 0o666 & ~umask


@pytest.mark.parametrize("how", ["once", "ever"])
@pytest.mark.parametrize("name", ERRNOS)
def test_r3_each_operation_that_fails_leaves_old_or_new_and_says_so(tmp_path: Path, name: str, how: str) -> None:
    path = tmp_path / "file"
    failed = 0
    for nth in range(1, 20):
        path.write_bytes(b"old")
        faults.plan(f"any:{nth}:{name}:{how}")
        error = failure_of(path, b"new")
        faults.plan("")
        if error is None:
            assert path.read_bytes() == b"new"
            break
        failed += 1
        assert str(error).startswith(f"{path}: cannot write: ")
        assert path.read_bytes() == (b"new" if nth > 5 else b"old")
        fsio.sweep(tmp_path)
        assert names(tmp_path) == ["file"]
    assert failed == 6  # open_excl, write, fsync, close, replace, fsync_dir


def test_a_failed_write_takes_its_temporary_file_along(tmp_path: Path) -> None:
    faults.plan("fsync:1:EIO")
    with pytest.raises(OutputError):
        fsio.write_atomic(tmp_path / "file", b"new")
    assert names(tmp_path) == []


def test_short_writes_are_invisible(tmp_path: Path) -> None:
    faults.plan("write:1:short:ever")
    fsio.write_atomic(tmp_path / "file", bytes(range(256)))
    assert (tmp_path / "file").read_bytes() == bytes(range(256))


def test_the_message_names_path_reason_room_and_what_survives(tmp_path: Path) -> None:
    faults.plan("write:1:short,write:2:ENOSPC")
    with pytest.raises(OutputError) as caught:
        fsio.write_atomic(tmp_path / "file", b"x" * 1_300_000, "last good checkpoint: step 120")
    assert str(caught.value) == (
        f"{tmp_path}/file: cannot write: no space left on device (need 1.2 MiB); last good checkpoint: step 120"
    )


@pytest.mark.parametrize(
    ("path", "reason"),
    [
        ("missing/file", "no such file or directory"),
        ("file/below", "not a directory"),
        ("x" * 300, "file name too long"),
    ],
)
def test_paths_that_cannot_be_written(tmp_path: Path, path: str, reason: str) -> None:
    (tmp_path / "file").touch()
    with pytest.raises(OutputError, match=reason) as caught:
        fsio.write_atomic(tmp_path / path, b"x")
    assert len(caught.value.lines()[0]) <= 400


def test_a_pipe_or_a_device_is_not_replaced(tmp_path: Path) -> None:
    pipe, link = tmp_path / "pipe", tmp_path / "link"
    os.mkfifo(pipe)
    link.symlink_to(pipe)
    for path in (pipe, link):
        assert str(failure_of(path, b"x")) == f"{path}: cannot write: not a regular file"
    assert pipe.is_fifo()
    assert link.is_symlink()
    assert names(tmp_path) == ["link", "pipe"]


def test_a_directory_is_claimed_by_exactly_one(tmp_path: Path) -> None:
    with ThreadPoolExecutor(8) as pool:
        won = list(pool.map(fsio.claim_dir, [tmp_path / "run"] * 50))
    assert sum(won) == 1


def test_make_dirs(tmp_path: Path) -> None:
    fsio.make_dirs(tmp_path / "a" / "b")
    fsio.make_dirs(tmp_path / "a" / "b")
    assert (tmp_path / "a" / "b").is_dir()
    (tmp_path / "file").touch()
    (tmp_path / "dangling").symlink_to(tmp_path / "nowhere")
    for wrong in ("file", "file/below", "dangling"):
        with pytest.raises(OutputError):
            fsio.make_dirs(tmp_path / wrong)


def test_lines_are_appended_whole(tmp_path: Path) -> None:
    path = tmp_path / "lines"
    with AppendFile(path) as one, AppendFile(path) as two:
        for i in range(50):
            one.append_line(b"one %d" % i)
            two.append_line(b"two %d" % i)
        two.sync()
    assert sorted(path.read_bytes().splitlines()) == sorted(
        b"%s %d" % (w, i) for w in (b"one", b"two") for i in range(50)
    )


def test_a_hard_link_replaces_a_file_and_itself(tmp_path: Path) -> None:
    source, target = tmp_path / "a", tmp_path / "b"
    source.write_bytes(b"a")
    target.write_bytes(b"b")
    for _ in range(2):
        fsio.link_atomic(source, target)
        assert target.samefile(source)
        assert names(tmp_path) == ["a", "b"]


@pytest.mark.parametrize(("testing", "code"), [("1", -signal.SIGKILL), ("", 0)])
def test_faults_from_the_environment_are_honoured_in_tests_alone(tmp_path: Path, testing: str, code: int) -> None:
    program = (
        "import sys; from pathlib import Path; from dlcli.core import fsio; fsio.write_atomic(Path(sys.argv[1]), b'x')"
    )
    env = {**os.environ, "DLCLI_FAULT": "replace:1:kill", "DLCLI_TESTING": testing}
    assert subprocess.run([sys.executable, "-c", program, tmp_path / "file"], env=env).returncode == code
    assert (tmp_path / "file").exists() == (code == 0)


@pytest.mark.parametrize("limit", [0, 1, 4096, 99_999, 100_000])
def test_r5_a_real_limit_on_the_size_of_files(tmp_path: Path, limit: int) -> None:
    program = """if True:
        import resource, sys
        from pathlib import Path
        from dlcli.core import errors, fsio
        resource.setrlimit(resource.RLIMIT_FSIZE, (int(sys.argv[2]),) * 2)
        try:
            fsio.write_atomic(Path(sys.argv[1]), b"x" * 100_000)
        except errors.OutputError as error:
            print(error)
            sys.exit(error.code)
    """
    path = tmp_path / "file"
    path.write_bytes(b"old")
    done = subprocess.run([sys.executable, "-c", program, path, str(limit)], capture_output=True, text=True)
    assert done.stderr == ""
    if limit < 100_000:
        assert done.returncode == 8
        assert done.stdout == f"{path}: cannot write: file too large (need 98 KiB)\n"
        assert path.read_bytes() == b"old"
    else:
        assert path.read_bytes() == b"x" * 100_000
    assert names(tmp_path) == ["file"]


def test_writing_needs_no_numpy() -> None:
    program = "import sys; import dlcli.core.fsio, dlcli.core.lock; sys.exit('numpy' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", program]).returncode == 0
