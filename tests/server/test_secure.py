"""TLS beneath HTTP/1.1: parts of any size arrive whole, and large ones are not joined first."""

from __future__ import annotations

import os

import numpy as np
import pytest
import trio
import trio.testing

from server.secure import Secure, context_of
from tests.tls import self_signed, trusting


@pytest.fixture(scope="module")
def contexts(tmp_path_factory):
    files = self_signed(tmp_path_factory.mktemp("tls"))
    return context_of(*files), trusting()


@pytest.fixture
async def pair(contexts):
    """(ours, the client's), shaken."""
    left, right = trio.testing.memory_stream_pair()
    ours = trio.SSLStream(left, contexts[0], server_side=True, https_compatible=True)
    theirs = trio.SSLStream(right, contexts[1], https_compatible=True)
    async with trio.open_nursery() as nursery:
        nursery.start_soon(ours.do_handshake)
        nursery.start_soon(theirs.do_handshake)
    return Secure(ours), theirs


@pytest.mark.parametrize(
    "parts",
    [
        [b"head", b"", b"body"],
        [b"head", memoryview(os.urandom(1_000_000)), b"x", memoryview(os.urandom(70_000)), b"end"],
    ],
)
async def test_parts_arrive_whole_and_in_order(pair, parts):
    ours, theirs = pair
    expected, got = b"".join(bytes(part) for part in parts), bytearray()

    async def reads():
        while len(got) < len(expected):
            got.extend(await theirs.receive_some(65536))

    async with trio.open_nursery() as nursery:
        nursery.start_soon(reads)
        await ours.send(parts)
    assert bytes(got) == expected
    assert ours.sent == len(expected)


async def test_a_large_part_is_encrypted_from_where_it_is():
    class Seen:
        def __init__(self):
            self.data = []

        async def send_all(self, data):
            self.data.append(data)

    stream, array = Seen(), np.arange(1 << 18, dtype=np.float32)
    await Secure(stream).send([b"head", memoryview(array).cast("B"), b"end"])
    head, *pieces, end = stream.data
    assert (head, end, sum(map(len, pieces))) == (b"head", b"end", array.nbytes)
    assert all(np.shares_memory(array, np.frombuffer(piece, np.uint8)) for piece in pieces)


async def test_what_comes_is_received_as_it_is_into_a_buffer_too(pair):
    ours, theirs = pair
    async with trio.open_nursery() as nursery:
        nursery.start_soon(theirs.send_all, b"hello")
        buffer = bytearray(3)
        assert await ours.receive_into(memoryview(buffer)) == 3
        assert (bytes(buffer), await ours.receive()) == (b"hel", b"lo")
    assert ours.received == 5


async def test_a_client_that_is_gone_reads_as_one_that_is_done_and_raises_where_it_is_sent_something(pair):
    ours, theirs = pair
    await trio.aclose_forcefully(theirs)
    assert await ours.receive() == b""
    with pytest.raises(BrokenPipeError):
        await ours.send([b"x"])
    with pytest.raises(BrokenPipeError):
        ours.hint(b"x")
    await ours.close()
