"""In which pieces a reply is handed to its parser: never past its end, never much at once."""

from __future__ import annotations

from functools import partial

import anyio
import httpcore
import pytest
import trio
from hypothesis import given
from hypothesis import strategies as st

from pipeline.errors import Code, InferError
from pipeline.exchange import Peer
from pipeline.network import Stream
from pipeline.wire.codec import Call
from tests.raw import answer, answering, raw_server, read_request

GET = Call("GET", "/live")
CHUNKED = b"HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n"
INTERIM = b"HTTP/1.1 100 \r\n\r\n"


@pytest.fixture(params=["trio", "asyncio"])
def run(request):
    return partial(anyio.run, backend=request.param)


class Given(httpcore.AsyncNetworkStream):
    """Reads what it was given, and no more at once than is asked for."""

    def __init__(self, parts):
        self._parts = list(parts)

    async def read(self, max_bytes, timeout=None):
        if not self._parts:
            return b""
        part = self._parts.pop(0)
        if len(part) > max_bytes:
            self._parts.insert(0, part[max_bytes:])
        return part[:max_bytes]

    async def write(self, buffer, timeout=None):
        """It is never full."""

    def get_extra_info(self, info):
        return None


def pieces(parts, *lengths, max_bytes=65536):
    """What is read of the parts; the body begins, with that length, after the first piece."""

    async def read():
        stream, found = Stream(Given(parts)), []
        await stream.write(b"a request")
        for length in (*lengths, ...):
            if length is not ...:
                found.append(await stream.read(max_bytes))
                stream.begin_body(length)
                continue
            while piece := await stream.read(max_bytes):
                found.append(piece)
        return found

    return trio.run(read)


HEAD = b"HTTP/1.1 200 OK\r\na: b\r\n\r\n"


@pytest.mark.parametrize(
    ("parts", "lengths", "expected"),
    [
        ([HEAD + b"abc"], [3], [HEAD, b"abc"]),
        ([HEAD + b"abc" + HEAD], [3], [HEAD, b"abc", HEAD]),
        ([HEAD + b"a\n\nc" + HEAD], [4], [HEAD, b"a\n\nc", HEAD]),
        ([HEAD + b"a", b"b", b"cd"], [3], [HEAD, b"a", b"b", b"c", b"d"]),
        ([HEAD + b"0\r\n\r\n" + HEAD], [None], [HEAD, b"0\r\n\r\n", HEAD]),
        ([HEAD + b"0\r\n\r", b"\n" + HEAD], [None], [HEAD, b"0\r\n\r", b"\n", HEAD]),
        ([HEAD + b"0\r\n", b"\r\n" + HEAD], [None], [HEAD, b"0\r\n", b"\r\n", HEAD]),
        ([HEAD + b"0\r\n", b"\r", b"\n" + HEAD], [None], [HEAD, b"0\r\n", b"\r", b"\n", HEAD]),
        ([HEAD + b"0\n", b"\n" + HEAD], [None], [HEAD, b"0\n", b"\n", HEAD]),
        ([INTERIM + HEAD], [], [INTERIM, HEAD]),
    ],
)
def test_a_piece_ends_where_a_reply_may(parts, lengths, expected):
    assert pieces(parts, *lengths) == expected


@given(st.lists(st.lists(st.sampled_from([b"\n", b"\r\n", b"\r", b"a", b"b" * 3000]), max_size=20).map(b"".join)))
def test_no_byte_is_lost_and_none_stands_behind_a_blank_line(parts):
    parts = [part for part in parts if part]
    read = pieces(parts, None)
    assert b"".join(read) == b"".join(parts)
    before = b""
    for piece in read:
        seen = before + piece
        for blank in (b"\n\n", b"\n\r\n"):
            at = seen.find(blank)
            assert at in (-1, len(seen) - len(blank)), seen
        # What a blank line began with in the piece before is no part of another one.
        before = b"" if seen.endswith((b"\n\n", b"\n\r\n")) else seen[-2:]


def test_a_body_with_a_length_is_read_at_one_go():
    assert [len(piece) for piece in pieces([HEAD + bytes(70_000)], 70_000)] == [
        len(HEAD),
        65536 - len(HEAD),
        4464 + len(HEAD),
    ]


def test_chunks_are_read_in_small_pieces():
    assert max(map(len, pieces([b"1\r\n \r\n" * 100_000], None))) <= 2048


def test_others_have_a_turn_between_two_pieces(run):
    """On a loop whose reads do not pause: what is read ahead, and what TLS has decrypted, is there at once."""

    async def read():
        stream, turns, read = Stream(Given([b"1\r\n \r\n" * 10_000])), 0, 0
        await stream.write(b"a request")
        stream.begin_body(None)

        async def other():
            nonlocal turns
            while True:
                await anyio.lowlevel.checkpoint()
                turns += 1

        async with anyio.create_task_group() as tasks:
            tasks.start_soon(other)
            while await stream.read(65536):
                read += 1
            tasks.cancel_scope.cancel()
        return read, turns

    pieces, turns = run(read)
    assert pieces >= 30
    # The first of what came together needs none; trio lets one of two tasks go twice, now and then.
    assert turns >= pieces / 3


# ---- what a server can do with that


def tiny(connection):
    """10,000 chunks of one byte in a segment, again and again."""
    read_request(connection)
    connection.sendall(CHUNKED)
    while True:
        connection.sendall(b"1\r\n \r\n" * 10_000)


@pytest.mark.parametrize("by", ["deadline", "caller"])
def test_others_run_while_tiny_chunks_are_read_and_its_cancellation_is_heard(run, by):
    with raw_server(tiny, answering(answer())) as server:

        async def ask():
            turns = 0
            async with Peer(server.url, trust_env=False) as there:

                async def call(scope):
                    with scope:
                        await there.exchange(GET)

                async with anyio.create_task_group() as tasks:
                    scope = anyio.CancelScope(deadline=anyio.current_time() + (0.3 if by == "deadline" else 99))
                    tasks.start_soon(call, scope)
                    await anyio.to_thread.run_sync(server.wait_until_came)
                    for turns in range(1, 100):
                        await anyio.lowlevel.checkpoint()
                        if by == "caller" and turns == 50:
                            scope.cancel()
                assert scope.cancelled_caught
                await anyio.to_thread.run_sync(server.wait_until_left)
                return (await there.exchange(GET)).status

        assert run(ask) == 200


def test_the_limit_of_a_reply_of_tiny_chunks_ends_it_within_the_next_piece(run):
    with raw_server(tiny) as server:

        async def ask():
            async with Peer(server.url, trust_env=False, max_reply=1000) as there:
                with pytest.raises(InferError, match="larger than 1000 bytes"):
                    await there.exchange(GET)
                await anyio.to_thread.run_sync(server.wait_until_left)

        run(ask)


def test_a_server_that_only_ever_announces_a_reply_is_given_up(run):
    def announcing(connection):
        read_request(connection)
        while True:
            connection.sendall(INTERIM * 1000)

    with raw_server(announcing, answering(answer())) as server:

        async def ask():
            async with Peer(server.url, trust_env=False) as there:
                with pytest.raises(InferError) as caught:
                    await there.exchange(GET)
                await anyio.to_thread.run_sync(server.wait_until_left)
                return caught.value, (await there.exchange(GET)).status

        error, status = run(ask)
    assert (error.code, status) == (Code.BAD_UPSTREAM, 200)
    assert "more than 5 interim replies came before it" in error.message


def test_some_interim_replies_are_passed_over_each_time(run):
    with raw_server(answering(5 * INTERIM + answer())) as server:

        async def ask():
            async with Peer(server.url, trust_env=False) as there:
                return [(await there.exchange(GET)).status for _ in range(3)]

        assert run(ask) == [200] * 3
        assert server.connections == 1
