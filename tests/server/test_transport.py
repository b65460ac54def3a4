"""The plain socket: what does not go out at once goes out, from where it is, and in its order."""

from __future__ import annotations

import os
import socket
import struct

import pytest
import trio

from server.transport import Plain


@pytest.fixture
def pair():
    ours, theirs = socket.socketpair()
    with ours, theirs:
        ours.setblocking(False)
        yield ours, trio.SocketStream(trio.socket.from_stdlib_socket(theirs))


async def read(stream, size):
    data = bytearray()
    while len(data) < size:
        piece = await stream.receive_some(size - len(data))
        assert piece
        data += piece
    return bytes(data)


@pytest.mark.parametrize(
    "parts",
    [
        [b"head", b""], [b"", b"one", b"", b"two", b""], [os.urandom(3_000_000)],
        [b"head", memoryview(os.urandom(1_000_000)), b"x", memoryview(os.urandom(2_000_000)), b"end"],
        [b"%d," % n for n in range(5000)],
    ],
    ids=["small", "empty ones", "large", "mixed", "many"],
)  # fmt: skip
async def test_parts_arrive_whole_and_in_order_and_are_counted(pair, parts):
    plain, stream = Plain(pair[0]), pair[1]
    expected, got = b"".join(bytes(part) for part in parts), []

    async def reads():
        got.append(await read(stream, len(expected)))

    with trio.fail_after(20):
        async with trio.open_nursery() as nursery:
            nursery.start_soon(reads)
            await plain.send(parts)
    assert got == [expected]
    assert plain.sent == len(expected)


async def test_what_comes_is_received_as_it_is_into_a_buffer_too(pair):
    plain, stream = Plain(pair[0]), pair[1]
    assert not plain.has_more()
    await stream.send_all(b"hello")
    assert plain.has_more()
    buffer = bytearray(3)
    assert await plain.receive_into(memoryview(buffer)) == 3
    assert (bytes(buffer), await plain.receive()) == (b"hel", b"lo")
    assert plain.received == 5
    await stream.aclose()
    assert (await plain.receive(), await plain.receive_into(memoryview(buffer))) == (b"", 0)


async def test_a_client_that_is_gone_reads_as_one_that_is_done_and_raises_where_it_is_sent_something():
    with socket.create_server(("127.0.0.1", 0)) as listener:
        client = socket.create_connection(listener.getsockname())
        accepted, _ = listener.accept()
    with accepted:
        accepted.setblocking(False)
        client.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        client.close()
        plain = Plain(accepted)
        assert await plain.receive() == b""
        with pytest.raises(OSError, match="Broken pipe"):
            await plain.send([b"x"])
        with pytest.raises(OSError, match="Broken pipe"):
            plain.hint(b"x")
        await plain.end()


async def test_what_of_a_hint_does_not_fit_goes_before_the_reply(pair):
    plain, stream = Plain(pair[0]), pair[1]
    hint = os.urandom(10_000_000)
    with trio.fail_after(20):
        plain.hint(hint)
        assert plain.send_now([b"reply"]) == 0
        async with trio.open_nursery() as nursery:
            nursery.start_soon(plain.send, [b"re", b"ply"])
            assert await read(stream, len(hint) + 5) == hint + b"reply"
    assert plain.sent == 5
