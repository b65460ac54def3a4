"""What a client can do to a connection that is no request: scripts of sends, closes and resets; a seed says which.

Pure: the same seed is the same script.
"""

from __future__ import annotations

import random
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Literal

from tests.fuzz.frames import ABUSES as FRAMES

Step = bytes | Literal["half-close", "reset", "hear"]
"""Bytes to send; the client is done sending; it is gone; it waits for something to come."""
Rng = random.Random
Made = tuple[bytes | Step, ...]


@dataclass(frozen=True, slots=True)
class Script:
    """``steps`` of one connection, on the plain port or on that of TLS, and there with or without TLS."""

    name: str
    steps: tuple[Step, ...]
    port: Literal["plain", "tls"] = "plain"
    tls: bool = False


def script(seed: int, *, has_tls: bool) -> Script:
    """The script of that seed. ``has_tls``: there is a port of TLS too."""
    rng = random.Random(seed)
    name = rng.choice(NAMES)
    steps = list(ABUSES[name](rng))
    if rng.random() < 0.25:
        steps = _slowly(rng, steps)
    if rng.random() < 0.3:
        # Gone in the middle of any phase, with or without a word.
        steps = [*steps[: rng.randrange(len(steps) + 1)], rng.choice(("reset", "half-close"))]
    if not has_tls or rng.random() < 0.7:
        return Script(name, tuple(steps))
    return Script(name, tuple(steps), "tls", tls=rng.random() < 0.7)


def _slowly(rng: Rng, steps: list[Step]) -> list[Step]:
    """The same bytes in pieces, some of them single."""
    cut: list[Step] = []
    for step in steps:
        if not isinstance(step, bytes) or len(step) > 4000:
            cut.append(step)
            continue
        start = 0
        while start < len(step):
            end = start + rng.choice((1, 1, 2, 7, 50))
            cut.append(step[start:end])
            start = end
    return cut


# ---- HTTP/1

_LIVE = b"GET /v2/health/live HTTP/1.1\r\nhost: h\r\n\r\n"
_BODY = b'{"instances": [[1, 2]]}'
_ECHO = b"POST /v1/models/echo:predict HTTP/1.1\r\nhost: h\r\n"


def _post(*lines: bytes, body: bytes = _BODY) -> bytes:
    return _ECHO + b"".join(line + b"\r\n" for line in lines) + b"\r\n" + body


def _lengths(rng: Rng) -> Made:
    """Bodies whose end two readers would see in two places."""
    size = len(_BODY)
    lines = [
        (b"content-length: %d" % size, b"content-length: %d" % size),
        (b"content-length: %d" % size, b"content-length: %d" % (size + 1)),
        (b"content-length: %d, %d" % (size, size),),
        (b"content-length: %d, 5" % size,),
        (b"content-length: -%d" % size,),
        (b"content-length: +%d" % size,),
        (b"content-length: 0x17",),
        (b"content-length: 2_3",),
        (b"content-length: 23.0",),
        (b"content-length: " + b"9" * 30,),
        (b"content-length: " + b"9" * 5000,),
        (b"content-length: \xd9\xa2\xd9\xa3",),
        (b"content-length:",),
        (b"content-length : %d" % size,),
        (b"content-length: %d" % size, b"transfer-encoding: chunked"),
        (b"transfer-encoding: chunked", b"content-length: 5"),
        (b"transfer-encoding: chunked", b"transfer-encoding: identity"),
        (b"transfer-encoding: chunked, chunked",),
        (b"transfer-encoding: gzip, chunked",),
        (b"transfer-encoding: xchunked",),
        (b"transfer-encoding:\x0bchunked",),
        (b"transfer-encoding: chunked\x00",),
        (b"Transfer-Encoding : chunked",),
        (b"x: y", b" transfer-encoding: chunked"),
        (b"x: y\n\ttransfer-encoding: chunked",),
        (b"content-length: %d" % size, b"content-length: %d" % (1 << 40)),
        (b"content-length: %d" % (1 << 40),),
    ]
    body = rng.choice((_BODY, b"5\r\nhello\r\n0\r\n\r\n", b"0\r\n\r\n" + _LIVE, b""))
    return _post(*rng.choice(lines), body=body), rng.choice((b"", _LIVE))


def _chunks(rng: Rng) -> Made:
    """Chunked bodies, right and wrong."""
    pieces = [
        b"17\r\n" + _BODY + b"\r\n0\r\n\r\n",
        b"17;name=value\r\n" + _BODY + b'\r\n0;x="y"\r\n\r\n',
        b"17;" + b"x" * 20_000 + b"\r\n" + _BODY + b"\r\n0\r\n\r\n",
        b"17\r\n" + _BODY + b"\r\n0\r\nx-trailer: y\r\ncontent-length: 5\r\n\r\n",
        b"17\r\n" + _BODY + b"\r\n0\r\n" + b"x: y\r\n" * 5000 + b"\r\n",
        b"17\n" + _BODY + b"\n0\n\n",
        b"-1\r\n\r\n",
        b"0x17\r\n" + _BODY + b"\r\n0\r\n\r\n",
        b"+17\r\n" + _BODY + b"\r\n0\r\n\r\n",
        b"fffffffffffffffff\r\n" + _BODY,
        b"7fffffffffffffff\r\n" + _BODY,
        b" 17\r\n" + _BODY + b"\r\n0\r\n\r\n",
        b"17\r\n" + _BODY + b"garbage\r\n0\r\n\r\n",
        b"16\r\n" + _BODY + b"\r\n0\r\n\r\n",
        b"\r\n",
        b"zz\r\n",
        b"00000000000000017\r\n" + _BODY + b"\r\n0000\r\n\r\n",
        b"".join(b"1\r\n%c\r\n" % byte for byte in _BODY) + b"0\r\n\r\n",
        b"17\r\n" + _BODY[:9],
    ]
    return _post(b"transfer-encoding: chunked", body=rng.choice(pieces)), rng.choice((b"", _LIVE))


def _heads(rng: Rng) -> Made:
    """Heads that are nearly those of a request."""
    shapes = [
        b"GET /v2/health/live HTTP/1.1\nhost: h\n\n",
        b"GET /v2/health/live HTTP/1.1\rhost: h\r\r",
        b"\r\n\r\n\r\n" + _LIVE,
        b"\n" + _LIVE,
        b"\x00" + _LIVE,
        b"\xef\xbb\xbf" + _LIVE,
        b"GET /\r\n\r\n",
        b"GET /v2/health/live\r\n",
        b"GET /v2/health/live HTTP/0.9\r\nhost: h\r\n\r\n",
        b"GET /v2/health/live HTTP/1.0\r\n\r\n",
        b"GET /v2/health/live HTTP/1.0\r\nconnection: keep-alive\r\n\r\n",
        b"GET /v2/health/live HTTP/1.2\r\nhost: h\r\n\r\n",
        b"GET /v2/health/live HTTP/2.0\r\nhost: h\r\n\r\n",
        b"GET /v2/health/live HTTP/3.0\r\nhost: h\r\n\r\n",
        b"GET /v2/health/live HTTP/11\r\nhost: h\r\n\r\n",
        b"GET /v2/health/live http/1.1\r\nhost: h\r\n\r\n",
        b"get /v2/health/live HTTP/1.1\r\nhost: h\r\n\r\n",
        b"GET  /v2/health/live  HTTP/1.1\r\nhost: h\r\n\r\n",
        b"GET\t/v2/health/live\tHTTP/1.1\r\nhost: h\r\n\r\n",
        b" GET /v2/health/live HTTP/1.1\r\nhost: h\r\n\r\n",
        b"GET /v2/health/live HTTP/1.1\r\n host: h\r\n\r\n",
        b"GET /v2/health/live HTTP/1.1\r\nhost: h\r\nx: 1\r\n  2\r\n\t3\r\n\r\n",
        b"GET /v2/health/live HTTP/1.1\r\nhost: h\r\nhost: i\r\n\r\n",
        b"GET /v2/health/live HTTP/1.1\r\n\r\n",
        b"GET /v2/health/live HTTP/1.1\r\nhost: h\r\n\xffname: x\r\n\r\n",
        b"GET /v2/health/live HTTP/1.1\r\nhost: h\r\nname: \xff\xfe\r\n\r\n",
        b"GET /v2/health/live HTTP/1.1\r\nhost: h\r\nname\r\n\r\n",
        b"GET /v2/health/live HTTP/1.1\r\nhost: h\r\n: x\r\n\r\n",
        b"GET /v2/health/live HTTP/1.1\r\nhost: h\r\nx: a\x00b\r\n\r\n",
        b"GET /v2/health/live HTTP/1.1\r\nhost: h\r\nx: a\rb\r\n\r\n",
        b"GET /" + "größe".encode() + b" HTTP/1.1\r\nhost: h\r\n\r\n",
        b"GET /" + b"a" * 100_000 + b" HTTP/1.1\r\nhost: h\r\n\r\n",
        b"GET / HTTP/1.1\r\nhost: h\r\nx: " + b"a" * 1_000_000 + b"\r\n\r\n",
        b"GET / HTTP/1.1\r\nhost: h\r\n" + b"x: y\r\n" * 20_000 + b"\r\n",
        b"GET / HTTP/1.1\r\nhost: h\r\n" + b"".join(b"x%d: y\r\n" % n for n in range(1000)) + b"\r\n",
        b"CONNECT h:443 HTTP/1.1\r\nhost: h\r\n\r\n" + _LIVE,
        b"OPTIONS * HTTP/1.1\r\nhost: h\r\n\r\n",
        b"GET * HTTP/1.1\r\nhost: h\r\n\r\n",
        b"GET ? HTTP/1.1\r\nhost: h\r\n\r\n",
        b"GET http://h/v2/health/live HTTP/1.1\r\nhost: other\r\n\r\n",
        b"GET http://[::1/ HTTP/1.1\r\nhost: h\r\n\r\n",
        b"GET //h/v2 HTTP/1.1\r\nhost: h\r\n\r\n",
        b"PRI * HTTP/1.1\r\nhost: h\r\n\r\n",
        b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03" + rng.randbytes(64),
        b"\x80\x2e\x01\x00\x02",
        b"SSH-2.0-OpenSSH_9.6\r\n",
        b"*1\r\n$4\r\nPING\r\n",
        b"PROXY TCP4 1.2.3.4 1.2.3.4 1 2\r\n" + _LIVE,
        rng.randbytes(rng.choice((1, 30, 3000, 300_000))),
        b"\x00" * 70_000,
        b"\r\n" * 40_000,
    ]
    return rng.choice(shapes), rng.choice((b"", _LIVE))


def _upgrades(rng: Rng) -> Made:
    """Upgrades that are answered with no, or that break off."""
    websocket = [
        b"host: h", b"upgrade: websocket", b"connection: upgrade", b"sec-websocket-version: 13",
        b"sec-websocket-key: dGhlIHNhbXBsZSBub25jZQ==",
    ]  # fmt: skip
    if rng.random() < 0.5:
        del websocket[rng.randrange(len(websocket))]
    target = rng.choice((b"/", b"/v2/health/live", b"?", b"http://[::1/", b"/%ff", b"/v1/models/echo:predict"))
    settings = rng.choice((b"AAMAAABkAARAAAAAAAIAAAAA", b"", b"!!", b"A", b"AAAA", b"\xff"))
    h2c = [b"host: h", b"connection: upgrade, http2-settings", b"upgrade: h2c", b"http2-settings: " + settings]
    lines = rng.choice((
        websocket, websocket, h2c, h2c, [*h2c[:3]],
        [b"host: h", b"connection: upgrade", b"upgrade: TLS/1.0, HTTP/1.1"],
        [b"host: h", b"connection: close, upgrade", b"upgrade: h2c, websocket"],
    ))  # fmt: skip
    method = rng.choice((b"GET", b"GET", b"POST", b"OPTIONS"))
    head = method + b" " + target + b" HTTP/1.1\r\n" + b"".join(line + b"\r\n" for line in lines) + b"\r\n"
    frames = b"\x81\x85\x00\x00\x00\x00hello", b"\x88\x80\x00\x00\x00\x00"
    after = rng.choice((b"", *frames, rng.randbytes(40), _LIVE))
    return head, after


def _expects(rng: Rng) -> Made:
    """``100-continue``, and what comes instead of the body."""
    size = rng.choice((len(_BODY), 0, 5, 1 << 30))
    length = b"content-length: %d" % size
    after = rng.choice((_BODY, b"", _LIVE, b"\x00" * 100))
    if rng.random() < 0.2:
        return _post(b"expect: tea", length, body=b""), after
    return _post(b"expect: " + rng.choice((b"100-continue", b"100-Continue")), length, body=b""), "hear", after


def _pipelines(rng: Rng) -> Made:
    """Several requests at once, a wrong one among them."""
    whole = _post(b"content-length: %d" % len(_BODY))
    good = [rng.choice((_LIVE, whole)) for _ in range(rng.choice((1, 3, 40)))]
    good.insert(rng.randrange(len(good) + 1), rng.choice([step for step in _heads(rng) if isinstance(step, bytes)]))
    return (b"".join(good),)


def _bodies(rng: Rng) -> Made:
    """Bodies that do not come, come late, come too long, or whose reply is not read."""
    size = rng.choice((10, 1 << 16, 1 << 20, 3 << 20))
    path = rng.choice((b"/v1/models/echo:predict", b"/v1/models/nope:predict", b"/v2/health/live", b"/nope"))
    head = b"POST " + path + b" HTTP/1.1\r\nhost: h\r\ncontent-length: %d\r\n\r\n" % size
    return head, b" " * rng.choice((0, 1, size // 2, size, size + 9)), rng.choice((b"", _LIVE))


def _leaves(rng: Rng) -> Made:
    """Gone while a step works."""
    body = b'{"instances": ["nobody"]}'
    head = b"POST /v1/models/brief:predict HTTP/1.1\r\nhost: h\r\ncontent-length: %d\r\n\r\n" % len(body)
    return head + body, rng.choice((b"", _LIVE, b"garbage\r\n\r\n")), rng.choice(("reset", "half-close"))


ABUSES: dict[str, Callable[[Rng], Sequence[Step]]] = {
    "lengths": _lengths,
    "chunks": _chunks,
    "heads": _heads,
    "upgrades": _upgrades,
    "expects": _expects,
    "pipelines": _pipelines,
    "bodies": _bodies,
    "leaves": _leaves,
    **FRAMES,
}
NAMES = tuple(ABUSES)
