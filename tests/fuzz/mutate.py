"""Valid requests, made wrong on one level or on several: JSON, bytes, sizes, headers, path; a seed says how.

Pure: the same seed is the same bytes.
"""

from __future__ import annotations

import copy
import dataclasses
import json
import random
import re
import string
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from typing import Any

from tests.fuzz.corpus import HEADER, Request, encoded, requests
from tests.fuzz.heads import Head, headers, line


@dataclass(frozen=True, slots=True)
class Sent:
    """The bytes of a request. ``framed``: they are one whole HTTP/1.1 request, whatever is in it.

    Then there is one reply and the connection lives on; else what is no request may end it.
    """

    data: bytes
    method: str
    framed: bool
    marker: str


@dataclass(frozen=True, slots=True)
class Token:
    """Text that stands in the JSON as it is: what ``json.dumps`` would not write. As a key it equals no other."""

    text: str


# RFC 9110, 5.6.2 and 5.5; RFC 9112, 3.2: what a head is made of, so that it says one thing to everybody.
_TOKEN = re.compile(rb"[!#$%&'*+.^_`|~0-9A-Za-z-]+")
_TARGET = re.compile(rb"[\x21-\x7e]+")
_VALUE = re.compile(rb"([\x21-\x7e\x80-\xff]([\t\x20-\x7e\x80-\xff]*[\x21-\x7e\x80-\xff])?)?")
# Hypercorn takes 16 KiB of a head.
_MOST_HEAD = 15_000
_DEEP = 600
_MIB = 1 << 20


def marker_of(seed: int) -> str:
    """A text of 96 letters, which no other seed has and no error shows whole."""
    return "mark" + "".join(random.Random(f"marker {seed}").choices(string.ascii_lowercase, k=92))


def mutation(seed: int) -> Sent:
    """The request of that seed."""
    rng = random.Random(seed)
    marker = marker_of(seed)
    corpus = requests(marker)
    request = rng.choice(corpus)
    levels = rng.choices((_json, _sizes, _body_bytes, headers, line, _spliced), (40, 15, 20, 15, 8, 2), k=1)
    if rng.random() < 0.25:
        levels += rng.choices((_json, _sizes, headers, line), k=1)
    return _rendered(rng, request, levels, corpus, marker)


def plain(request: Request, marker: str = "") -> Sent:
    """A request as it is."""
    head = _fields(request)
    body = encoded(request.coding, _written(request.head).encode() + request.tail if request.head is not None else b"")
    return Sent(_joined(request.method.encode(), request.path.encode(), head, body), request.method, True, marker)


def _rendered(
    rng: random.Random, request: Request, levels: Sequence[Any], corpus: Sequence[Request], marker: str
) -> Sent:
    if request.head is None:
        # A question has neither JSON nor tensors; some are asked with a body all the same.
        levels = [level if level in (headers, line) else line for level in levels]
        if rng.random() < 0.2:
            request = dataclasses.replace(request, head=rng.choice(corpus).head)
    for level in (_json, _sizes):
        if level in levels and request.head is not None:
            request = level(rng, request)
    fields = _fields(request)
    body = _written(request.head).encode(errors="surrogatepass") if request.head is not None else b""
    body += request.tail
    if _spliced in levels:
        body = _spliced(rng, body, rng.choice(corpus))
    before = rng.random() < 0.5
    if _body_bytes in levels and before:
        body = _body_bytes(rng, body)
    body = encoded(request.coding, body)
    if _body_bytes in levels and not before:
        body = _body_bytes(rng, body)
    method, target = request.method.encode(), request.path.encode()
    if headers in levels:
        fields = headers(rng, fields)
    if line in levels:
        method, target = line(rng, method, target)
    data = _joined(method, target, fields, body)
    return Sent(data, method.decode("latin1"), _framed(method, target, fields), marker)


def _framed(method: bytes, target: bytes, fields: Head) -> bool:
    names = [name.lower() for name, _ in fields]
    return (
        _TOKEN.fullmatch(method) is not None
        and _TARGET.fullmatch(target) is not None
        and all(_TOKEN.fullmatch(name) and _VALUE.fullmatch(value) for name, value in fields)
        and not {b"content-length", b"transfer-encoding", b"host", b"upgrade", b"connection", b"expect"} & set(names)
        and len(target) + sum(len(name) + len(value) + 4 for name, value in fields) < _MOST_HEAD
    )


def _joined(method: bytes, target: bytes, fields: Head, body: bytes) -> bytes:
    own = [(b"host", b"h"), (b"content-length", b"%d" % len(body))]
    lines = [b"%s: %s" % field for field in [*own, *fields]]
    return b"\r\n".join([b"%s %s HTTP/1.1" % (method, target), *lines, b"", body])


def _fields(request: Request) -> Head:
    fields = [(name.encode(), value.encode()) for name, value in request.headers.items()]
    if request.coding:
        fields.append((b"content-encoding", request.coding.encode()))
    if request.tail:
        length = len(_written(request.head).encode(errors="surrogatepass"))
        fields.append((HEADER.encode(), b"%d" % length))
    return fields


# ---- JSON


def _written(value: Any) -> str:
    match value:
        case Token(text):
            return text
        case dict():
            return f"{{{','.join(f'{_written(key)}:{_written(inner)}' for key, inner in value.items())}}}"
        case list():
            return f"[{','.join(map(_written, value))}]"
        case _:
            return json.dumps(value, ensure_ascii=False)


def _nasty(rng: random.Random) -> Any:
    return rng.choice(_NASTY)(rng)


_NASTY: Sequence[Callable[[random.Random], Any]] = (
    lambda rng: rng.choice([None, True, False, 0, 1, -1, "", [], {}, [[]], [{}], [None], {"": None}]),
    lambda rng: rng.choice([2**31, 2**31 - 1, 2**32, 2**53 + 1, 2**62, 2**63 - 1, 2**63, -(2**63), -(2**63) - 1]),
    lambda rng: rng.choice([2**64 - 1, 2**64, 10**30, -(10**400), 1.7, -0.0, 1e-320, 65520.0, 3.5e38]),
    lambda rng: Token(rng.choice(["NaN", "-NaN", "Infinity", "-Infinity", "1e400", "-1e400", "-0", "1E5", "01", "+1"])),
    lambda rng: Token(rng.choice(["0x10", "1.", ".5", "nul", "undefined", "'x'", "", "/**/1", "1e", "9" * 5000])),
    lambda rng: Token(rng.choice([r'"\ud800"', r'"\udc00x"', r'"\u0000"', '"\x01"', r'"\x"', '"\udfff"', '"\t"'])),
    lambda rng: rng.choice(["\u202e", "\x7f", "𝔘" * 20, "%s%n{0}", "NaN", "null", "1", "-1", "true", "BYTES", "FP32"]),
    lambda rng: rng.choice([{"b64": "/w=="}, {"b64": "!"}, {"b64": 5}, {"b64": None}, {"b64": "", "x": 1}]),
    lambda rng: Token("[" * (deep := rng.choice([3, 65, _DEEP, 3000])) + "]" * deep),
    lambda rng: Token('{"a":' * (deep := rng.choice([3, 65, _DEEP, 3000])) + "1" + "}" * deep),
    lambda rng: [rng.choice([0, 1.5, "x", None, True, [1]]) for _ in range(rng.randrange(1, 9))],
    lambda rng: [2 ** rng.randrange(64) for _ in range(rng.randrange(1, 80))],
    lambda rng: rng.choice([[-1], [-1, 2], [0, 2**63], [2**63, 0], [2**32] * 2, [1] * 65, [0] * 64, [1, 2.0], ["2"]]),
    lambda rng: rng.choice(["fp32", "Bytes", "FP8", "INT", "BOOL ", "", "STRING", "float32", "BF16", "uint64", "İNT8"]),
    lambda rng: ["ab" * (_MIB // 2)] if rng.random() < 0.2 else ["ab" * 700],
)  # fmt: skip


def _json(rng: random.Random, request: Request) -> Request:
    head = copy.deepcopy(request.head)
    for _ in range(rng.choice((1, 1, 1, 2, 3, 6))):
        spots = list(_spots(head))
        if not spots or rng.random() < 0.03:
            head = _nasty(rng)
            continue
        _change(rng, *rng.choice(spots))
    return dataclasses.replace(request, head=head)


def _spots(value: Any) -> Iterator[tuple[Any, Any]]:
    """(container, key) of everything inside."""
    items = value.items() if isinstance(value, dict) else enumerate(value) if isinstance(value, list) else ()
    for key, inner in items:
        yield value, key
        yield from _spots(inner)


def _change(rng: random.Random, holder: Any, key: Any) -> None:
    value = holder[key]
    match rng.choice(("nasty", "nasty", "nasty", "drop", "twice", "rename", "wrap", "many", "swap")):
        case "drop":
            del holder[key]
        case "twice" if isinstance(holder, dict):
            holder[Token(_written(key))] = rng.choice([value, _nasty(rng)])
        case "twice":
            holder.insert(key, copy.deepcopy(value))
        case "rename" if isinstance(holder, dict):
            holder[rng.choice([*_WORDS, f"{_name(key)} ", _name(key).upper(), "\0", "ä"])] = holder.pop(key)
        case "wrap":
            holder[key] = rng.choice([[value], {"x": value}, [[value, value]]])
        case "many" if isinstance(value, list):
            holder[key] = value * rng.choice([0, 2, 3, 300])
        case "swap":
            spots = [(other, spot) for other, spot in _spots(holder) if other is holder]
            _, other = rng.choice(spots)
            holder[key], holder[other] = holder[other], holder[key]
        case _:
            holder[key] = _nasty(rng)


_WORDS = ("inputs", "instances", "outputs", "data", "shape", "datatype", "name", "parameters", "id", "b64", "rows", "")
_WORDS += ("binary_data_size", "binary_data", "binary_data_output", "timeout", "predictions", "contents", "__class__")


def _name(key: Any) -> str:
    return key if isinstance(key, str) else "k"


# ---- the tail


def _sizes(rng: random.Random, request: Request) -> Request:
    head, tail = copy.deepcopy(request.head), request.tail
    entries = head.get("inputs") if isinstance(head, dict) else None
    named = [entry for entry in entries if isinstance(entry, dict)] if isinstance(entries, list) else []
    if not named:
        return _json(rng, request)
    for _ in range(rng.choice((1, 1, 2))):
        entry = rng.choice(named)
        parameters = entry.get("parameters")
        if not isinstance(parameters, dict):
            parameters = entry["parameters"] = {}
        size = parameters.get("binary_data_size")
        size = size if type(size) is int and abs(size) < 2**63 else 8
        near = [size - 1, size + 1, size * 2, size // 2, 0, -size, -1, len(tail), len(tail) + 1]
        odd = [
            float(size),
            str(size),
            True,
            None,
            [size],
            {"size": size},
            Token(f"{size}.0"),
            2**31,
            2**63,
            10**30,
        ]
        parameters["binary_data_size"] = rng.choice([*near, *odd])
        if rng.random() < 0.3:
            entry.pop("data", None)
    if rng.random() < 0.3:
        tail = rng.choice([tail[:-1], tail + b"\0", tail * 2, b"", tail[::-1], b"\xff" * len(tail), rng.randbytes(64)])
    return dataclasses.replace(request, head=head, tail=tail)


# ---- bytes


def _body_bytes(rng: random.Random, body: bytes) -> bytes:
    changed = bytearray(body)
    for _ in range(rng.choice((1, 1, 2, 8, 40))):
        spot = rng.randrange(len(changed) + 1)
        end = min(len(changed), spot + rng.choice((1, 1, 4, 30)))
        match rng.choice(("flip", "set", "insert", "delete", "truncate", "repeat", "move")):
            case "flip" if spot < len(changed):
                changed[spot] ^= 1 << rng.randrange(8)
            case "set" if spot < len(changed):
                changed[spot] = rng.choice(b'\x00\xff{}[]",:\\-.e09 \n\x80')
            case "insert":
                changed[spot:spot] = rng.choice(
                    (rng.randbytes(3), b"\xef\xbb\xbf", b"\x00" * 8, b'"', b"\\ud800", b"[[[")
                )
            case "delete":
                del changed[spot:end]
            case "truncate":
                del changed[max(spot, len(changed) // 3) :]
            case "repeat":
                changed[spot:spot] = changed[spot:end] * rng.choice((2, 2, 50))
            case _:
                piece = changed[spot:end]
                del changed[spot:end]
                at = rng.randrange(len(changed) + 1)
                changed[at:at] = piece
    return bytes(changed)


def _spliced(rng: random.Random, body: bytes, other: Request) -> bytes:
    """The front of one body and the back of another."""
    second = _written(other.head).encode() + other.tail if other.head is not None else b"\0"
    return body[: rng.randrange(len(body) + 1)] + second[rng.randrange(len(second)) :]
