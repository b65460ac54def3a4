"""Which connections are used again, and which are closed: against servers on raw sockets, on trio and on asyncio."""

from __future__ import annotations

import socket
import ssl
import threading
from functools import partial

import anyio
import httpcore
import httpx
import pytest
import trio
from trio.testing import MockClock, wait_all_tasks_blocked

from pipeline.errors import Code, InferError
from pipeline.exchange import Peer
from pipeline.transport import environments_proxy
from pipeline.wire.codec import Call
from tests.raw import answer, answering, answering_and_closing, open_files, raw_server, read_request, wait_for_files
from tests.tls import self_signed

GET = Call("GET", "/live")
GOOD = b'{"live":true}'
STOLEN = answer(b"stolen")
CHUNKED = b"HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n"


@pytest.fixture(params=["trio", "asyncio"])
def run(request):
    return partial(anyio.run, backend=request.param)


async def asked(there):
    """The body of a reply, or the code of the error."""
    try:
        reply = await there.exchange(GET)
    except InferError as error:
        return error.code
    return b"".join(map(bytes, reply.body))


@pytest.fixture(scope="module")
def certificate(tmp_path_factory):
    return tuple(map(str, self_signed(tmp_path_factory.mktemp("tls"))))


# What a server sends for one request, and what of it is the reply.
SURPLUS = {
    "a reply too many": (answer() + STOLEN, GOOD),
    "a part of a reply": (answer() + STOLEN[:9], GOOD),
    "one byte": (answer() + b"\n", GOOD),
    "a reply after one without a body": (answer(b"") + STOLEN, b""),
    "a body that is longer than its length": (answer(GOOD + STOLEN).replace(b"h: ", b"h: 13\r\nx: ", 1), GOOD),
    "a 204 with a body": (b"HTTP/1.1 204 No Content\r\n\r\n" + STOLEN, b""),
    "a 204 with a length": (answer(b"stolen", status="204 No Content"), b""),
    "a 304 with a body": (answer(STOLEN, status="304 Not Modified"), Code.BAD_UPSTREAM),
    "a reply after chunks": (CHUNKED + b"3\r\nabc\r\n0\r\n\r\n" + STOLEN, b"abc"),
    "chunks after chunks": (2 * (CHUNKED + b"3\r\nabc\r\n0\r\n\r\n"), b"abc"),
    "a reply after trailers": (CHUNKED + b"3\r\nabc\r\n0\r\nx: y\r\n\r\n" + STOLEN, b"abc"),
    "a reply after bare line feeds": (b"HTTP/1.1 200 OK\ncontent-length: 3\n\nabc" + STOLEN, b"abc"),
    "a reply after an interim one": (b"HTTP/1.1 103 Early\r\n\r\n" + answer() + STOLEN, GOOD),
    "an interim reply": (answer() + b"HTTP/1.1 103 Early\r\n\r\n", GOOD),
    "a reply after one of 2048 bytes": (answer(b"x" * 2008).ljust(2048, b"x") + STOLEN, b"x" * 2008),
    "a reply after one of 64 KiB": (answer(b"x" * (2**16 - 42)).ljust(2**16, b"x") + STOLEN, b"x" * (2**16 - 42)),
}


@pytest.mark.parametrize("sent", SURPLUS)
def test_what_is_sent_past_the_end_of_a_reply_reaches_no_later_call(run, sent):
    bytes_, first = SURPLUS[sent]
    with raw_server(answering(bytes_), answering(answer(b"second"))) as server:

        async def ask():
            async with Peer(server.url, trust_env=False) as there:
                return await asked(there), await asked(there), await asked(there)

        assert run(ask) == (first, b"second", b"second")
        assert server.connections == 2


def test_nor_does_it_reach_the_call_that_waits_for_the_connection(run):
    with raw_server(answering(answer() + STOLEN), answering(answer(b"second"))) as server:

        async def ask():
            told = []

            async def call(there):
                told.append(await asked(there))

            there = Peer(server.url, trust_env=False, connections=1)
            async with there, anyio.create_task_group() as tasks:
                for _ in range(3):
                    tasks.start_soon(call, there)
            return told

        assert run(ask) == [GOOD, b"second", b"second"]


@pytest.mark.parametrize("cut", [1, *range(43, 60)])
def test_wherever_the_network_cuts_a_reply(run, cut):
    """In the middle of its blank lines too."""
    whole = (
        b"HTTP/1.1 200 OK\r\na: b\r\n\r\n".replace(b"a: b", b"transfer-encoding: chunked") + b"3\r\nabc\r\n0\r\n\r\n"
    )
    first, second = whole[:cut], whole[cut:] + STOLEN

    def cutting(connection):
        connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        read_request(connection)
        connection.sendall(first)
        gate.wait(10)
        connection.sendall(second)

    gate = threading.Event()
    with raw_server(cutting, answering(answer(b"second"))) as server:

        async def ask():
            async with Peer(server.url, trust_env=False) as there, anyio.create_task_group() as tasks:
                told = []

                async def call():
                    told.append(await asked(there))

                tasks.start_soon(call)
                await anyio.to_thread.run_sync(server.wait_until_came)
                for _ in range(20):
                    await anyio.lowlevel.checkpoint()
                gate.set()
                while not told:
                    await anyio.lowlevel.checkpoint()
                return told[0], await asked(there)

        assert run(ask) == (b"abc", b"second")


KEPT = {
    "a length": answer(),
    "no body": answer(b"", status="204 No Content"),
    "chunks": CHUNKED + b"3\r\nabc\r\n0\r\n\r\n",
    "chunks with blank lines": CHUNKED + b"8\r\n\n\nab\r\n\r\n\r\n0\r\n\r\n",
    "trailers": CHUNKED + b"3\r\nabc\r\n0\r\nx: y\r\n\r\n",
    "interim replies": 5 * b"HTTP/1.1 103 Early Hints\r\nlink: </a>\r\n\r\n" + answer(),
    "a large body": answer(bytes(1_000_000)),
    "large chunks": CHUNKED + 3 * (b"10000\r\n" + bytes(65536) + b"\r\n") + b"0\r\n\r\n",
}


@pytest.mark.parametrize("reply", KEPT.values(), ids=KEPT)
def test_a_connection_whose_replies_end_where_they_should_is_kept(run, reply):
    with raw_server(answering(reply)) as server:

        async def ask():
            async with Peer(server.url, trust_env=False) as there:
                return [await asked(there) for _ in range(5)]

        first, *others = run(ask)
        assert isinstance(first, bytes)
        assert others == [first] * 4
        assert server.connections == 1


@pytest.mark.parametrize("head", ["connection: close\r\n", "Connection: keep-alive, Close\r\n"])
def test_a_connection_that_the_server_is_about_to_close_is_not_kept(run, head):
    with raw_server(answering(answer(head=head))) as server:

        async def ask():
            async with Peer(server.url, trust_env=False) as there:
                return [await asked(there) for _ in range(2)]

        assert run(ask) == [GOOD, GOOD]
        assert server.connections == 2


def test_a_proxys_connections_are_looked_at_as_any(run, monkeypatch):
    with raw_server(answering(answer() + STOLEN), answering(answer(b"second"))) as proxy:
        monkeypatch.setenv("HTTP_PROXY", proxy.url)
        for name in ("NO_PROXY", "no_proxy", "http_proxy"):
            monkeypatch.delenv(name, raising=False)

        async def ask():
            async with Peer("http://model.invalid", trust_env=True) as there:
                return [await asked(there) for _ in range(3)]

        assert run(ask) == [GOOD, b"second", b"second"]
        assert proxy.connections == 2


@pytest.mark.parametrize("records", [1, 2])
def test_under_tls_too_in_whatever_record_it_is(run, certificate, records):
    """A second record that has arrived is seen by nobody who looks at the socket or at the parser."""
    context = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
    context.load_cert_chain(*certificate)

    def secure(*parts):
        def behave(connection):
            # Through buffers, so that all records of a reply are one segment.
            incoming, outgoing = ssl.MemoryBIO(), ssl.MemoryBIO()
            tls = context.wrap_bio(incoming, outgoing, server_side=True)

            def pumped(act):
                while True:
                    try:
                        return act()
                    except ssl.SSLWantReadError:
                        connection.sendall(outgoing.read())
                        incoming.write(connection.recv(65536) or b"")

            pumped(tls.do_handshake)
            while pumped(lambda: tls.read(65536)):
                for part in parts:
                    tls.write(part)
                connection.sendall(outgoing.read())

        return behave

    parts = [answer() + STOLEN] if records == 1 else [answer(), STOLEN]
    with raw_server(secure(*parts), secure(answer(b"second"))) as server:

        async def ask():
            url = server.url.replace("http:", "https:")
            async with Peer(url, verify=certificate[0], trust_env=False) as there:
                return [await asked(there) for _ in range(3)]

        assert run(ask) == [GOOD, b"second", b"second"]
        assert server.connections == 2


# ---- how long they are kept


def test_idle_connections_are_closed_by_the_clock_and_by_their_server():
    """Nobody has to call again for that."""
    clock = MockClock()
    with raw_server(answering(answer())) as server:

        async def ask():
            async with Peer(server.url, trust_env=False) as there, trio.open_nursery() as nursery:
                before = open_files()
                nursery.start_soon(there.close_idle)
                assert await asked(there) == GOOD
                await wait_all_tasks_blocked()
                for _ in range(3):
                    clock.jump(1)
                    await wait_all_tasks_blocked()
                assert await asked(there) == GOOD
                assert server.connections == 1
                for _ in range(5):
                    clock.jump(1)
                    await wait_all_tasks_blocked()
                await trio.to_thread.run_sync(server.wait_until_left)
                wait_for_files(before)
                nursery.cancel_scope.cancel()

        trio.run(ask, clock=clock)


def test_a_connection_that_its_server_closed_is_closed_here_within_a_second():
    clock, closed = MockClock(), threading.Event()

    def closing(connection):
        answering_and_closing(answer())(connection)
        closed.set()

    with raw_server(closing) as server:

        async def ask():
            async with Peer(server.url, trust_env=False) as there, trio.open_nursery() as nursery:
                nursery.start_soon(there.close_idle)
                assert await asked(there) == GOOD
                await trio.to_thread.run_sync(closed.wait)
                await wait_all_tasks_blocked()
                clock.jump(1)
                await trio.to_thread.run_sync(server.wait_until_left)
                nursery.cancel_scope.cancel()

        trio.run(ask, clock=clock)


# ---- what the environment names


@pytest.mark.parametrize(
    ("environment", "url", "proxy"),
    [
        ({}, "http://a.org", None),
        ({"http_proxy": "http://p:1"}, "http://a.org", "http://p:1"),
        ({"http_proxy": "p:1"}, "http://a.org", "http://p:1"),
        ({"http_proxy": "http://p:1"}, "https://a.org", None),
        ({"https_proxy": "http://p:1"}, "https://a.org:8443", "http://p:1"),
        ({"all_proxy": "http://p:1"}, "http://a.org", "http://p:1"),
        ({"all_proxy": "http://p:1", "http_proxy": "http://q:1"}, "http://a.org", "http://q:1"),
        ({"http_proxy": "http://p:1", "no_proxy": "a.org"}, "http://a.org:80", None),
        ({"http_proxy": "http://p:1", "no_proxy": "b.org, .a.org"}, "http://x.a.org", None),
        ({"http_proxy": "http://p:1", "no_proxy": "x.org"}, "http://a.org", "http://p:1"),
        ({"http_proxy": "http://p:1", "no_proxy": "*"}, "http://a.org", None),
        ({"http_proxy": "http://p:1", "no_proxy": "localhost,127.0.0.1"}, "http://127.0.0.1:8080", None),
        ({"http_proxy": "http://p:1", "no_proxy": "a.org:8080"}, "http://a.org:8080", None),
        ({"http_proxy": "http://p:1", "no_proxy": "a.org:8080"}, "http://a.org:8081", "http://p:1"),
        ({"http_proxy": "http://p:1", "no_proxy": "::1"}, "http://[::1]:8081", None),
    ],
)
def test_a_proxy_is_that_of_the_environment(monkeypatch, environment, url, proxy):
    for name in ("http_proxy", "https_proxy", "all_proxy", "no_proxy"):
        monkeypatch.delenv(name, raising=False)
        monkeypatch.delenv(name.upper(), raising=False)
    for name, text in environment.items():
        monkeypatch.setenv(name, text)
    found = environments_proxy(httpx.URL(url))
    assert (found and str(found.url)) == proxy


def test_a_proxys_user_is_sent_to_it_alone(run, monkeypatch):
    seen = []
    with raw_server(answering(answer(), seen=seen)) as proxy:
        monkeypatch.setenv("http_proxy", proxy.url.replace("//", "//user:secret@"))
        for name in ("NO_PROXY", "no_proxy"):
            monkeypatch.delenv(name, raising=False)

        async def ask():
            async with Peer("http://model.invalid") as there:
                return await asked(there)

        assert run(ask) == GOOD
    lines = seen[0].lower().split(b"\r\n")
    assert b"proxy-authorization: basic dxnlcjpzzwnyzxq=" in lines


def test_what_is_no_proxy_is_refused_when_the_client_opens(monkeypatch):
    monkeypatch.setenv("http_proxy", "ftp://p:1")
    with pytest.raises(ValueError, match="proxy"):
        environments_proxy(httpx.URL("http://a.org"))


def test_httpx_still_keeps_its_pool_where_ours_is_put():
    """The one private name of httpx that pipeline/transport.py uses."""
    assert isinstance(httpx.AsyncHTTPTransport()._pool, httpcore.AsyncConnectionPool)
