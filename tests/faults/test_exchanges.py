"""What most requests do not do: waiting for a word, HEAD, HTTP/1.0, a hundred at once, bodies at the limit."""

from __future__ import annotations

import gzip
import json
import socket
import zlib
from collections.abc import Callable, Iterator

import pytest

from tests.faults.models import FILES, GRAPHS, asked, queued
from tests.fuzz.http1 import Answer, Wire
from tests.fuzz.target import resident, unharmed
from tests.serving import Server

_MOST = 1 << 20
_HEAD = b"POST /v1/models/echo:predict HTTP/1.1\r\nhost: h\r\n"


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    with unharmed(tmp_path_factory.mktemp("exchanges"), FILES, "--max-body", "1MiB", graphs=GRAPHS) as running:
        yield running


def body_of(size: int) -> bytes:
    """A body of so many bytes that is answered."""
    body = b'{"instances": [[1, 2]]}'
    return body + b" " * (size - len(body))


def chunked(body: bytes, size: int = 60_000) -> bytes:
    pieces = [body[at : at + size] for at in range(0, len(body), size)]
    return b"".join(b"%x\r\n%s\r\n" % (len(piece), piece) for piece in [*pieces, b""])


def raw(server: Server, *pieces: bytes) -> bytes:
    """All that is answered, until the server closes; the client is done sending."""
    with socket.create_connection(("127.0.0.1", server.port), timeout=30) as wire:
        for piece in pieces:
            wire.sendall(piece)
        wire.shutdown(socket.SHUT_WR)
        answer = b""
        while data := wire.recv(65536):
            answer += data
    return answer


# ---- Expect (RFC 9110, 10.1.1)


def test_a_client_that_waits_for_a_word_gets_it_once_and_then_its_answer(server):
    with socket.create_connection(("127.0.0.1", server.port), timeout=30) as wire:
        body = body_of(30)
        wire.sendall(_HEAD + b"content-length: 30\r\nexpect: 100-continue\r\n\r\n")
        assert wire.recv(65536) == b"HTTP/1.1 100 Continue\r\n\r\n"
        wire.sendall(body)
        assert wire.recv(65536).startswith(b"HTTP/1.1 200 ")


@pytest.mark.parametrize(
    ("request_", "status"),
    [
        (_HEAD + b"content-length: %d\r\n" % (_MOST + 1), 413),
        (_HEAD.replace(b"echo", b"nope") + b"content-length: 30\r\n", 404),
        (_HEAD.replace(b"POST", b"PUT") + b"content-length: 30\r\n", 405),
        (_HEAD + b"content-length: 30\r\ncontent-encoding: br\r\n", 415),
        (_HEAD + b"content-length: 30\r\ncontent-length: 30\r\n", 400),
        (_HEAD + b"content-length: 30\r\nexpect: more\r\n", 417),
    ],
    ids=["413", "404", "405", "415", "400", "417"],
)
def test_one_that_is_refused_gets_no_word_to_go_on(server, request_, status):
    with socket.create_connection(("127.0.0.1", server.port), timeout=30) as wire:
        wire.sendall(request_ + b"expect: 100-continue\r\n\r\n")
        answer = b""
        while data := wire.recv(65536):
            answer += data
            wire.shutdown(socket.SHUT_WR)
    assert answer.startswith(b"HTTP/1.1 %d " % status)
    assert b"\r\nconnection: close\r\n" in answer
    assert b"100 Continue" not in answer


def test_one_that_finds_the_queue_full_gets_no_word_either(server):
    with Wire(server.port) as inside, Wire(server.port) as waits:
        inside.send(asked("narrow", '"in"'))
        server.wait_until("the first is inside", (server.folder / "in.began").exists)
        waits.send(asked("narrow", '"in"'))
        server.wait_until("the queue is full", lambda: queued(server, 1))
        with Wire(server.port) as third:
            third.send(asked("narrow", '"in"', b"expect: 100-continue").partition(b"\r\n\r\n")[0] + b"\r\n\r\n")
            third.hear()
            third.half_close()
            answer = third.rest()
        (server.folder / "in.go").touch()
        assert [own.answer("POST").status for own in (inside, waits)] == [200, 200]
    assert answer.startswith(b"HTTP/1.1 503 ")
    assert b"retry-after: " in answer
    assert b"100 Continue" not in answer


# ---- HEAD, HTTP/1.0, pipelining


@pytest.mark.parametrize("path", ["/v2/health/live", "/metrics", "/nope", "/openapi.json"])
def test_head_is_get_without_the_body(server, path):
    with Wire(server.port) as wire:
        wire.send(f"HEAD {path} HTTP/1.1\r\nhost: h\r\n\r\nGET {path} HTTP/1.1\r\nhost: h\r\n\r\n".encode())
        head, get = wire.answer("HEAD"), wire.answer("GET")
    assert (head.status, head.body) == (get.status, b"")
    assert head.headers["content-type"] == get.headers["content-type"]
    assert path == "/metrics" or int(head.headers["content-length"]) == len(get.body)


def test_http_1_0_is_closed_unless_it_asks_to_stay(server):
    live = b"GET /v2/health/live HTTP/1.0\r\n%s\r\n"
    kept = raw(server, (live % b"connection: keep-alive\r\n") * 3 + live % b"" + live % b"")
    assert kept.count(b'{"live":true}') == 4
    assert kept.count(b"connection: keep-alive\r\n") == 3
    assert kept.count(b"connection: close\r\n") == 1


def test_a_hundred_requests_at_once_are_answered_in_their_order(server):
    """The largest replies are larger than what the kernel takes at once."""
    sizes = [n * 7 if n % 10 else 500_000 + n for n in range(100)]
    with Wire(server.port) as wire:
        wire.send(b"".join(asked("large", str(size)) for size in sizes))
        assert [len(wire.answer("POST").body) for _ in sizes] == sizes


# ---- bodies at the limit


@pytest.mark.parametrize("framing", ["sized", "chunked", "chunked in small pieces"])
@pytest.mark.parametrize("more", [0, 1])
def test_a_body_of_the_limit_is_read_and_one_of_a_byte_more_is_not(server, framing, more):
    body = body_of(_MOST + more)
    sent = b"content-length: %d\r\n\r\n%s" % (len(body), body)
    if framing != "sized":
        sent = b"transfer-encoding: chunked\r\n\r\n" + chunked(body, 60_000 if framing == "chunked" else 8)
    with Wire(server.port) as wire:
        wire.send(_HEAD + sent + b"GET /v2/health/live HTTP/1.1\r\nhost: h\r\n\r\n")
        answer = wire.answer("POST")
        assert answer.status == (413 if more else 200)
        # So little that is left over is dropped; what cannot be, says so.
        follows = wire.answer("GET")
        assert follows is None if answer.closes else follows.body == b'{"live":true}'


def test_a_client_that_goes_on_sending_reads_its_413(server):
    """It reads nothing until it has sent all, which a reset would take its reply from."""
    with Wire(server.port) as wire:
        assert wire.send(_HEAD + b"content-length: 50000000\r\n\r\n" + b" " * 50_000_000)
        answer = wire.answer("POST")
    assert (answer.status, answer.closes) == (413, True)


def test_a_client_that_never_stops_sending_is_left(server):
    with Wire(server.port) as wire:
        wire.send(_HEAD + b"content-length: 1000000000000\r\n\r\n")
        assert wire.answer("POST").status == 413
        before = resident(server)
        for _ in range(2000):
            if not wire.send(b" " * 65536):
                break
        assert resident(server) - before < 16 << 20


def _bomb(wbits: int) -> bytes:
    deflater = zlib.compressobj(9, zlib.DEFLATED, wbits)
    return b"".join(deflater.compress(b" " * _MOST) for _ in range(40)) + deflater.flush()


@pytest.mark.parametrize(
    ("coding", "bomb"),
    [
        ("gzip", lambda: _bomb(31)),
        ("deflate", lambda: _bomb(15)),
        ("deflate", lambda: _bomb(-15)),
        ("gzip, gzip", lambda: gzip.compress(_bomb(31))),
        ("gzip", lambda: gzip.compress(b" " * 100) * 30_000),
    ],
    ids=["gzip", "zlib", "bare deflate", "twice", "many members"],
)
def test_a_small_body_that_becomes_a_large_one_is_refused(server, coding: str, bomb: Callable[[], bytes]):
    data = bomb()
    assert len(data) < _MOST
    before = resident(server)
    with Wire(server.port) as wire:
        head = f"content-encoding: {coding}\r\ncontent-length: {len(data)}\r\n\r\n"
        wire.send(_HEAD + head.encode() + data)
        answer: Answer = wire.answer("POST")
    assert answer.status in (400, 413), json.loads(answer.body)
    assert resident(server) - before < 64 << 20
