"""A web server, and a bucket in it by the XML of S3 and GCS, that misbehaves as it is told. Threads, on loopback.

``decide`` is asked what goes wrong with each request as it comes, so it can count.
"""

from __future__ import annotations

import re
import ssl
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any
from urllib.parse import parse_qs, unquote, urlsplit
from xml.sax.saxutils import escape

PIECE = 64 * 1024


@dataclass
class Fault:
    """What one reply does wrong. ``status``: instead of an answer; ``drop``: bytes after which the connection ends."""

    status: int = 0
    headers: dict[str, str] = field(default_factory=dict)
    drop: int | None = None
    no_ranges: bool = False
    no_length: bool = False
    no_etag: bool = False
    etag: str | None = None
    ignore_match: bool = False
    wait: threading.Event | None = None
    after: int = 1
    """``wait`` is waited for when so many bytes of a body have been sent."""
    body: bytes = b""


@dataclass
class Seen:
    method: str
    path: str
    query: str
    headers: dict[str, str]
    body: bytes = b""
    sent: int = 0
    broken: bool = False


Decide = Callable[[Seen], Fault | None]


@dataclass
class Origin:
    """``files``: path → bytes; those below ``/b/`` are the objects of bucket ``b``. ``seen``: what was asked."""

    url: str = ""
    files: dict[str, bytes] = field(default_factory=dict)
    seen: list[Seen] = field(default_factory=list)
    decide: Decide = lambda seen: None
    lock: threading.Lock = field(default_factory=threading.Lock)

    def gets(self, path: str) -> list[Seen]:
        return [seen for seen in self.seen if seen.method == "GET" and seen.path == path]

    @property
    def host(self) -> str:
        return urlsplit(self.url).netloc


def etag(data: bytes) -> str:
    return f'"{hash(data) & 0xFFFFFFFF:x}-{len(data)}"'


class _Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    origin: Origin

    def log_message(self, *_: object) -> None:
        return

    def handle(self) -> None:
        with suppress(ssl.SSLError):  # a client that does not trust us
            super().handle()

    def do_HEAD(self) -> None:
        self._answer()

    def do_GET(self) -> None:
        self._answer()

    def do_POST(self) -> None:
        self._answer()

    def do_PUT(self) -> None:
        self._answer()

    def do_CONNECT(self) -> None:
        """As a proxy that leads nowhere."""
        self._answer()

    def _answer(self) -> None:
        parts = urlsplit(self.path)
        headers = {name.lower(): value for name, value in self.headers.items()}
        body = self.rfile.read(int(headers.get("content-length", 0)))
        seen = Seen(self.command, unquote(parts.path), parts.query, headers, body)
        with self.origin.lock:
            self.origin.seen.append(seen)
            fault = self.origin.decide(seen) or Fault()
        try:
            self._reply(seen, fault)
        except (BrokenPipeError, ConnectionResetError):
            seen.broken = True
            self.close_connection = True

    def _reply(self, seen: Seen, fault: Fault) -> None:
        if fault.status:
            self._send(fault.status, {"content-length": str(len(fault.body)), **fault.headers}, fault.body, seen)
            return
        query = parse_qs(seen.query)
        if seen.path.rstrip("/") == "/b" and ("list-type" in query or "prefix" in query):
            body = listing(self.origin.files, query.get("prefix", [""])[0])
            self._send(200, {"content-length": str(len(body)), "content-type": "application/xml"}, body, seen)
            return
        data = self.origin.files.get(seen.path)
        if data is None:
            self._send(404, {"content-length": "0"}, b"", seen)
            return
        self._file(data, seen, fault)

    def _file(self, data: bytes, seen: Seen, fault: Fault) -> None:
        tag = fault.etag or etag(data)
        headers = {"accept-ranges": "bytes", "last-modified": "Mon, 02 Nov 2026 10:00:00 GMT", **fault.headers}
        if not fault.no_etag:
            headers["etag"] = tag
        wanted = seen.headers.get("if-match")
        if wanted is not None and wanted != tag and not fault.ignore_match:
            self._send(412, {"content-length": "0"}, b"", seen)
            return
        asked = re.fullmatch(r"bytes=(\d+)-(\d*)", seen.headers.get("range", ""))
        status, body = 200, data
        if asked and not fault.no_ranges:
            start, last = int(asked[1]), int(asked[2]) if asked[2] else len(data) - 1
            if start >= len(data):
                self._send(416, {"content-length": "0", "content-range": f"bytes */{len(data)}"}, b"", seen)
                return
            status, body = 206, data[start : last + 1]
            headers["content-range"] = f"bytes {start}-{start + len(body) - 1}/{len(data)}"
        if fault.no_length:
            headers["connection"] = "close"
            self.close_connection = True
        else:
            headers["content-length"] = str(len(body))
        self._send(status, headers, body, seen, fault)

    def _send(self, status: int, headers: dict[str, str], body: bytes, seen: Seen, fault: Fault | None = None) -> None:
        self.send_response(status)
        for name, value in headers.items():
            if not value:
                continue
            self.send_header(name, value)
        self.end_headers()
        if self.command == "HEAD":
            return
        limit = len(body) if fault is None or fault.drop is None else min(fault.drop, len(body))
        while seen.sent < limit:
            piece = body[seen.sent : min(seen.sent + PIECE, limit)]
            self.wfile.write(piece)
            seen.sent += len(piece)
            if fault is not None and fault.wait is not None and seen.sent >= fault.after:
                fault.wait.wait(300)
        if limit < len(body):
            self.wfile.flush()
            self.close_connection = True


def listing(files: dict[str, bytes], prefix: str) -> bytes:
    keys = {path.removeprefix("/b/"): data for path, data in files.items() if path.startswith("/b/")}
    found = "".join(
        f"<Contents><Key>{escape(key)}</Key><LastModified>2026-11-02T10:00:00.000Z</LastModified>"
        f"<ETag>{escape(etag(data))}</ETag><Size>{len(data)}</Size></Contents>"
        for key, data in sorted(keys.items())
        if key.startswith(prefix)
    )
    text = f"<ListBucketResult><Name>b</Name><Prefix>{escape(prefix)}</Prefix><IsTruncated>false</IsTruncated>{found}"
    return f'<?xml version="1.0" encoding="UTF-8"?>{text}</ListBucketResult>'.encode()


@contextmanager
def serving(certificate: tuple[Path, Path] | None = None) -> Iterator[Origin]:
    """An origin on a free port of this machine, behind TLS where it has a certificate and its key."""
    origin = Origin()
    handler = type("Handler", (_Handler,), {"origin": origin})
    server = ThreadingHTTPServer(("127.0.0.1", 0), handler)
    if certificate is not None:
        context = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
        context.load_cert_chain(*certificate)
        # Each thread shakes hands for itself, so that one client that will not does not stop the others.
        server.socket = context.wrap_socket(server.socket, server_side=True, do_handshake_on_connect=False)
    server.daemon_threads = True
    server.block_on_close = False
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01}, daemon=True)
    thread.start()
    origin.url = f"http{'s' if certificate else ''}://127.0.0.1:{server.server_port}"
    try:
        yield origin
    finally:
        server.shutdown()
        server.server_close()
        thread.join()


def slowly(condition: Callable[[], Any], patience: float = 60.0) -> None:
    """Polls the real server until it has seen what a test waits for."""
    give_up = time.monotonic() + patience
    while not condition():
        assert time.monotonic() < give_up, "not within its time"
        time.sleep(0.002)
