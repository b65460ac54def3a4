"""The head of an HTTP/1.1 request: bytes in, a Head out, or why it is refused; pure.

Sources: RFC 9112, 2 to 7, and RFC 9110, 5. Where a recipient may be lenient, this one is not: who stands between may
have read it in another way.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from urllib.parse import unquote

import msgspec

from pipeline.errors import Code, InferError
from pipeline.wire.reply_headers import TOKEN

MOST_BYTES = 2**16
"""Of a head. uvicorn has 64 KiB, nginx 32, node.js 16."""
# The length of a request line: nginx and Apache have 8 KiB.
_LONGEST_LINE = 2**13
# Lines of header: Apache and gunicorn have 100.
_MOST_FIELDS = 100
# More digits than any body has bytes, and than Python likes to read.
_MOST_DIGITS = 18
CHUNKED = -1
"""The length of a body that comes in chunks."""

VALUE = r"[\t\x20-\x7e\x80-\xff]*"
"""What stands behind the name of a field: of the control characters only the tab."""
_LINE = re.compile(rf"({TOKEN}) ([\x21-\x7e]+) HTTP/([0-9])\.([0-9])")
# No line folding, and no space before the colon; the plus behind each: what it has matched it keeps.
_FIELD = re.compile(rf"\r\n({TOKEN}+):({VALUE}+)")
_HOST = re.compile(r"[0-9A-Za-z._~!$&'()*+;=%:\[\]-]*")
# Two lines of these are two requests to different readers.
_ONCE = ("host", "content-length", "transfer-encoding")
_BARE_LINE_FEED = re.compile(rb"(?<!\r)\n")
# Of six bytes each (RFC 9113, 6.5.1), which need no padding.
_SETTINGS = re.compile(r"(?:[0-9A-Za-z_-]{8})*")
_HTTP2 = re.compile(r"PRI \* HTTP/2\.0")
_BEGINNING = re.compile(rf"({TOKEN}) (?:([\x21-\x7e]+) HTTP/[0-9]\.[0-9]\r\n)?")


class Head(msgspec.Struct, frozen=True, eq=False):
    """``path`` is decoded; header names are in lower case, and lines of one name are one value (RFC 9110, 5.3).

    ``length`` of the body in bytes, or CHUNKED. ``minor``: 0 for HTTP/1.0, else 1. ``keeps``: the client would ask more
    over this connection. ``expects``: it waits for a word before it sends the body.
    """

    method: str
    target: str
    path: str
    headers: Mapping[str, str]
    length: int = 0
    minor: int = 1
    keeps: bool = True
    expects: bool = False


class Refused(InferError):
    """What came is no request, or none that is served; the status that says so, and why. The connection ends."""

    def __init__(self, status: int, reason: str) -> None:
        super().__init__(Code.INVALID_ARGUMENT, reason, status=status)


def too_slow(what: str) -> Refused:
    return Refused(408, f"the {what} comes too slowly")


def read_head(data: bytes) -> Head:
    """The head that these bytes are, which the empty line after them is no part of. Raises Refused."""
    if len(data) > MOST_BYTES:
        raise _too_large()
    text = data.decode("latin-1")
    end = text.find("\r\n")
    if end < 0:
        end = len(text)
    line = _LINE.fullmatch(text, 0, end)
    if line is None or end > _LONGEST_LINE:
        raise _wrong_line(text[:end])
    method, target, major, minor = line.groups()
    if major != "1":
        raise Refused(505, f"HTTP/{major}.{minor} is not spoken here; HTTP/1.1 and HTTP/2 are")
    headers: dict[str, str] = {}
    size = end
    for name, value in _FIELD.findall(text, end):
        size += len(name) + len(value) + 3
        key = name.lower()
        if key in headers:
            _join(headers, key, value.strip("\t "))
        else:
            headers[key] = value.strip("\t ")
    if size != len(text):
        raise Refused(400, "a line of the header is no field: a name, a colon, and a value of visible characters")
    if len(headers) > _MOST_FIELDS or text.count("\r\n") > _MOST_FIELDS:
        raise Refused(431, f"the header has more than {_MOST_FIELDS} fields")
    old = minor == "0"
    _require_host(headers, old=old)
    if method == "CONNECT":
        raise Refused(501, "this is no proxy: there is no CONNECT")
    length = _length(headers, old=old) if "content-length" in headers or "transfer-encoding" in headers else 0
    connection = headers.get("connection")
    return Head(
        method,
        target,
        _path_of(target),
        headers,
        length,
        0 if old else 1,
        not old if connection is None else _keeps(connection, old=old),
        "expect" in headers and not old and _expects(headers["expect"]),
    )


def require_promising(data: bytes, seen: int) -> None:
    """Raises Refused where a request cannot begin with these bytes, whatever follows; the end of its head is not here.

    A client that speaks something else, or waits for an answer to a wrong line, is told at once. The first bytes, so
    many as were ``seen``, have passed before.
    """
    line, ended, _ = data.partition(b"\r\n")
    if len(line) > _LONGEST_LINE:
        raise _wrong_line(line.decode("latin-1"))
    if len(data) > MOST_BYTES:
        raise _too_large()
    if b"\n" in line or (data and not data[:1].isalnum() and data[0] not in b"!#$%&'*+.^_`|~-\r"):
        raise Refused(400, _NO_LINE)
    text = line.decode("latin-1")
    if ended and line and not (_LINE.fullmatch(text) or _HTTP2.fullmatch(text)):
        raise _wrong_line(text)
    if _BARE_LINE_FEED.search(data, seen):
        raise Refused(400, "a line of the header ends with a bare line feed")


def asked_by(data: bytes) -> tuple[str, str]:
    """Method and path of what begins with these bytes and is refused, each a dash where it is not known."""
    line = _BEGINNING.match(data[: _LONGEST_LINE + len(b"\r\n")].lstrip(b"\r\n").decode("latin-1"))
    if line is None:
        return "-", "-"
    method, target = line.groups()
    return method, "-" if target is None else _path_of(target)


_NO_LINE = "the first line is no request line: a method, a target and HTTP/1.1, with one space between them"


def _wrong_line(line: str) -> Refused:
    if len(line) > _LONGEST_LINE:
        return Refused(414, f"the request line is longer than {_LONGEST_LINE} bytes")
    return Refused(400, _NO_LINE)


def _too_large() -> Refused:
    return Refused(431, f"the header is larger than {MOST_BYTES} bytes")


def _join(headers: dict[str, str], key: str, value: str) -> None:
    if key in _ONCE:
        raise Refused(400, f"the header {key} comes twice")
    # RFC 6265 has no list of cookies but this one (RFC 9113, 8.2.3).
    headers[key] = f"{headers[key]}{'; ' if key == 'cookie' else ', '}{value}"


def _require_host(headers: Mapping[str, str], *, old: bool) -> None:
    """RFC 9112, 3.2."""
    host = headers.get("host")
    if host is None:
        if not old:
            raise Refused(400, "the header host is missing")
    elif _HOST.fullmatch(host) is None:
        raise Refused(400, "the header host is no name of a host")


def _length(headers: Mapping[str, str], *, old: bool) -> int:
    """RFC 9112, 6.3, of which nothing is forgiven."""
    coding, declared = headers.get("transfer-encoding"), headers.get("content-length")
    if coding is not None:
        if declared is not None:
            raise Refused(400, "a body has a content-length or a transfer-encoding, not both")
        if old:
            raise Refused(400, "HTTP/1.0 has no transfer-encoding")
        if coding.lower() != "chunked":
            raise Refused(400, "the one transfer-encoding that is read is chunked")
        return CHUNKED
    if declared is None or not declared.isdecimal():
        raise Refused(400, "the header content-length is a whole number of bytes")
    if len(declared) > _MOST_DIGITS:
        raise Refused(413, "no body is as large as the header content-length says")
    return int(declared)


def _keeps(connection: str, *, old: bool) -> bool:
    """RFC 9112, 9.3."""
    options = _options(connection)
    return "close" not in options and (not old or "keep-alive" in options)


def _options(connection: str) -> list[str]:
    return [option.strip() for option in connection.lower().split(",")]


def _expects(text: str) -> bool:
    """RFC 9110, 10.1.1."""
    if text.lower() != "100-continue":
        raise Refused(417, "what a client can expect is 100-continue")
    return True


def _path_of(target: str) -> str:
    path = rooted(target.partition("?")[0])
    return unquote(path) if "%" in path else path


def rooted(path: str) -> str:
    """The path that a request target, without its query, means (RFC 9112, 3.2).

    One without a path of its own (``*``, ``host:port``) is a path that nothing is found under.
    """
    if path.startswith("/"):
        return path
    _, absolute, rest = path.partition("://")
    return f"/{rest.partition('/')[2]}" if absolute else f"/{path}"


def asks_for_http2(head: Head) -> bool:
    """An upgrade to h2c names itself in ``Connection`` and has one ``HTTP2-Settings``, in base64 (RFC 7540, 3.2.1).

    With a body it is ignored, as any upgrade may be (RFC 9110, 7.8): the body would have to be read first.
    """
    headers = head.headers
    if headers["upgrade"].lower() != "h2c" or head.length or not head.minor:
        return False
    settings = _SETTINGS.fullmatch(headers.get("http2-settings", ","))
    return settings is not None and "upgrade" in _options(headers.get("connection", ""))
