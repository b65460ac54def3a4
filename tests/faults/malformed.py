"""Valid requests, made wrong byte by byte where it hurts: the first line, the fields, what frames the body; pure.

The same seed is the same bytes.
"""

from __future__ import annotations

import random
from collections.abc import Callable, Sequence

from tests.faults.smuggling import BODY
from tests.fuzz.corpus import requests
from tests.fuzz.mutate import marker_of, plain

Rng = random.Random
_BYTES = (
    b"\r",
    b"\n",
    b"\r\n",
    b"\0",
    b" ",
    b"\t",
    b":",
    b",",
    b";",
    b"\x0b",
    b"\x7f",
    b"\x85",
    b"\xa0",
    b"\xff",
    b"%",
)
_LINES = (
    b"content-length: 5", b"Content-Length: 0", b"content-length : 23", b"transfer-encoding: chunked", b" folded",
    b"transfer-encoding: x", b"host: other", b"connection: close", b"connection: keep-alive, upgrade", b"upgrade: h2c",
    b"expect: 100-continue", b"expect: more", b"te: trailers", b"trailer: x", b"content-encoding: gzip",
    b"http2-settings: AAMAAABk", b"content-type: text/html", b"x: " + b"y" * 70_000, b": x", b"x", b"",
)  # fmt: skip


def malformed(seed: int) -> bytes:
    """The bytes of that seed, which are nearly one request."""
    rng = random.Random(f"malformed {seed}")
    data = _chunked(rng) if rng.random() < 0.3 else plain(rng.choice(requests(marker_of(seed)))).data
    for _ in range(rng.choice((1, 1, 1, 2, 3))):
        data = rng.choice(_WAYS)(rng, data)
    return data


def _chunked(rng: Rng) -> bytes:
    at = sorted(rng.sample(range(1, len(BODY)), 2))
    pieces = [BODY[: at[0]], BODY[at[0] : at[1]], BODY[at[1] :], b""]
    head = b"POST /v1/models/echo:predict HTTP/1.1\r\nhost: h\r\ntransfer-encoding: chunked\r\n\r\n"
    return head + b"".join(b"%x\r\n%s\r\n" % (len(piece), piece) for piece in pieces)


def _spot(rng: Rng, data: bytes) -> int:
    """Mostly in the head, or in the first of the body, where chunks have their sizes."""
    end = data.find(b"\r\n\r\n") + 4
    return rng.randrange(min(len(data), end + 60) + 1) if end > 3 else rng.randrange(len(data) + 1)


def _insert(rng: Rng, data: bytes) -> bytes:
    at = _spot(rng, data)
    return data[:at] + rng.choice(_BYTES) * rng.choice((1, 1, 1, 2, 300)) + data[at:]


def _replace(rng: Rng, data: bytes) -> bytes:
    at = _spot(rng, data)
    return data[:at] + rng.choice(_BYTES) + data[at + 1 :]


def _delete(rng: Rng, data: bytes) -> bytes:
    at = _spot(rng, data)
    return data[:at] + data[at + rng.choice((1, 1, 2, 20)) :]


def _flip(rng: Rng, data: bytes) -> bytes:
    at = min(_spot(rng, data), len(data) - 1)
    return data[:at] + bytes([data[at] ^ 1 << rng.randrange(8)]) + data[at + 1 :] if data else b""


def _line(rng: Rng, data: bytes) -> bytes:
    lines = data.split(b"\r\n")
    lines.insert(rng.randrange(1, min(len(lines), 8) + 1), rng.choice(_LINES))
    return b"\r\n".join(lines)


def _swap(rng: Rng, data: bytes) -> bytes:
    lines = data.split(b"\r\n")
    one, other = rng.randrange(len(lines)), rng.randrange(len(lines))
    lines[one], lines[other] = lines[other], lines[one]
    return b"\r\n".join(lines)


def _bare(rng: Rng, data: bytes) -> bytes:
    """Every line end, or one, is another."""
    return data.replace(b"\r\n", rng.choice((b"\n", b"\r", b"\n\r", b"\r\r\n")), rng.choice((-1, 1, 2)))


def _cut(rng: Rng, data: bytes) -> bytes:
    return data[: _spot(rng, data)]


def _twice(rng: Rng, data: bytes) -> bytes:
    at = _spot(rng, data)
    return data[:at] + data


def _noise(rng: Rng, data: bytes) -> bytes:
    at = _spot(rng, data)
    return data[:at] + rng.randbytes(rng.choice((1, 8, 300))) + data[at:]


_WAYS: Sequence[Callable[[Rng, bytes], bytes]] = (
    _insert, _insert, _replace, _replace, _delete, _flip, _line, _line, _swap, _bare, _cut, _twice, _noise,
)  # fmt: skip
