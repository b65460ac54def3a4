"""HTTP/2 that is wrong, frame by frame, over a connection that starts with it: paths, pseudo-headers, HPACK, floods."""

from __future__ import annotations

import random
import struct
from collections.abc import Callable, Sequence

from hpack import Encoder

Rng = random.Random
Header = tuple[bytes, bytes]
PREFACE = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n"
_DATA, _HEADERS, _PRIORITY, _RST, _SETTINGS, _PUSH, _PING, _GOAWAY, _WINDOW, _CONTINUATION = range(10)
_END_STREAM, _ACK, _END_HEADERS, _PADDED, _WITH_PRIORITY = 1, 1, 4, 8, 32
_BODY = b'{"instances": [[1, 2]]}'


def frame(kind: int, flags: int, stream: int, payload: bytes, length: int | None = None) -> bytes:
    """RFC 9113, 4.1. ``length``: what the head says of the payload, where that is a lie."""
    size = len(payload) if length is None else length
    return struct.pack(">I", size)[1:] + struct.pack(">BBI", kind, flags, stream) + payload


def headers(stream: int, fields: Sequence[Header], *, end: bool = True) -> bytes:
    """A request's fields in one frame, in an encoding that needs no memory of other frames."""
    block = Encoder().encode([(name, value, True) for name, value in fields], huffman=False)
    return frame(_HEADERS, _END_HEADERS | (_END_STREAM if end else 0), stream, block)


def asking(path: bytes = b"/v2/health/live", method: bytes = b"GET") -> list[Header]:
    return [(b":method", method), (b":path", path), (b":scheme", b"http"), (b":authority", b"h")]


def opening(settings: bytes = b"") -> bytes:
    return PREFACE + frame(_SETTINGS, 0, 0, settings)


def _requests(rng: Rng) -> tuple[bytes, ...]:
    """Whole frames around heads that are no heads of a request."""
    fields = asking()
    shapes: list[list[Header]] = [
        asking(path) for path in (
            "/größe".encode(), b"", b"*", b"?", b"\xff", b"/\x00", b"/ a", b"http://[::1/", b"/" + b"a" * 9000,
            b"nope", b"/%ff",
        )
    ]  # fmt: skip
    shapes += [
        asking(method=method)
        for method in (b"", b"get", b"P\xc3\xb6ST", b"G T", b"CONNECT", b"\x00", b"OPTIONS", b"PRI")
    ]
    shapes += [[field for field in fields if field[0] != missing] for missing, _ in fields]
    shapes += [
        [*fields, extra] for extra in (
            (b":path", b"/v2"), (b":method", b"POST"), (b":status", b"200"), (b":odd", b"x"),
            (b":protocol", b"websocket"),
            (b"connection", b"keep-alive"), (b"transfer-encoding", b"chunked"), (b"te", b"gzip"), (b"X-Upper", b"x"),
            (b"host", b"other"), (b"", b"x"), (b"\xff", b"x"), (b"x", b"\xff\xfe"), (b"x", b"a\r\nb: c"),
            (b"x", b"\x00"),
            (b"content-length", b"x"), (b"content-length", b"-1"), (b"content-length", b"5"), (b"cookie", b"a" * 9000),
            (b"upgrade", b"websocket"), (b"expect", b"100-continue"), (b"x-request-timeout", b"soon"),
        )
    ]  # fmt: skip
    connect = [(b":method", b"CONNECT"), (b":authority", b"h:80")]
    tunnel = [(b":method", b"CONNECT"), (b":protocol", b"websocket"), *fields[1:], (b"sec-websocket-version", b"13")]
    shapes += [
        [(b"x", b"y"), *fields],
        connect,
        [*connect, (b":path", b"/\xff")],
        tunnel,
        [],
        [(b"x", b"y") for _ in range(500)],
    ]
    first = headers(1, rng.choice(shapes), end=rng.random() < 0.7)
    after = rng.choice((b"", frame(_DATA, _END_STREAM, 1, _BODY), headers(3, asking()), headers(1, asking())))
    return opening(), first + after


def _wrong_frames(rng: Rng) -> tuple[bytes, ...]:
    """Frames of a wrong size, of a wrong stream, in a wrong order."""
    ask = headers(1, asking())
    odd = [
        frame(
            rng.randrange(256),
            rng.randrange(256),
            rng.choice((0, 1, 2, 3, 2**31 - 1)),
            rng.randbytes(rng.randrange(40)),
        ),
        frame(_DATA, 0, 0, b"x"),
        frame(_DATA, 0, 1, b"x") + ask,
        ask + frame(_DATA, _END_STREAM, 1, b"late"),
        frame(_HEADERS, _END_HEADERS, 2, b"\x82\x84\x86"),
        frame(_HEADERS, 0, 1, b"\x82") + frame(_PING, 0, 0, b"12345678"),
        frame(_HEADERS, _END_HEADERS | _PADDED, 1, b"\xff\x82"),
        frame(_HEADERS, _END_HEADERS | _WITH_PRIORITY, 1, struct.pack(">IB", 1, 255) + b"\x82\x84\x86"),
        frame(_CONTINUATION, _END_HEADERS, 1, b"\x82"),
        frame(_PRIORITY, 0, 1, struct.pack(">IB", 1, 0)),
        frame(_PRIORITY, 0, 3, struct.pack(">IB", 2**31 + 1, 0)) + headers(3, asking()),
        frame(_PRIORITY, 0, 5, b"abc"),
        frame(_RST, 0, 0, b"\0\0\0\0"),
        frame(_RST, 0, 1, b"\0\0\0\x08"),
        ask + frame(_RST, 0, 1, b"\0\0\0\x08") * 2,
        frame(_SETTINGS, 0, 1, b""),
        frame(_SETTINGS, _ACK, 0, b"abcdef"),
        frame(_SETTINGS, 0, 0, b"abcde"),
        frame(_SETTINGS, 0, 0, struct.pack(">HI", 4, 2**31)),
        frame(_SETTINGS, 0, 0, struct.pack(">HI", 5, 1)),
        frame(_SETTINGS, 0, 0, struct.pack(">HI", 2, 5)),
        frame(_SETTINGS, _ACK, 0, b"") * 3,
        frame(_PUSH, _END_HEADERS, 1, struct.pack(">I", 2) + b"\x82"),
        frame(_PING, 0, 0, b"short"),
        frame(_PING, 0, 7, b"12345678"),
        frame(_GOAWAY, 0, 0, struct.pack(">II", 0, 0)) + ask,
        frame(_GOAWAY, 0, 0, struct.pack(">II", 1, 2) + b"debug" * 50),
        frame(_WINDOW, 0, 0, b"\0\0\0\0"),
        frame(_WINDOW, 0, 0, struct.pack(">I", 2**31 - 1)),
        frame(_WINDOW, 0, 1, struct.pack(">I", 5)),
        ask + frame(_WINDOW, 0, 1, struct.pack(">I", 2**31 - 1)),
        frame(_DATA, 0, 1, b"", length=2**24 - 1),
        frame(_DATA, 0, 1, b"x" * 20_000),
        ask[:-3],
        headers(5, asking()) + headers(3, asking()),
    ]
    return opening(), b"".join(rng.choices(odd, k=rng.choice((1, 1, 2, 4))))


def _hpack(rng: Rng) -> tuple[bytes, ...]:
    """Header blocks that say nothing, or too much."""
    bomb = b"\x40\x01x\x7f\xa1\x1e" + b"a" * 4000 + b"\xbe" * 12_000
    blocks = [
        rng.randbytes(rng.randrange(1, 200)),
        b"\x82\x84\x86\xff\xff\xff\xff\xff\xff\xff\xff\xff\x7f",
        b"\xc0",
        b"\x3f\xff\xff\xff\xff\x0f",
        b"\x82\x84\x86\x41\x85\xff\xff\xff\xff\xff",
        b"\x40\x0a" + b"abc",
        b"\x00\x01:\x00",
        b"\x80",
        bomb,
    ]
    block = rng.choice(blocks)
    if rng.random() < 0.3:
        pieces = [block[n : n + 50] for n in range(0, len(block), 50)]
        many = b"".join(frame(_CONTINUATION, 0, 1, piece) for piece in pieces)
        return opening(), frame(_HEADERS, 0, 1, b"") + many
    return opening(), frame(_HEADERS, _END_HEADERS | _END_STREAM, 1, block)


def _floods(rng: Rng) -> tuple[bytes, ...]:
    """A few hundred of what costs the sender nothing."""
    count = rng.choice((50, 300, 2000))
    streams = range(1, 2 * count, 2)
    kinds: list[Callable[[], bytes]] = [
        lambda: frame(_PING, 0, 0, b"12345678") * count,
        lambda: frame(_SETTINGS, 0, 0, struct.pack(">HI", 4, 65_535)) * count,
        lambda: frame(_SETTINGS, 0, 0, b"") * count,
        lambda: b"".join(headers(n, asking()) + frame(_RST, 0, n, b"\0\0\0\x08") for n in streams),
        lambda: b"".join(headers(n, asking()) for n in streams),
        lambda: b"".join(headers(n, asking(method=b"POST"), end=False) for n in streams),
        lambda: headers(1, asking(b"/v1/models/echo:predict", b"POST"), end=False) + frame(_DATA, 0, 1, b"") * count,
        lambda: frame(_PRIORITY, 0, 1, struct.pack(">IB", 3, 1)) * count,
        lambda: b"".join(frame(_PRIORITY, 0, n, struct.pack(">IB", 0, 1)) for n in streams),
        lambda: frame(_WINDOW, 0, 0, struct.pack(">I", 1)) * count,
        lambda: frame(_HEADERS, 0, 1, b"\x82") + frame(_CONTINUATION, 0, 1, b"") * count,
        lambda: frame(99, 0, 0, b"x" * 50) * count,
    ]
    return opening(), rng.choice(kinds)()


def _stalls(rng: Rng) -> tuple[bytes, ...]:
    """A window that is shut, so that the reply cannot go out."""
    shut = struct.pack(">HI", 4, rng.choice((0, 0, 1, 5)))
    path = rng.choice((b"/v2/health/live", b"/metrics", b"/nope"))
    after = rng.choice(
        (
            b"",
            frame(_RST, 0, 1, b"\0\0\0\x08"),
            frame(_WINDOW, 0, 1, struct.pack(">I", 3)),
            frame(_GOAWAY, 0, 0, b"\0" * 8),
        )
    )
    return opening(shut), headers(1, asking(path)) + headers(3, asking()), after


def _posts(rng: Rng) -> tuple[bytes, ...]:
    """Bodies in frames: of another length than announced, after their end, after their reply."""
    path = rng.choice((b"/v1/models/echo:predict", b"/v1/models/nope:predict", b"/nope", b"/v1/models/brief:predict"))
    fields = asking(path, b"POST")
    if rng.random() < 0.5:
        fields.append((b"content-length", b"%d" % rng.choice((len(_BODY), 0, 5, 2**40))))
    size = rng.choice((0, 1, 9, len(_BODY)))
    padded = frame(_DATA, _PADDED, 1, bytes([rng.choice((0, 5, 255))]) + _BODY + b"\0" * 5)
    body = rng.choice((frame(_DATA, 0, 1, _BODY[:size]), padded, frame(_DATA, 0, 1, b" " * 16_000) * 8, b""))
    end = rng.choice((
        frame(_DATA, _END_STREAM, 1, _BODY[size:]), headers(1, [(b"x-trailer", b"y")]), headers(1, [(b":path", b"/")]),
        frame(_RST, 0, 1, b"\0\0\0\x08"), b"", frame(_DATA, _END_STREAM, 1, b"") * 2,
    ))  # fmt: skip
    return opening(), headers(1, fields, end=False), body, end, headers(3, asking())


ABUSES: dict[str, Callable[[Rng], tuple[bytes, ...]]] = {
    "h2 requests": _requests,
    "h2 frames": _wrong_frames,
    "h2 hpack": _hpack,
    "h2 floods": _floods,
    "h2 stalls": _stalls,
    "h2 posts": _posts,
}
