"""Connections over real sockets, in process: clients that leave, half and whole, plain and over TLS; and a stop."""

from __future__ import annotations

import errno
import functools
import logging
import os
import socket
import ssl
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import pytest
import trio

from pipeline.wire.codec import Reply
from pipeline.wire.statuses import error_reply
from server.accept import accept, unbounded
from server.connected import Phase
from server.conversation import Conversations
from server.head import Refused
from server.leaving import leaving
from server.listen import listen
from server.secure import context_of
from tests.tls import self_signed, trusting

GET = b"GET /x HTTP/1.1\r\nhost: h\r\n\r\n"
CONTINUE = b"HTTP/1.1 100 Continue\r\n\r\n"


@pytest.fixture(scope="module")
def certificate(tmp_path_factory: pytest.TempPathFactory):
    return self_signed(tmp_path_factory.mktemp("tls"))


class Front:
    """A server in this process; every request waits until it is told to ``go`` on."""

    def __init__(self, secure: ssl.SSLContext | None = None) -> None:
        self.began = trio.Event()
        self.go = trio.Event()
        self.cancelled = trio.Event()
        self.handed = []
        self.refused = []
        self.secure = secure
        self.listening = listen("127.0.0.1", 0, secure=False)
        self.conversations: Conversations

    @asynccontextmanager
    async def runs(self) -> AsyncIterator[Front]:
        with self.listening.socket, leaving() as clients:
            self.conversations = Conversations(
                lambda *_: self.answer, self.refuse, self.http2, clients, most=1000, secure=self.secure
            )
            async with trio.open_nursery() as nursery:
                nursery.start_soon(clients.watch)
                take = functools.partial(nursery.start_soon, self.conversations.serve)
                nursery.start_soon(accept, self.listening.socket, take, unbounded, self.conversations.make_room)
                with trio.fail_after(20):
                    yield self
                nursery.cancel_scope.cancel()
        assert not self.conversations.connections

    async def answer(self, head, body, outgoing):
        self.began.set()
        try:
            await self.go.wait()
        except trio.Cancelled:
            self.cancelled.set()
            raise
        return Reply(200, {}, (b"yes",))

    def refuse(self, refused, method, path):
        self.refused.append((refused.status, method, path))
        return error_reply(refused)

    async def http2(self, stream, data=b"", asked=None):
        self.handed.append((data, asked))
        await stream.aclose()

    async def client(self) -> trio.abc.Stream:
        plain = await trio.open_tcp_stream("127.0.0.1", self.listening.socket.getsockname()[1])
        if self.secure is None:
            return plain
        return trio.SSLStream(plain, trusting("http/1.1"), https_compatible=True)


@pytest.fixture
async def front():
    async with Front().runs() as running:
        yield running


@pytest.fixture
async def either(is_secure, certificate):
    async with Front(context_of(*certificate) if is_secure else None).runs() as running:
        yield running


EITHER = pytest.mark.parametrize("is_secure", [False, True], ids=["plain", "TLS"])


async def until(happened):
    while not happened():  # noqa: ASYNC110  # what happens is the kernel's doing
        await trio.sleep(0.001)


async def received(stream: trio.abc.Stream) -> bytes:
    return b"".join([bytes(data) async for data in stream])


@EITHER
@pytest.mark.parametrize("more", [b"", GET * 500, b"x"], ids=["nothing", "pipelined", "a byte"])
async def test_a_client_that_leaves_cancels_its_request_whatever_it_has_sent_behind_it(either, more):
    client = await either.client()
    await client.send_all(GET + more)
    await either.began.wait()
    await trio.aclose_forcefully(client)
    await either.cancelled.wait()


async def test_a_client_that_is_done_sending_and_waits_is_answered(front):
    async with await front.client() as client:
        await client.send_all(GET)
        await front.began.wait()
        await client.send_eof()
        assert bytes(await client.receive_some(1000)) == CONTINUE
        front.go.set()
        assert (await received(client)).startswith(b"HTTP/1.1 200 OK\r\n")
    assert not front.cancelled.is_set()


async def test_a_client_that_was_done_at_once_is_answered(front):
    async with await front.client() as client:
        await client.send_all(GET + GET)
        await client.send_eof()
        front.go.set()
        assert (await received(client)).count(b"HTTP/1.1 200 OK\r\n") == 2


async def test_a_client_that_is_done_leaves_its_idle_connection(front):
    front.go.set()
    async with await front.client() as client:
        await client.send_all(GET)
        assert bytes(await client.receive_some(1000)).endswith(b"yes")
        await client.send_eof()
        assert await received(client) == b""


@EITHER
async def test_a_stop_ends_idle_connections_and_answers_what_is_asked(either, is_secure):
    async with await either.client() as silent, await either.client() as asking:
        await asking.send_all(GET)
        await either.began.wait()
        if is_secure:
            await silent.do_handshake()
        states = either.conversations.connections
        await until(lambda: sorted(state.phase.name for state in states) == ["IDLE", "WORK"])
        either.conversations.stop()
        # It may be about to ask.
        await either.conversations.hurry()
        assert await received(silent) == b""
        either.go.set()
        answer = await received(asking)
        assert answer.endswith(b"yes")
        assert b"\r\nconnection: close\r\n" in answer


@EITHER
async def test_a_stop_waits_for_no_request_behind_a_reply_that_was_on_its_way(either):
    async def streamed(head, body, outgoing):
        await outgoing.begin(200, {})
        await outgoing.send(b"one")
        await either.go.wait()
        await outgoing.end()

    either.answer = streamed
    async with await either.client() as client:
        await client.send_all(GET)
        answer = b""
        while not answer.endswith(b"3\r\none\r\n"):
            answer += await client.receive_some(1000)
        either.conversations.stop()
        await either.conversations.hurry()
        either.go.set()
        # The client keeps its half open, as one does that would ask again.
        assert await received(client) == b"0\r\n\r\n"
    assert b"connection: close" not in answer


async def test_a_client_that_asks_one_request_after_the_other_is_answered_once_more_after_a_stop(front):
    front.go.set()
    connections = front.conversations.connections
    async with await front.client() as resting, await front.client() as busy:
        await resting.send_all(GET)
        assert b"connection: close" not in await resting.receive_some(1000)
        await until(lambda: [own.phase for own in connections if not own.is_new] == [Phase.IDLE])
        (rests,) = (own for own in connections if not own.is_new)
        rests.since = trio.current_time() - 10  # as who watches the clock has it
        await busy.send_all(GET)
        await busy.receive_some(1000)
        await until(lambda: all(own.phase is Phase.IDLE for own in connections))
        front.conversations.stop()
        assert await received(resting) == b""
        await busy.send_all(GET)
        answer = await received(busy)
    assert answer.endswith(b"yes")
    assert b"\r\nconnection: close\r\n" in answer


async def test_what_was_asked_before_a_stop_and_not_read_yet_is_answered(front):
    front.go.set()
    async with await front.client() as client:
        await until(lambda: front.conversations.connections)
        await client.send_all(GET)
        front.conversations.stop()
        answer = await received(client)
    assert answer.endswith(b"yes")


async def test_a_refused_client_that_goes_on_sending_reads_why(front):
    async with await front.client() as client:
        await client.send_all(b"POST /x HTTP/1.1\r\nhost: h\r\ncontent-length: x\r\n\r\n" + b"z" * 2_000_000)
        assert (await received(client)).startswith(b"HTTP/1.1 400 ")
    assert front.refused == [(400, "POST", "/x")]


@EITHER
async def test_a_head_that_comes_too_slowly_is_a_408_and_told(either):
    async with await either.client() as client:
        await client.send_all(GET[:9])
        await until(lambda: [own.phase for own in either.conversations.connections] == [Phase.HEAD])
        (state,) = either.conversations.connections
        state.expire()
        answer = bytes(await client.receive_some(1000))
        assert answer.startswith(b"HTTP/1.1 408 ")
        assert b"\r\nconnection: close\r\n" in answer
    assert either.refused == [(408, "GET", "-")]


async def test_http2_is_handed_over_with_what_has_come(front):
    preface = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n"
    async with await front.client() as client:
        await client.send_all(preface)
        assert await received(client) == b""
    ((data, asked),) = front.handed
    assert (data, asked) == (preface, None)


@pytest.mark.parametrize(
    ("error", "line"),
    [
        (Refused(400, "its client sent nonsense"), "a connection broke: its client sent nonsense"),
        (ConnectionResetError(104, "reset"), "a connection broke: [Errno 104] reset"),
        (trio.BrokenResourceError(), "a connection broke: BrokenResourceError"),
        (ZeroDivisionError("ours"), None),
    ],
    ids=["no HTTP", "reset", "broken", "a fault of ours"],
)
async def test_what_a_client_breaks_is_a_line_and_a_fault_of_ours_an_error_with_its_traceback(
    front, caplog, error, line
):
    async def broken(stream, data=b"", asked=None):
        async with trio.open_nursery():
            raise error

    front.conversations._http2 = broken
    async with await front.client() as client:
        await client.send_all(b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n")
        assert await received(client) == b""
    await until(lambda: not front.conversations.connections)
    ours = line is None
    (record,) = (own for own in caplog.records if own.levelno >= logging.WARNING)
    assert record.levelno == (logging.ERROR if ours else logging.WARNING)
    assert record.getMessage() == ("a connection broke by a fault of the server" if ours else line)
    assert ("ZeroDivisionError: ours" in caplog.text and record.exc_info is not None) == ours


class _Full:
    """A kernel that watches no more connections."""

    def add(self, fd, connection, /):
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    def discard(self, fd, /):
        pass

    async def watch(self):
        await trio.sleep_forever()


async def test_one_that_cannot_be_watched_is_closed_and_a_line(caplog):
    theirs, ours = socket.socketpair()
    conversations = Conversations(lambda *_: None, Front.refuse, Front.http2, _Full(), most=1000, secure=None)
    with theirs:
        await conversations.serve(ours)
        assert theirs.recv(1) == b""
    assert not conversations.connections
    assert "a connection broke: [Errno 28] No space left on device" in caplog.text


async def test_phases_are_told(front):
    async with await front.client() as client:
        await until(lambda: front.conversations.connections)
        (state,) = front.conversations.connections
        await client.send_all(GET[:9])
        await until(lambda: state.phase is Phase.HEAD)
        await client.send_all(GET[9:])
        await front.began.wait()
        assert state.phase is Phase.WORK
