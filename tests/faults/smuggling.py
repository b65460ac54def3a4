"""What two readers could take for different requests: the bytes, and what must be answered, by which rule; pure.

Each case is a first request with another one hidden where only a lenient reader finds it; a third is sent behind. RFC
9112 and 9110 say what may be read; where a recipient MAY be lenient, refusing is the answer that nobody can misuse.
"""

from __future__ import annotations

from dataclasses import dataclass, replace

BODY = b'{"instances": [[1, 2]]}'
SIZE = len(BODY)
HIDDEN = b"GET /v2/health/live HTTP/1.1\r\nhost: h\r\nx-request-id: hidden\r\n\r\n"
BEHIND = b"GET /v2/health/live HTTP/1.1\r\nhost: h\r\nx-request-id: behind\r\n\r\n"
_CHUNKS = b"%x\r\n%s\r\n0\r\n\r\n" % (SIZE, BODY)
_SMUGGLED = b"0\r\n\r\n" + HIDDEN


@dataclass(frozen=True, slots=True)
class Case:
    """``status`` of the first request, ``rule``: the section that says so. Where it ``lives``, the connection goes on.

    ``hidden``: so often is what is hidden in it answered, where that was a request all along.
    """

    name: str
    sent: bytes
    status: int
    rule: str
    lives: bool = False
    hidden: int = 0


def _post(*lines: bytes, body: bytes = b"", version: bytes = b"1.1", host: bytes = b"host: h\r\n") -> bytes:
    fields = b"".join(b"%s\r\n" % line for line in lines)
    first = b"POST /v1/models/echo:predict HTTP/%s\r\n%sx-request-id: first\r\n" % (version, host)
    return first + fields + b"\r\n" + body


def _get(line: bytes, *fields: bytes, host: bytes = b"host: h\r\n") -> bytes:
    return line + b"\r\n" + host + b"x-request-id: first\r\n" + b"".join(b"%s\r\n" % own for own in fields) + b"\r\n"


def _of_size(size: int) -> bytes:
    """A request whose head has so many bytes, without the empty line."""
    empty = _get(b"GET /v2/health/live HTTP/1.1", b"x: ")
    return _get(b"GET /v2/health/live HTTP/1.1", b"x: " + b"y" * (size + 4 - len(empty)))


_LENGTH = b"content-length: %d" % SIZE
_HIDING = b"content-length: %d" % (SIZE + len(HIDDEN))
_CODED = b"transfer-encoding: chunked"


def _lengths() -> list[Case]:
    """Content-Length in other forms than digits."""
    wrong = {
        "twice": (_LENGTH, _LENGTH),
        "twice, different": (_LENGTH, _HIDING),
        "twice, different, in other cases": (_HIDING, b"Content-LENGTH: %d" % SIZE),
        "a list": (b"content-length: %d, %d" % (SIZE, SIZE),),
        "a list, different": (b"content-length: %d, %d" % (SIZE, SIZE + len(HIDDEN)),),
        "negative": (b"content-length: -%d" % SIZE,),
        "with a plus": (b"content-length: +%d" % SIZE,),
        "hexadecimal": (b"content-length: 0x%x" % SIZE,),
        "underscored": (b"content-length: 2_3",),
        "with a fraction": (b"content-length: %d.0" % SIZE,),
        "with an exponent": (b"content-length: 23e0",),
        "two numbers": (b"content-length: 2 3",),
        "empty": (b"content-length:",),
        "quoted": (b'content-length: "%d"' % SIZE,),
        "superscript digits": (b"content-length: \xb2\xb3",),
        "digits of another alphabet": (b"content-length: \xd9\xa2\xd9\xa3",),
        "a vertical tab before it": (b"content-length: \x0b%d" % SIZE,),
        "a NUL behind it": (b"content-length: %d\x00" % SIZE,),
        "a no-break space before it": (b"content-length: \xa0%d" % SIZE,),
    }
    return [Case(f"length {name}", _post(*lines, body=BODY), 400, "9112 6.3") for name, lines in wrong.items()] + [
        Case("length of 30 digits", _post(b"content-length: " + b"9" * 30, body=BODY), 413, "9110 8.6"),
        Case("length of 5,000 digits", _post(b"content-length: " + b"9" * 5000, body=BODY), 413, "9110 8.6"),
        Case("length of 2**64", _post(b"content-length: %d" % 2**64, body=BODY), 413, "9110 8.6"),
        Case("length with zeros before it", _post(b"content-length: 000%d" % SIZE, body=BODY), 200, "9110 8.6"),
        Case("length between tabs", _post(b"content-length:\t%d\t" % SIZE, body=BODY), 200, "9112 5"),
        Case("no length is no body", _get(b"GET /v2/health/live HTTP/1.1") + HIDDEN, 200, "9112 6.3", hidden=1),
        Case(
            "a body that GET has not", _get(b"GET /v2/health/live HTTP/1.1", _HIDING) + BODY + HIDDEN, 200, "9110 9.3.1"
        ),
        Case("a request within the body", _post(_HIDING, body=HIDDEN + BODY), 400, "9112 6.3", lives=True),
    ]


def _both() -> list[Case]:
    """Content-Length and Transfer-Encoding, each believed by somebody."""
    codings = {
        "chunked": _CODED,
        "CHUNKED": b"Transfer-Encoding: CHUNKED",
        "identity": b"transfer-encoding: identity",
        "xchunked": b"transfer-encoding: xchunked",
        "empty": b"transfer-encoding:",
    }
    cases = []
    for name, coding in codings.items():
        size = b"content-length: %d" % len(_SMUGGLED)
        cases += [
            Case(f"CL and TE {name}", _post(size, coding, body=_SMUGGLED), 400, "9112 6.3"),
            Case(f"TE {name} and CL", _post(coding, b"content-length: 5", body=_SMUGGLED), 400, "9112 6.3"),
        ]
    return cases


def _codings() -> list[Case]:
    """Transfer-Encoding that says chunked to some."""
    wrong = {
        "twice": (_CODED, _CODED),
        "and identity": (_CODED, b"transfer-encoding: identity"),
        "identity, chunked": (b"transfer-encoding: identity, chunked",),
        "chunked, identity": (b"transfer-encoding: chunked, identity",),
        "chunked, chunked": (b"transfer-encoding: chunked, chunked",),
        "gzip, chunked": (b"transfer-encoding: gzip, chunked",),
        "gzip": (b"transfer-encoding: gzip",),
        "identity": (b"transfer-encoding: identity",),
        "xchunked": (b"transfer-encoding: xchunked",),
        "chunkedx": (b"transfer-encoding: chunkedx",),
        "quoted": (b'transfer-encoding: "chunked"',),
        "with a parameter": (b"transfer-encoding: chunked;q=1",),
        "with a comma": (b"transfer-encoding: chunked,",),
        "behind a comma": (b"transfer-encoding: ,chunked",),
        "behind a vertical tab": (b"transfer-encoding: \x0bchunked",),
        "behind a form feed": (b"transfer-encoding: \x0cchunked",),
        "behind a no-break space": (b"transfer-encoding: \xa0chunked",),
        "before a NUL": (b"transfer-encoding: chunked\x00",),
        "before a carriage return": (b"transfer-encoding: chunked\r",),
        "folded": (b"transfer-encoding:", b" chunked"),
        "folded into another": (b"x: y", b" transfer-encoding: chunked"),
        "a space before the colon": (b"transfer-encoding : chunked",),
        "a tab before the colon": (b"transfer-encoding\t: chunked",),
        "a space before the name": (b" transfer-encoding: chunked",),
        "a NUL in the name": (b"transfer\x00-encoding: chunked",),
        "behind a bare line feed": (b"x: y\ntransfer-encoding: chunked",),
        "behind a bare carriage return": (b"x: y\rtransfer-encoding: chunked",),
        "8 bits in the name": (b"transfer-encoding\xa0: chunked",),
        "no colon": (b"transfer-encoding chunked",),
    }
    cases = [Case(f"TE {name}", _post(*lines, body=_SMUGGLED), 400, "9112 6.1") for name, lines in wrong.items()]
    return [
        *cases,
        Case("TE in HTTP/1.0", _post(_CODED, body=_SMUGGLED, version=b"1.0"), 400, "9112 6.1"),
        Case("TE in HTTP/1.0 that stays", _post(_CODED, b"connection: keep-alive", body=_SMUGGLED, version=b"1.0"), 400,
             "9112 6.1"),
        Case("an underscore is no dash", _post(b"transfer_encoding: chunked", _LENGTH, body=BODY), 200, "9110 5.1"),
        Case("TE without a space", _post(b"transfer-encoding:chunked", body=_CHUNKS), 200, "9112 5"),
        Case("TE with spaces around", _post(b"transfer-encoding: \t chunked \t", body=_CHUNKS), 200, "9112 5"),
        Case("TE in capitals", _post(b"TRANSFER-ENCODING: Chunked", body=_CHUNKS), 200, "9112 7"),
    ]  # fmt: skip


def _chunks() -> list[Case]:
    """Chunks whose end is elsewhere for somebody."""
    size = b"%x" % SIZE
    after = BODY + b"\r\n0\r\n\r\n"
    wrong = {
        "without its line end": size + b"\r\n" + BODY + b"0\r\n\r\n",
        "with a line feed for its end": size + b"\r\n" + BODY + b"\n0\r\n\r\n",
        "with a carriage return for its end": size + b"\r\n" + BODY + b"\r0\r\n\r\n",
        "longer than its size": b"%x\r\n" % (SIZE - 1) + after,
        "size behind a space": b" " + size + b"\r\n" + after,
        "size before a space": size + b" \r\n" + after,
        "size with a sign": b"+" + size + b"\r\n" + after,
        "size below zero": b"-1\r\n" + after,
        "size with 0x": b"0x" + size + b"\r\n" + after,
        "size with an underscore": b"1_7\r\n" + after,
        "size without digits": b"\r\n" + after,
        "size only an extension": b";x\r\n" + after,
        "size that is none": b"zz\r\n" + after,
        "size before a line feed": size + b"\n" + after,
        "size before two carriage returns": size + b"\r\r\n" + after,
        "size of 17 digits": b"%017x\r\n" % SIZE + after,
        "size past 64 bits": b"1000000000000%04x\r\n" % SIZE + after,
        "size of 300 digits": b"0" * 300 + size + b"\r\n" + after,
        "extension with a line feed": size + b";x\ny\r\n" + after,
        "extension with a carriage return": size + b";x\ry\r\n" + after,
        "extension with a NUL": size + b";x\0\r\n" + after,
        "extension of 20,000 bytes": size + b";" + b"x" * 20_000 + b"\r\n" + after,
        "trailer that is no field": size + b"\r\n" + BODY + b"\r\n0\r\n" + b"x\r\n\r\n",
        "trailer with a space before its colon": size + b"\r\n" + BODY + b"\r\n0\r\nx : y\r\n\r\n",
        "trailer with a line feed": size + b"\r\n" + BODY + b"\r\n0\r\nx: y\n\r\n",
        "trailers of 20,000 bytes": size + b"\r\n" + BODY + b"\r\n0\r\n" + b"x: yyyyyyyyyyyyyy\r\n" * 1000 + b"\r\n",
    }
    right = {
        "extension": size + b';name=value;other="a b"\r\n' + after,
        "extension behind a space": size + b" ;x\r\n" + after,
        "trailers": size + b"\r\n" + BODY + b"\r\n0\r\ncontent-length: 5\r\ntransfer-encoding: chunked\r\n\r\n",
        "trailer with the name of a request": size
        + b"\r\n"
        + BODY
        + b"\r\n0\r\nhost: other\r\nx-request-id: hidden\r\n\r\n",
        "size in capitals and with zeros": b"000" + size.upper() + b"\r\n" + BODY + b"\r\n0000\r\n\r\n",
        "single bytes": b"".join(b"1\r\n%c\r\n" % byte for byte in BODY) + b"0\r\n\r\n",
    }
    large = b"7fffffffffffffff\r\n" + after
    return [
        *(Case(f"chunk {name}", _post(_CODED, body=body + HIDDEN), 400, "9112 7.1") for name, body in wrong.items()),
        *(Case(f"chunk {name}", _post(_CODED, body=body), 200, "9112 7.1") for name, body in right.items()),
        Case("chunk larger than any body", _post(_CODED, body=large), 400, "9112 7.1"),
    ]


def _fields() -> list[Case]:
    """Header lines that end, or begin, elsewhere for somebody."""
    live = b"GET /v2/health/live HTTP/1.1"
    wrong = {
        "bare line feeds": (live + b"\nhost: h\n\n", "9112 2.2"),
        "one bare line feed": (live + b"\r\nhost: h\nx: y\r\n\r\n", "9112 2.2"),
        "bare carriage returns": (live + b"\rhost: h\r\r\n\r\n", "9112 2.2"),
        "a bare carriage return in a value": (_get(live, b"x: a\rb"), "9112 2.2"),
        "a head that a bare line feed ends": (_get(live, b"x: y\n\nGET / HTTP/1.1"), "9112 2.2"),
        "a line feed before the request": (b"\n" + _get(live), "9112 2.2"),
        "a folded line": (_get(live, b"x: 1", b" 2"), "9112 5.2"),
        "a line folded with a tab": (_get(live, b"x: 1", b"\t2"), "9112 5.2"),
        "a first line that is folded": (live + b"\r\n x: y\r\nhost: h\r\n\r\n", "9112 2.2"),
        "a space before a colon": (_get(live, b"x : y"), "9112 5.1"),
        "a tab before a colon": (_get(live, b"x\t: y"), "9112 5.1"),
        "no name": (_get(live, b": y"), "9112 5"),
        "no colon": (_get(live, b"x"), "9112 5"),
        "a NUL in a value": (_get(live, b"x: a\0b"), "9110 5.5"),
        "a NUL in a name": (_get(live, b"x\0: y"), "9110 5.1"),
        "DEL in a value": (_get(live, b"x: a\x7fb"), "9110 5.5"),
        "an escape in a value": (_get(live, b"x: \x1b[2J"), "9110 5.5"),
        "8 bits in a name": (_get(live, b"\xfcmlaut: y"), "9110 5.1"),
        "a slash in a name": (_get(live, b"a/b: y"), "9110 5.1"),
        "no host": (_get(live, host=b""), "9112 3.2"),
        "two hosts": (_get(live, b"host: h"), "9112 3.2"),
        "two hosts that differ": (_get(live, b"Host: other"), "9112 3.2"),
        "a list of hosts": (_get(live, host=b"host: a, b\r\n"), "9112 3.2"),
        "a host with a path": (_get(live, host=b"host: h/v2\r\n"), "9112 3.2"),
        "a host with a user": (_get(live, host=b"host: user@h\r\n"), "9112 3.2"),
        "a host of 8 bits": (_get(live, host=b"host: \xff\r\n"), "9112 3.2"),
    }
    right = {
        "8 bits in a value": (_get(live, b"x: \xff\xfe"), "9110 5.5"),
        "an empty value": (_get(live, b"x:"), "9110 5.5"),
        "an empty host": (_get(live, host=b"host:\r\n"), "9112 3.2"),
        "empty lines before": (b"\r\n\r\n" + _get(live), "9112 2.2"),
        "a field twice": (_get(live, b"x: 1", b"X: 2"), "9110 5.3"),
    }
    return [Case(name, sent, 400, rule) for name, (sent, rule) in wrong.items()] + [
        Case(name, sent, 200, rule) for name, (sent, rule) in right.items()
    ]


def _lines() -> list[Case]:
    """The first line."""
    wrong = {
        b"GET /v2/health/live": "9112 3",
        b"GET  /v2/health/live HTTP/1.1": "9112 3",
        b"GET /v2/health/live  HTTP/1.1": "9112 3",
        b"GET\t/v2/health/live\tHTTP/1.1": "9112 3",
        b" GET /v2/health/live HTTP/1.1": "9112 3",
        b"GET /v2/health/live HTTP/1.1 ": "9112 3",
        b"GET /v2/health/live HTTP/1.1 HTTP/1.1": "9112 3",
        b"GET /v2 /health/live HTTP/1.1": "9112 3.2",
        b"GET HTTP/1.1": "9112 3",
        b"GET /v2/health/live HTTP/11": "9112 2.3",
        b"GET /v2/health/live HTTP/1.10": "9112 2.3",
        b"GET /v2/health/live HTTP/01.1": "9112 2.3",
        b"GET /v2/health/live HTTP/1,1": "9112 2.3",
        b"GET /v2/health/live http/1.1": "9112 2.3",
        b"GET /v2/health/live HTTPS/1.1": "9112 2.3",
        b"GET /\xff HTTP/1.1": "9112 3.2",
        b"GET /\0 HTTP/1.1": "9112 3.2",
        b"GET /\x7f HTTP/1.1": "9112 3.2",
        b"G(T / HTTP/1.1": "9110 9.1",
        b"G\xc3\x96T / HTTP/1.1": "9110 9.1",
        b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03": "9112 3",
    }
    return [
        *(Case(f"line {line!r}", _get(line), 400, rule) for line, rule in wrong.items()),
        Case("HTTP/0.9", b"GET /v2/health/live\r\n", 400, "9112 2.3"),
        Case("HTTP/0.9 by name", _get(b"GET /v2/health/live HTTP/0.9"), 505, "9110 15.6.6"),
        Case("HTTP/2.0 by name", _get(b"GET /v2/health/live HTTP/2.0"), 505, "9110 15.6.6"),
        Case("HTTP/1.2 is a 1.1 that knows more", _get(b"GET /v2/health/live HTTP/1.2"), 200, "9110 2.5"),
        Case("a method in lower case is another", _get(b"get /v2/health/live HTTP/1.1"), 405, "9110 9.1"),
        Case("a method that nobody has", _get(b"SMUGGLE /v2/health/live HTTP/1.1"), 405, "9110 15.5.6"),
        Case("CONNECT", _get(b"CONNECT h:443 HTTP/1.1") + HIDDEN, 501, "9110 9.3.6"),
        Case("TRACE is not echoed", _get(b"TRACE /v2/health/live HTTP/1.1"), 405, "9110 9.3.8"),
        Case("an asterisk", _get(b"OPTIONS * HTTP/1.1"), 404, "9112 3.2.4"),
        Case("an authority", _get(b"GET h:80 HTTP/1.1"), 404, "9112 3.2.3"),
        Case(
            "an absolute target, for another host", _get(b"GET http://other/v2/health/live HTTP/1.1"), 200, "9112 3.2.2"
        ),
        Case("an absolute target without a path", _get(b"GET http://other HTTP/1.1"), 200, "9112 3.2.2"),
        Case("a line of 8 KiB", _get(b"GET /" + b"a" * (8192 - 14) + b" HTTP/1.1"), 404, "9112 3"),
        Case("a line of a byte more", _get(b"GET /" + b"a" * (8192 - 13) + b" HTTP/1.1"), 414, "9112 3"),
        Case(
            "a hundred fields",
            _get(b"GET /v2/health/live HTTP/1.1", *(b"x-%d: y" % n for n in range(98))),
            200,
            "9110 5.4",
        ),
        Case(
            "a field more", _get(b"GET /v2/health/live HTTP/1.1", *(b"x-%d: y" % n for n in range(99))), 431, "6585 5"
        ),
        Case("a head of 64 KiB", _of_size(2**16), 200, "6585 5"),
        Case("a head of a byte more", _of_size(2**16 + 1), 431, "6585 5"),
        Case("a head of 1 MB", _of_size(1_000_000), 431, "6585 5"),
        Case("a hundred lines of one field", _get(b"GET /v2/health/live HTTP/1.1", *[b"x: y"] * 99), 431, "6585 5"),
    ]


CASES = tuple(
    replace(case, lives=True) if case.status in (200, 404, 405) else case
    for case in (*_lengths(), *_both(), *_codings(), *_chunks(), *_fields(), *_lines())
)
