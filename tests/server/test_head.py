"""Heads of requests: what is read, what is refused with which status, and that h11 takes all that we take, and so."""

from __future__ import annotations

import h11
import pytest
from hypothesis import given
from hypothesis import strategies as st

from server.head import CHUNKED, Refused, asked_by, asks_for_http2, read_head, require_promising, rooted


def head(*lines: str, line="GET / HTTP/1.1", host="host: h"):
    return "\r\n".join([line, *([host] if host else []), *lines]).encode("latin-1")


def test_a_head_is_its_method_path_and_fields():
    read = read_head(
        head("Content-Type:\t a/b \t", "x: 1", "X: 2", "cookie: a=b", "cookie: c=d", line="POST /a%20b?q HTTP/1.1")
    )
    assert (read.method, read.target, read.path) == ("POST", "/a%20b?q", "/a b")
    assert read.headers == {"host": "h", "content-type": "a/b", "x": "1, 2", "cookie": "a=b; c=d"}
    assert (read.length, read.minor, read.keeps, read.expects) == (0, 1, True, False)


@pytest.mark.parametrize(
    ("data", "asked"),
    [
        (head(), ("GET", "/")), (head(host=""), ("GET", "-")), (b"GET /a%0ab?q HTTP/3.0\r\nx", ("GET", "/a\nb")),
        (b"\r\n\r\nGET /a HTTP/1.1\r\n", ("GET", "/a")), (b"GET /a HTTP/1.1", ("GET", "-")),
        (b"GET /a\rb HTTP/1.1\r\n", ("GET", "-")), (b"GET /a\n HTTP/1.1\r\n", ("GET", "-")), (b"GE\nT /a", ("-", "-")),
        (b"GET", ("-", "-")), (b"", ("-", "-")), (b"GET /" + b"a" * 10_000 + b" HTTP/1.1\r\n", ("GET", "-")),
    ],
)  # fmt: skip
def test_who_is_refused_asked_for_what_its_line_says_where_that_is_whole(data, asked):
    assert asked_by(data) == asked


@pytest.mark.parametrize(
    ("lines", "length"),
    [
        (["content-length: 0"], 0), (["content-length: 00012"], 12), (["Content-Length:7"], 7),
        (["transfer-encoding: chunked"], CHUNKED), (["transfer-encoding: Chunked"], CHUNKED), ([], 0),
    ],
)  # fmt: skip
def test_how_long_the_body_is(lines, length):
    assert read_head(head(*lines)).length == length


@pytest.mark.parametrize(
    ("version", "lines", "keeps"),
    [
        ("1.1", [], True), ("1.1", ["connection: close"], False), ("1.1", ["connection: x, Close"], False),
        ("1.1", ["connection: keep-alive"], True), ("1.2", [], True),
        ("1.0", [], False), ("1.0", ["connection: keep-alive"], True),
        ("1.0", ["connection: keep-alive, close"], False),
    ],
)  # fmt: skip
def test_whether_the_client_would_ask_more(version, lines, keeps):
    assert read_head(head(*lines, line=f"GET / HTTP/{version}")).keeps is keeps


REFUSED = {
    "no line": (b"nonsense", 400),
    "two spaces": (head(line="GET  / HTTP/1.1"), 400),
    "a tab": (head(line="GET\t/ HTTP/1.1"), 400),
    "a space in the target": (head(line="GET /a b HTTP/1.1"), 400),
    "a space at the end": (head(line="GET / HTTP/1.1 "), 400),
    "no version": (head(line="GET /"), 400),
    "a version of one number": (head(line="GET / HTTP/11"), 400),
    "a version in small letters": (head(line="GET / http/1.1"), 400),
    "a target that is not ASCII": (head(line="GET /größe HTTP/1.1"), 400),
    "a control character in the target": (head(line="GET /\x00 HTTP/1.1"), 400),
    "a method that is no token": (head(line="G@T / HTTP/1.1"), 400),
    "HTTP/0.9": (head(line="GET / HTTP/0.9"), 505),
    "HTTP/2": (head(line="GET / HTTP/2.0"), 505),
    "HTTP/9.9": (head(line="GET / HTTP/9.9"), 505),
    "CONNECT": (head(line="CONNECT h:443 HTTP/1.1"), 501),
    "a long line": (head(line=f"GET /{'a' * 9000} HTTP/1.1"), 414),
    "many fields": (head(*(f"x{n}: 1" for n in range(101))), 431),
    "many lines of one field": (head(*["x: 1"] * 101), 431),
    "no host": (head(host=""), 400),
    "two hosts": (head("host: h"), 400),
    "a host that is two": (head(host="host: a, b"), 400),
    "a host with a user": (head(host="host: u@h"), 400),
    "a host with a path": (head(host="host: h/"), 400),
    "no colon": (head("name"), 400),
    "no name": (head(": x"), 400),
    "a space before the colon": (head("content-length : 3"), 400),
    "a name that is not ASCII": (head("\xffx: 1"), 400),
    "a folded line": (head("x: 1", " 2"), 400),
    "a NUL": (head("x: a\x00b"), 400),
    "a bare carriage return": (head("x: a\rb: c"), 400),
    "a bare line feed": (head("x: a\nb: c"), 400),
    "a length that is none": (head("content-length: x"), 400),
    "an empty length": (head("content-length:"), 400),
    "a signed length": (head("content-length: +5"), 400),
    "a negative length": (head("content-length: -5"), 400),
    "a length in hex": (head("content-length: 0x5"), 400),
    "a length with an underscore": (head("content-length: 1_0"), 400),
    "a length in superscript": (head("content-length: ²"), 400),
    "two lengths": (head("content-length: 5", "content-length: 6"), 400),
    "a length twice": (head("content-length: 5", "content-length: 5"), 400),
    "a list of lengths": (head("content-length: 5, 5"), 400),
    "a length of many digits": (head(f"content-length: {'9' * 5000}"), 413),
    "both": (head("content-length: 5", "transfer-encoding: chunked"), 400),
    "chunked twice": (head("transfer-encoding: chunked, chunked"), 400),
    "chunked and another": (head("transfer-encoding: chunked", "transfer-encoding: identity"), 400),
    "gzip, chunked": (head("transfer-encoding: gzip, chunked"), 400),
    "another coding": (head("transfer-encoding: xchunked"), 400),
    "a coding with a control character": (head("transfer-encoding: \x0bchunked"), 400),
    "chunks in HTTP/1.0": (head("transfer-encoding: chunked", line="POST / HTTP/1.0"), 400),
    "another expectation": (head("expect: tea"), 417),
}


@pytest.mark.parametrize(("data", "status"), REFUSED.values(), ids=REFUSED)
def test_what_another_reader_might_take_otherwise_is_refused(data, status):
    with pytest.raises(Refused) as refused:
        read_head(data)
    assert refused.value.status == status


@pytest.mark.parametrize("version", ["1.0", "1.1"])
def test_an_expectation_is_of_http_1_1(version):
    assert read_head(head("expect: 100-Continue", line=f"GET / HTTP/{version}")).expects is (version == "1.1")
    assert read_head(head("expect: tea", host="", line="GET / HTTP/1.0")).expects is False


@pytest.mark.parametrize(
    ("path", "means"),
    [
        ("/v2/x", "/v2/x"), ("//h/x", "//h/x"), ("/a://b/c", "/a://b/c"), ("http://h:1/v2/x", "/v2/x"),
        ("http://h", "/"),        ("http://[::1/x", "/x"), ("", "/"), ("*", "/*"), ("h:80", "/h:80"),
    ],
)  # fmt: skip
def test_a_path_starts_with_a_slash_whatever_form_the_target_has(path, means):
    assert rooted(path) == means


def test_an_escaped_question_mark_is_of_the_path_and_what_is_no_utf8_is_replaced():
    assert read_head(head(line="GET /a%3Fb?c HTTP/1.1")).path == "/a?b"
    assert read_head(head(line="GET /%ff HTTP/1.1")).path == "/\ufffd"


@pytest.mark.parametrize(
    ("lines", "asks"),
    [
        (["upgrade: h2c", "connection: upgrade, http2-settings", "http2-settings: AAMAAABk"], True),
        (["upgrade: h2c", "connection: upgrade"], False),
        (["upgrade: h2c", "http2-settings: AAMAAABk"], False),
        (["upgrade: h2c", "connection: upgrade", "http2-settings: AAMAAABk", "http2-settings: AAMAAABk"], False),
        (["upgrade: h2c", "connection: upgrade", "http2-settings: AAMAAAB"], False),
        (["upgrade: h2c", "connection: upgrade", "http2-settings: AAMAAAB!"], False),
        (["upgrade: h2c", "connection: upgrade", "http2-settings: "], True),
        (["upgrade: h2c", "connection: upgrade", "http2-settings: AAMAAABk", "content-length: 3"], False),
        (["upgrade: websocket", "connection: upgrade", "http2-settings: AAMAAABk"], False),
    ],
)
def test_what_asks_for_http2(lines, asks):
    assert asks_for_http2(read_head(head(*lines))) is asks


@pytest.mark.parametrize(
    ("data", "status"),
    [
        (b"\x16\x03\x01\x02", 400),
        (b"\x00", 400),
        (b" GET", 400),
        (b"\nGET", 400),
        (b"nonsense\r\n", 400),
        (b"GET / HTTP/1.1\nhost: h\n", 400),
        (b"GET / HTTP/1.1\r\nhost: h\nx", 400),
        (b"GET /" + b"a" * 8200, 414),
        (b"GET / HTTP/1.1\r\n" + b"a" * 2**16, 431),
        (b"", None),
        (b"\r", None),
        (b"G", None),
        (b"GET / HTTP/1.1\r\nhost: h\r\n", None),
        (b"PRI * HTTP/2.0\r\n", None),
    ],
)
def test_what_cannot_become_a_request_is_refused_at_once(data, status):
    if status is None:
        require_promising(data, 0)
        return
    with pytest.raises(Refused) as refused:
        require_promising(data, 0)
    assert refused.value.status == status


PIECES = st.sampled_from(
    [
        "GET", "POST", " ", "/", "*", "http://h/", "HTTP/1.1", "HTTP/1.0", "\r\n", "\n", "\r", ":", "host", "Host: h",
        "content-length: 3", "transfer-encoding: chunked", "x: y", "x", ",", "\t", "\x00", "\xff", "a", "9",
        "connection: close",
    ]
)  # fmt: skip


@given(st.lists(PIECES, max_size=12), st.booleans())
def test_what_we_take_h11_takes_and_reads_the_same(pieces, whole):
    data = ("GET / HTTP/1.1\r\nhost: h\r\n" if whole else "").encode() + "".join(pieces).encode("latin-1")
    data = data.partition(b"\r\n\r\n")[0].removesuffix(b"\r\n")
    try:
        read = read_head(data)
    except Refused:
        return
    theirs = h11.Connection(h11.SERVER)
    theirs.receive_data(data + b"\r\n\r\n")
    request = theirs.next_event()
    assert (request.method.decode(), request.target.decode()) == (read.method, read.target)
    fields: dict[str, str] = {}
    for name, value in request.headers:
        key, text = name.decode(), value.decode("latin-1")
        fields[key] = f"{fields[key]}, {text}" if key in fields else text
    assert read.headers == fields
