"""The head of a request, made wrong: header fields, method and target, and those that only look wrong."""

from __future__ import annotations

import random
from collections.abc import Sequence

from tests.fuzz.corpus import HEADER

Head = list[tuple[bytes, bytes]]
_LENGTH = HEADER.encode()


def headers(rng: random.Random, fields: Head) -> Head:
    fields = list(fields)
    for _ in range(rng.choice((1, 1, 2, 4))):
        name, values = rng.choice(_FIELDS)
        given = next((int(value) for own, value in fields if own == _LENGTH and value.isdigit()), 100)
        near = [b"%d" % (given + step) for step in (-1, 1, -given, given)] if name == _LENGTH else []
        value = rng.choice([*values, *near, *_ODD])
        match rng.choice(("set", "set", "add", "drop")):
            case "set":
                fields = [field for field in fields if field[0] != name] + [(name, value)]
            case "add":
                fields.append((rng.choice([name, name.upper(), name.title()]), value))
            case _ if fields:
                fields.pop(rng.randrange(len(fields)))
    return fields


_ODD = (
    b"",
    b" ",
    b"\xff\xfe",
    b"0",
    b"-1",
    b"a" * 9000,
    b"\t",
    b"%00",
    b"\x7f",
    b"a\x00b",
    b"a\rb",
    b"a\nb: c",
    b"\xc3\xa4",
)
_FIELDS: Sequence[tuple[bytes, Sequence[bytes]]] = (
    (_LENGTH, (b"-5", b"1e3", b"0x10", b" 12 ", b"12,12", b"9" * 30, b"\xd9\xa3", b"+7", b"1_0")),
    (_LENGTH, (b"0", b"00012", b"", b"1", b"2", b"17", b"garbage")),
    (b"content-type", (b"application/octet-stream", b"application/json; charset=utf-16", b"/", b";")),
    (b"content-type", (b"text/html", b"a/b/c", b"multipart/form-data", b"multipart/form-data; boundary=x")),
    (b"content-type", (b"application/x-www-form-urlencoded",)),
    (b"content-encoding", (b"gzip", b"deflate", b"br", b"gzip, gzip", b"identity", b"gzip,deflate,gzip", b",")),
    (b"content-encoding", (b"GZIP", b"x-gzip", b"zstd", b"deflate, identity", b"gzip;q=1")),
    (b"x-request-id", (b"7", b"a b", b"x" * 129, b"x" * 5000, b"\xe2\x80\xa8", b"'\"\\", b"${jndi:x}", b"%0a%0d")),
    (b"x-request-timeout", (b"1", b"1h", b"0", b"soon", b"-1", b"1e9", b"nan", b"inf", b"1s1s", b"9" * 400)),
    (b"accept", (b"*/*", b"text/html", b"q=;,,")),
    (b"accept-encoding", (b"gzip", b"br;q=x", b"gzip;q=0, *;q=0", b"identity;q=0")),
    (b"content-length", (b"0", b"1", b"5", b"999999", b"-5", b"+5", b"0x10", b"5, 6", b"5,5", b"5 5", b"9" * 25)),
    (b"transfer-encoding", (b"chunked", b"identity", b"gzip, chunked", b"chunked, chunked", b"\x0bchunked")),
    (b"transfer-encoding", (b"xchunked",)),
    (b"host", (b"", b"a, b", b"[::1", b"h:99999", b"/", b"\xff", b"user@h")),
    (b"expect", (b"100-continue", b"200-ok", b"100-continue, 100-continue")),
    (b"cookie", (b"a=b; c", b"=;=", b"\xff=\xff")),
    (b"range", (b"bytes=0-", b"bytes=-1", b"lines=1")),
    (b"x-forwarded-for", (b"127.0.0.1", b"'; --")),
    (b"x-" + b"n" * 200, (b"1",)),
    (b"bad name", (b"1",)),
    (b"\xfcmlaut", (b"1",)),
    (b"", (b"1",)),
)  # fmt: skip


# ---- method and path


def line(rng: random.Random, method: bytes, target: bytes) -> tuple[bytes, bytes]:
    if rng.random() < 0.35:
        method = rng.choice(_METHODS)
    if rng.random() < 0.8:
        for _ in range(rng.choice((1, 1, 2))):
            target = _target(rng, target)
    return method, target


def _target(rng: random.Random, target: bytes) -> bytes:
    spot = rng.randrange(len(target) + 1)
    match rng.choice(("insert", "insert", "escape", "double", "prefix", "suffix", "segment", "odd")):
        case "insert":
            return target[:spot] + rng.choice(_PIECES) + target[spot:]
        case "escape":
            return b"".join(b"%%%02x" % byte if rng.random() < 0.4 else bytes([byte]) for byte in target)
        case "double":
            return target.replace(b"/", b"//", rng.randrange(1, 4))
        case "prefix":
            return rng.choice((b"http://h", b"https://user:pass@h:99999", b"//h", b"ws://h", b"http:", b"*")) + target
        case "suffix":
            return target + rng.choice(
                (b"/", b"///", b"?", b"?a=b&a", b"#f", b"?%ff=%00", b";x", b":", b"/.", b"/..", b"%2f")
            )
        case "segment":
            segments = target.split(b"/")
            segments[rng.randrange(len(segments))] = rng.choice((*_PIECES, b"echo", b"versions", b"2", b"v2", b"ready"))
            return b"/".join(segments)
        case _:
            return rng.choice((b"*", b"", b"h:80", b"/" * 3000, b"/" + b"a" * 9000, b"/" + b"%c0%af" * 40, b"?", b"#"))


_METHODS = (
    b"GET",
    b"HEAD",
    b"PUT",
    b"DELETE",
    b"OPTIONS",
    b"TRACE",
    b"PATCH",
    b"get",
    b"post",
    b"PRI",
    b"QUERY",
    b"!#$",
)
_METHODS += (b"M" * 300, b"P\xc3\xb6ST", b"G T", b"", b"POST\x00")
_PIECES = (
    b"%",
    b"%2",
    b"%zz",
    b"%00",
    b"%0d%0a",
    b"%2e%2e%2f",
    b"..",
    b".",
    b"%ff%fe",
    b"%c3%a4",
    b"%ed%a0%80",
    b"\xc3\xa4",
)
_PIECES += (
    b"%2F",
    b"%3A",
    b":",
    b"\\",
    b"{}",
    b"%25",
    b"+",
    b"%20",
    b" ",
    b"\t",
    b"\x00",
    b"a" * 300,
    b"a" * 4000,
    b"%e2%80%ae",
    b"?",
    b"#",
)
