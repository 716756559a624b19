"""Small IDX files made on the spot, and a server on this machine that can misbehave."""

from __future__ import annotations

import gzip
import hashlib
import struct
import threading
from collections.abc import Callable
from contextlib import suppress
from dataclasses import replace
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

import numpy as np

from dlcli.data.sources import TEST_IMAGES, TEST_LABELS, TRAIN_IMAGES, TRAIN_LABELS, Fingerprint, Source

Reply = Callable[[BaseHTTPRequestHandler], None]


def idx(array: np.ndarray) -> bytes:
    """The IDX file of an array of unsigned bytes."""
    return struct.pack(f">4B{array.ndim}I", 0, 0, 8, array.ndim, *array.shape) + array.astype(np.uint8).tobytes()


def small_files() -> dict[str, bytes]:
    """The four files of a data set of random images, 30 to train and 10 to test."""
    rng = np.random.default_rng(0)
    arrays = {
        TRAIN_IMAGES: rng.integers(0, 256, (30, 28, 28)),
        TRAIN_LABELS: np.arange(30) % 10,
        TEST_IMAGES: rng.integers(0, 256, (10, 28, 28)),
        TEST_LABELS: np.arange(10),
    }
    return {name: gzip.compress(idx(array), mtime=0) for name, array in arrays.items()}


def source_of(files: dict[str, bytes], mirrors: tuple[str, ...] = (), folder: str = "") -> Source:
    """A source with the true fingerprints of `files`."""
    prints = {name: fingerprint(data) for name, data in files.items()}
    return Source("small", folder, prints, mirrors)


def decodable(files: dict[str, bytes], mirrors: tuple[str, ...] = ()) -> Source:
    """The same of gzip files, which knows what is in them."""
    inside = {name: fingerprint(gzip.decompress(data)) for name, data in files.items()}
    return replace(source_of(files, mirrors), decoded=inside)


def fingerprint(data: bytes) -> Fingerprint:
    """The true one."""
    return Fingerprint(len(data), hashlib.sha256(data).hexdigest())


class Server:
    """A mirror on this machine: `replies` by path; a path without one is answered with 404."""

    def __init__(self) -> None:
        self.replies: dict[str, Reply] = {}
        self.asked: list[str] = []
        outer = self

        class Handler(BaseHTTPRequestHandler):
            def do_GET(self) -> None:
                outer.asked.append(self.path)
                with suppress(OSError):  # the client hung up, as it should on some
                    outer.replies.get(self.path, status(404))(self)
                self.close_connection = True

            def log_message(self, *_: object) -> None:
                pass

        self.http = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self.http.daemon_threads = True
        threading.Thread(target=self.http.serve_forever, kwargs={"poll_interval": 0.01}, daemon=True).start()

    def base(self, folder: str = "") -> str:
        return f"http://127.0.0.1:{self.http.server_port}/{folder}"

    def serve(self, files: dict[str, bytes], folder: str = "") -> str:
        """Serve `files` as they are below `folder`; the base URL."""
        for name, data in files.items():
            self.replies[f"/{folder}{name}"] = body(data)
        return self.base(folder)

    def stop(self) -> None:
        self.http.shutdown()
        self.http.server_close()


def body(data: bytes, length: int | None = None, kind: str = "application/gzip") -> Reply:
    """Answers 200 with `data`, declaring `length` bytes (None: the true number; -1: none at all)."""

    def reply(handler: BaseHTTPRequestHandler) -> None:
        handler.send_response(200)
        handler.send_header("Content-Type", kind)
        if length != -1:
            handler.send_header("Content-Length", str(len(data) if length is None else length))
        handler.end_headers()
        handler.wfile.write(data)

    return reply


def status(code: int, **headers: str) -> Reply:
    """Answers with an empty body and this status."""

    def reply(handler: BaseHTTPRequestHandler) -> None:
        handler.send_response(code)
        for name, value in headers.items():
            handler.send_header(name.replace("_", "-"), value)
        handler.send_header("Content-Length", "0")
        handler.end_headers()

    return reply
