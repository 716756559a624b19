"""Downloads from a server that misbehaves: the next mirror is asked, no wrong byte is kept (R15, R16, E106 to E116)."""

from __future__ import annotations

import os
import socket
import stat
import subprocess
import sys
import time
from http.server import BaseHTTPRequestHandler
from pathlib import Path

import pytest
from loopback import Reply, Server, body, source_of, status

from dlcli.core.errors import OutputError, UnavailableError
from dlcli.data import cache, download
from dlcli.data.cache import obtain
from dlcli.data.dataset import Access
from dlcli.data.download import Mirrors

DATA = bytes(range(256)) * 100
FILE = "file.gz"


def drip(handler: BaseHTTPRequestHandler) -> None:
    """One byte every 20 ms of a body of known length."""
    handler.send_response(200)
    handler.send_header("Content-Length", str(len(DATA)))
    handler.end_headers()
    for byte in DATA[:150]:
        handler.wfile.write(bytes([byte]))
        time.sleep(0.02)


def endless(handler: BaseHTTPRequestHandler) -> None:
    handler.send_response(200)
    handler.end_headers()
    while True:
        handler.wfile.write(bytes(1 << 16))


def silence(handler: BaseHTTPRequestHandler) -> None:
    time.sleep(3)


def slow_headers(handler: BaseHTTPRequestHandler) -> None:
    for _ in range(150):
        handler.wfile.write(b"HTTP/1.0 200 OK\r\n"[:1])
        time.sleep(0.02)


MISCHIEF: dict[str, tuple[Reply, str]] = {
    "403": (status(403), "HTTP status 403"),
    "404": (status(404), "HTTP status 404"),
    "429": (status(429), "HTTP status 429"),
    "500": (status(500), "HTTP status 500"),
    "503": (status(503, Retry_After="3600"), "HTTP status 503"),
    "cut": (body(DATA[:9000], length=len(DATA)), "connection lost|hung up|sent 9000 bytes"),
    "short": (body(DATA[:-1], length=-1), "sent 25599 bytes, expected 25600"),
    "wrong": (body(DATA[::-1]), "sent wrong bytes"),
    "page": (body(b"<html>log in</html>", kind="text/html"), "sent 19 bytes, expected 25600"),
    "loop": (status(302, Location=f"/{FILE}"), "redirects without end"),
    "local": (status(302, Location="file:///etc/hostname"), "InvalidSchema"),
    "drip": (drip, "too slow|no answer"),
    "endless": (endless, "more than the expected 25600 bytes"),
    "silence": (silence, "no answer|no connection|too slow"),
    "headers": (slow_headers, "no answer|no connection|too slow"),
}


def test_takes_the_first_mirror_that_works(server: Server) -> None:
    done: list[tuple[str, int, int]] = []
    source = source_of({FILE: DATA}, (server.serve({FILE: DATA}), server.base("second/")))
    mirrors = Mirrors(source, Access(progress=lambda *seen: done.append(seen)))
    assert mirrors.download(FILE, source.files[FILE]) == DATA
    assert done[-1] == (FILE, len(DATA), len(DATA))
    assert server.asked == [f"/{FILE}"]


@pytest.mark.parametrize("mischief", MISCHIEF)
def test_r16_falls_through_to_the_next_mirror(server: Server, mischief: str) -> None:
    server.replies[f"/{FILE}"] = MISCHIEF[mischief][0]
    notes: list[str] = []
    source = source_of({FILE: DATA}, (server.base(), server.serve({FILE: DATA}, "good/")))
    assert Mirrors(source, Access(note=notes.append)).download(FILE, source.files[FILE]) == DATA
    assert len(notes) == 1
    assert notes[0].startswith(server.base() + FILE)
    assert notes[0].endswith(f"took it from {server.base('good/')}")


@pytest.mark.parametrize("mischief", MISCHIEF)
def test_r16_all_mirrors_bad_names_each_url_with_its_reason(server: Server, mischief: str, tmp_path: Path) -> None:
    reply, words = MISCHIEF[mischief]
    server.replies[f"/{FILE}"] = reply
    source = source_of({FILE: DATA}, (server.base(), server.base("nothing/")))
    notes: list[str] = []
    with pytest.raises(UnavailableError, match=words) as caught:
        obtain(source, Access(tmp_path, note=notes.append))
    assert notes == []  # the error says it all
    bad, missing, ways_out = caught.value.problems
    assert bad.startswith(server.base() + FILE)
    assert missing == f"{server.base('nothing/')}{FILE}: HTTP status 404"
    assert "dlcli data import DIR" in ways_out
    assert "DLCLI_DATA_DIR" in ways_out
    assert "configs/digits.yaml" in ways_out
    assert list(tmp_path.iterdir()) == []


def closed_port() -> int:
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        return int(taken.getsockname()[1])


@pytest.mark.parametrize(
    ("base", "words"),
    [
        (f"http://127.0.0.1:{closed_port()}/", "no connection: connection refused"),
        ("http://nowhere.invalid/", "no connection: name not known"),
        ("http://a..b/", "InvalidURL|LocationParseError|UnicodeError"),
        ("http://[::1/", "InvalidURL|Invalid IPv6"),
        ("nonsense", "MissingSchema|InvalidSchema|Invalid URL"),
        ("file:///tmp/", "InvalidSchema"),
    ],
    ids=["refused", "no such host", "empty label", "broken IPv6", "no URL", "a file"],
)
def test_e106_no_connection(server: Server, monkeypatch: pytest.MonkeyPatch, base: str, words: str) -> None:
    real = socket.getaddrinfo

    def lookup(host: str, *rest: object, **named: object) -> object:
        if host.endswith(".invalid"):
            raise socket.gaierror(-2, "Name not known")
        return real(host, *rest, **named)  # type: ignore[arg-type]

    monkeypatch.setattr(socket, "getaddrinfo", lookup)
    source = source_of({FILE: DATA}, (base,))
    with pytest.raises(UnavailableError, match=words):
        Mirrors(source, Access()).download(FILE, source.files[FILE])


def test_e111_no_secure_connection(server: Server) -> None:
    source = source_of({FILE: DATA}, (server.base().replace("http", "https"),))
    with pytest.raises(UnavailableError, match=r"no connection: .*ssl"):
        Mirrors(source, Access()).download(FILE, source.files[FILE])


def test_e106_proxy_that_is_down(server: Server, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("NO_PROXY")
    monkeypatch.delenv("no_proxy", raising=False)
    monkeypatch.setenv("http_proxy", f"http://127.0.0.1:{closed_port()}")
    source = source_of({FILE: DATA}, (server.serve({FILE: DATA}),))
    with pytest.raises(UnavailableError, match="no connection through the proxy: connection refused"):
        Mirrors(source, Access()).download(FILE, source.files[FILE])


def test_a_silent_mirror_is_not_asked_again(server: Server, tmp_path: Path) -> None:
    both = {"a.gz": DATA, "b.gz": DATA[::-1]}
    server.replies["/a.gz"] = server.replies["/b.gz"] = silence
    source = source_of(both, (server.base(), server.serve(both, "good/")))
    assert obtain(source, Access(tmp_path)) == both
    assert server.asked == ["/a.gz", "/good/a.gz", "/good/b.gz"]


def test_all_waiting_together_has_an_end(server: Server, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(download, "PATIENCE", 10.0)
    monkeypatch.setattr(download, "TOTAL_PATIENCE", 1.5)
    bases = tuple(server.base(f"{i}/") for i in range(3))
    for i in range(3):
        server.replies[f"/{i}/{FILE}"] = silence
    source = source_of({FILE: DATA}, bases)
    started = time.monotonic()
    with pytest.raises(UnavailableError) as caught:
        Mirrors(source, Access()).download(FILE, source.files[FILE])
    assert time.monotonic() - started < 2.9
    assert len(caught.value.problems) == 3


def test_own_mirrors_come_first_and_are_laid_out_as_the_cache(server: Server, tmp_path: Path) -> None:
    server.serve({FILE: DATA}, "own/sub/")
    source = source_of({FILE: DATA}, (server.base("known/"),), folder="sub")
    assert obtain(source, Access(tmp_path, mirrors=(server.base("own"),))) == {FILE: DATA}
    assert server.asked == [f"/own/sub/{FILE}"]
    assert (tmp_path / "sub" / FILE).read_bytes() == DATA


def test_access_reads_the_environment(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("DLCLI_DATA_DIR", str(tmp_path))
    monkeypatch.setenv("DLCLI_MIRRORS", "http://a/ , http://b,")
    access = Access.from_environment(offline=True)
    assert (access.cache, access.mirrors, access.offline) == (tmp_path, ("http://a/", "http://b"), True)
    monkeypatch.delenv("DLCLI_DATA_DIR")
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "caches"))
    monkeypatch.setenv("HOME", str(tmp_path))
    assert "dlcli" in str(cache.folder_of(source_of({}), Access.from_environment()))


@pytest.mark.parametrize(("umask", "mode"), [(0o022, 0o644), (0o077, 0o600), (0o002, 0o664)])
def test_files_are_as_readable_as_the_umask_says(server: Server, tmp_path: Path, umask: int, mode: int) -> None:
    source = source_of({FILE: DATA}, (server.serve({FILE: DATA}),))
    before = os.umask(umask)
    try:
        obtain(source, Access(tmp_path / "new" / "cache"))
    finally:
        os.umask(before)
    assert stat.S_IMODE((tmp_path / "new" / "cache" / FILE).stat().st_mode) == mode


def test_e113_cache_that_cannot_be_made(server: Server, tmp_path: Path) -> None:
    blocked = tmp_path / "file"
    blocked.write_bytes(b"")
    source = source_of({FILE: DATA}, (server.serve({FILE: DATA}),))
    for folder in (blocked, blocked / "below"):
        with pytest.raises(OutputError, match="cannot write"):
            obtain(source, Access(folder))


CHILD = """
import sys
from pathlib import Path
from dlcli.data.cache import obtain
from dlcli.data.dataset import Access
from dlcli.data.sources import Fingerprint, Source
folder, mirror, name, size, digest = sys.argv[1:]
source = Source("small", "", {name: Fingerprint(int(size), digest)}, (mirror,))
print(len(obtain(source, Access(Path(folder)))[name]))
"""


def test_r15_eight_processes_with_an_empty_cache(server: Server, tmp_path: Path) -> None:
    source = source_of({FILE: DATA}, (server.serve({FILE: DATA}),))
    folder = tmp_path / "deep" / "cache"
    arguments = [str(folder), source.mirrors[0], FILE, *map(str, source.files[FILE])]
    root = Path(cache.__file__).parents[2]
    command = [sys.executable, "-c", CHILD, *arguments]
    children = [
        subprocess.Popen(command, cwd=root, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True) for _ in range(8)
    ]
    results = [(*child.communicate(timeout=60), child.returncode) for child in children]
    assert results == [(f"{len(DATA)}\n", "", 0)] * 8
    assert [path.name for path in folder.iterdir()] == [FILE]
    assert (folder / FILE).read_bytes() == DATA
