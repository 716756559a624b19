"""Downloads a file into memory from the first mirror that gives the right bytes, and waits for none too long."""

from __future__ import annotations

import threading
import time

from dlcli.core.errors import UnavailableError
from dlcli.data.dataset import Access
from dlcli.data.files import sha256
from dlcli.data.sources import Fingerprint, Source

PATIENCE = 10.0
"""Seconds in which a mirror has to bring `STEP` more bytes, the time to connect included."""
TOTAL_PATIENCE = 30.0
"""Seconds that all mirrors together may keep one command waiting for nothing."""
STEP = 8192
"""Bytes that count as progress: with less in `PATIENCE` seconds a download would take hours."""
POLL = 0.05
"""Seconds between two looks at a download."""


class MirrorError(Exception):
    """One attempt failed; `silent` where the mirror did not answer or stalled, so that asking again would only wait."""

    def __init__(self, reason: str, silent: bool = False) -> None:
        super().__init__(reason)
        self.silent = silent


class Body:
    """A file object for a downloader: memory that refuses more than `most` bytes, and any once it is abandoned."""

    def __init__(self, most: int) -> None:
        self.most = most
        self.data = bytearray()
        self.abandoned = False

    def write(self, chunk: bytes) -> None:
        if self.abandoned or len(self.data) + len(chunk) > self.most:
            raise MirrorError(f"sends more than the expected {self.most} bytes")
        self.data += chunk

    def flush(self) -> None:
        """Nothing to do; file objects have it."""


class Mirrors:
    """The mirrors of a source while its files are fetched; remembers which of them kept silent.

    A mirror of the user's own is laid out as the cache: one folder a source, where the source has one.
    """

    def __init__(self, source: Source, access: Access) -> None:
        import pooch  # noqa: F401  # now, lest the time to load it count as waiting for a mirror
        import requests  # noqa: F401

        own = ("/".join((url.rstrip("/"), source.folder)).rstrip("/") + "/" for url in access.mirrors)
        self.bases = list(dict.fromkeys((*own, *source.mirrors)))
        self.access = access
        self.silent: dict[str, str] = {}
        self.noted: set[str] = set()
        self.left = TOTAL_PATIENCE

    def download(self, name: str, fingerprint: Fingerprint) -> bytes:
        """The file's bytes, verified. UnavailableError with a line for every URL where none has them."""
        failures: dict[str, str] = {}
        for tried, base in enumerate(self.bases):
            if base in self.silent:
                failures[base] = f"not asked again: {self.silent[base]}"
                continue
            started = time.monotonic()
            patience = min(PATIENCE, self.left / (len(self.bases) - tried))
            try:
                data = self._attempt(base + name, name, fingerprint, patience)
            except MirrorError as failure:
                self.left -= min(time.monotonic() - started, patience)
                failures[base] = str(failure)
                if failure.silent:
                    self.silent[base] = str(failure)
            else:
                self._note(name, failures, base)
                return data
        raise UnavailableError(*(f"{base}{name}: {why}" for base, why in failures.items()))

    def _note(self, name: str, failures: dict[str, str], base: str) -> None:
        """Say once of every mirror that it failed, when another has helped; else the error says it."""
        for failed in failures:
            if self.access.note and failed not in self.noted:
                self.access.note(f"{failed}{name}: {failures[failed]}; took it from {base}")
        self.noted |= failures.keys()

    def _attempt(self, url: str, name: str, fingerprint: Fingerprint, patience: float) -> bytes:
        """Let a thread download and watch it: looking up a name, a handshake or a drip of bytes know no time limit."""
        body, failed, done = Body(fingerprint.size), list[MirrorError](), threading.Event()

        def work() -> None:
            try:
                _get(url, body, patience)
            except MirrorError as failure:
                failed.append(failure)
            finally:
                done.set()

        threading.Thread(target=work, daemon=True).start()
        mark, since = 0, time.monotonic()
        try:
            while not done.wait(POLL):
                now, received = time.monotonic(), len(body.data)
                if self.access.progress and 0 < received < fingerprint.size:
                    self.access.progress(name, received, fingerprint.size)
                if received - mark >= STEP:
                    mark, since = received, now
                elif now - since > patience:
                    raise MirrorError(f"sent {received - mark} bytes in {patience:.3g} s, too slow", silent=True)
        finally:
            body.abandoned = True
        if failed:
            raise failed[0]
        return self._verified(bytes(body.data), name, fingerprint)

    def _verified(self, data: bytes, name: str, fingerprint: Fingerprint) -> bytes:
        if len(data) != fingerprint.size:
            raise MirrorError(f"sent {len(data)} bytes, expected {fingerprint.size}")
        found = sha256(data)
        if found != fingerprint.sha256:
            raise MirrorError(f"sent wrong bytes: sha256 {found[:12]}..., expected {fingerprint.sha256[:12]}...")
        if self.access.progress:
            self.access.progress(name, len(data), len(data))
        return data


def _get(url: str, body: Body, patience: float) -> None:
    """Download `url` into `body`; MirrorError with the reason in plain words for whatever goes wrong."""
    import requests
    from pooch import HTTPDownloader

    responses: list[requests.Response] = []  # the downloader leaves a failed one open
    keep = {"response": lambda response, **_: responses.append(response)}
    try:
        HTTPDownloader(chunk_size=STEP, timeout=patience, hooks=keep)(url, body, None)
    except requests.HTTPError as error:
        status = error.response.status_code if error.response is not None else "unknown"
        raise MirrorError(f"HTTP status {status}") from error
    except requests.Timeout as error:
        raise MirrorError(f"no answer within {patience:.3g} s", silent=True) from error
    except requests.ConnectionError as error:
        way = " through the proxy" if isinstance(error, requests.exceptions.ProxyError) else ""
        raise MirrorError(f"no connection{way}: {_root(error)}", silent=True) from error
    except requests.exceptions.ChunkedEncodingError as error:
        raise MirrorError(f"connection lost after {len(body.data)} bytes") from error
    except requests.TooManyRedirects as error:
        raise MirrorError("redirects without end") from error
    except MirrorError:
        raise
    except Exception as error:  # an address can be wrong in more ways than requests has names for
        raise MirrorError(f"{type(error).__name__}: {error}"[:120]) from error
    finally:
        for response in responses:
            response.close()


def _root(error: BaseException) -> str:
    """What the system said at the bottom of a chain of exceptions, such as `connection refused`."""
    found = "the mirror hung up"
    cause: BaseException | None = error
    while cause is not None:
        if isinstance(cause, OSError) and cause.strerror:
            found = cause.strerror.lower()
        cause = cause.__cause__ or cause.__context__
    return found[:100]
