"""A tensor is not copied between the socket and its step, either way: what a step sees is what was received into.

Counted where our code meets the system's, and over TLS trio's: what the kernel is asked to fill and to send from, and
what trio hands out and is given. Bytes of the tensor that go any other way are missing there.
"""

from __future__ import annotations

import json
import socket

import networkx as nx
import numpy as np
import trio

from pipeline.engine.deadlines import Again, Deadlines
from pipeline.repository import Repository
from pipeline_serve import Pipeline, Step
from server.company import Company
from server.connected import Connected
from server.conversation import by_handle
from server.http1 import Http1
from server.secure import Secure, context_of
from server.service import Service
from server.transport import Plain
from tests.server.memory import refusal
from tests.tls import self_signed, trusting

TENSOR = np.arange(4 << 18, dtype=np.float32)
# What is received before it is known that a body follows, and how large.
WITH_THE_HEAD = 2**16


class Ledger:
    """What moved. ``filled``: memory that the body was put into; ``sent``: memory that went out from where it is."""

    def __init__(self) -> None:
        self.filled: list[np.ndarray] = []
        self.sent: list[np.ndarray] = []
        self.received_as_bytes = 0

    def was_filled(self, buffer: memoryview, size: int) -> None:
        self.filled.append(np.frombuffer(buffer, np.uint8)[:size])

    def was_sent(self, parts, size: int) -> None:
        for part in parts:
            gone = np.frombuffer(part, np.uint8)[:size]
            self.sent.append(gone)
            size -= gone.size


class Socket(socket.socket):
    """Tells which memory the kernel fills, and which it sends from."""

    ledger: Ledger

    def recv(self, size, flags=0):
        data = super().recv(size, flags)
        self.ledger.received_as_bytes += len(data)
        return data

    def recv_into(self, buffer, *how):
        size = super().recv_into(buffer, *how)
        self.ledger.was_filled(buffer, size)
        return size

    def send(self, data, *how):
        size = super().send(data, *how)
        self.ledger.was_sent([data], size)
        return size

    def sendmsg(self, parts, *how):
        size = super().sendmsg(parts, *how)
        self.ledger.was_sent(parts, size)
        return size


class Stream:
    """A TLS stream that tells what it hands out, and what it is given."""

    def __init__(self, stream: trio.SSLStream, ledger: Ledger) -> None:
        self._stream = stream
        self._ledger = ledger
        self.last = b""

    async def receive_some(self, most):
        self.last = await self._stream.receive_some(most)
        return self.last

    async def send_all(self, data):
        self._ledger.was_sent([data], len(data))
        await self._stream.send_all(data)

    async def aclose(self):
        await self._stream.aclose()


class Copies:
    """A buffer that is filled, and by what."""

    def __init__(self, buffer: memoryview) -> None:
        self.buffer = buffer
        self.by = []

    def __len__(self) -> int:
        return len(self.buffer)

    def __setitem__(self, where: slice, data: bytes) -> None:
        self.by.append(data)
        self.buffer[where] = data


class Watched(Secure):
    """What trio hands out is what is handed on, or copied once to where it belongs."""

    def __init__(self, stream: Stream, ledger: Ledger) -> None:
        super().__init__(stream)
        self._own = stream
        self._ledger = ledger

    async def receive(self):
        data = await super().receive()
        assert data is self._own.last
        self._ledger.received_as_bytes += len(data)
        return data

    async def receive_into(self, buffer, /):
        copies = Copies(buffer)
        size = await super().receive_into(copies)
        assert len(copies.by) == 1
        assert copies.by[0] is self._own.last
        self._ledger.was_filled(buffer, size)
        return size


async def connected() -> tuple[socket.socket, trio.SocketStream]:
    """(the server's end, the client's) over TCP."""
    with socket.create_server(("127.0.0.1", 0)) as listener:
        client = await trio.open_tcp_stream(*listener.getsockname())
        accepted, _ = listener.accept()
    accepted.setblocking(False)
    return accepted, client


def asking() -> bytes:
    about = {"name": "x", "datatype": "FP32", "shape": TENSOR.shape, "parameters": {"binary_data_size": TENSOR.nbytes}}
    asked = json.dumps({"inputs": [about], "parameters": {"binary_data_output": True}}).encode()
    sizes = b"inference-header-content-length: %d\r\ncontent-length: %d" % (len(asked), len(asked) + TENSOR.nbytes)
    head = b"POST /v2/models/m/infer HTTP/1.1\r\nhost: h\r\nconnection: close\r\n%b\r\n\r\n" % sizes
    return head + asked + TENSOR.tobytes()


async def exchanged(transport, end, client: trio.abc.Stream) -> tuple[np.ndarray, bytes]:
    """(what the step saw and gave back, the reply). ``end`` tells the client that nothing follows."""
    seen, reply = [], bytearray()

    async def step(x: np.ndarray) -> np.ndarray:
        seen.append(x)
        return x

    async def ask() -> None:
        await client.send_all(asking())
        async for data in client:
            reply.extend(data)

    dag = nx.DiGraph()
    dag.add_node("step", step=Step(run=step))
    async with Pipeline("m", dag) as pipeline:
        service = Service(Repository([pipeline]), ready="all", name="n", version="9")
        with trio.fail_after(60), Again(Deadlines()) as timer:
            async with trio.open_nursery() as nursery:
                nursery.start_soon(ask)
                answer = by_handle(service)(None, "http", timer)
                http1 = Http1(transport, Connected(), answer, refusal, lambda: "", service.max_body, Company())
                await http1.converse(may_upgrade=False)
                await end()
    return seen[0], bytes(reply)


def require_in_place(array: np.ndarray, ledger: Ledger) -> None:
    """All bytes of the tensor but those that came with the head, and in one buffer; and each of them out of it."""
    assert np.array_equal(array, TENSOR)
    assert ledger.received_as_bytes <= WITH_THE_HEAD
    assert all(np.shares_memory(array, part) for part in ledger.filled)
    assert sum(part.size for part in ledger.filled) >= TENSOR.nbytes - WITH_THE_HEAD
    in_place = [part.size for part in ledger.sent if np.shares_memory(array, part)]
    assert sum(in_place) == TENSOR.nbytes
    assert sum(part.size for part in ledger.sent) < TENSOR.nbytes + 1000


async def test_the_kernel_fills_the_array_that_a_step_sees_and_sends_from_the_one_it_gives():
    accepted, client = await connected()
    with Socket(fileno=accepted.detach()) as ours:
        ours.ledger = Ledger()
        ours.setblocking(False)
        async with client:
            transport = Plain(ours)
            array, reply = await exchanged(transport, transport.end, client)
    require_in_place(array, ours.ledger)
    assert reply.endswith(TENSOR.tobytes())


async def test_over_tls_what_trio_hands_out_is_copied_once_and_it_encrypts_from_the_array(tmp_path):
    accepted, client = await connected()
    ledger = Ledger()
    stream = trio.SSLStream(
        trio.SocketStream(trio.socket.from_stdlib_socket(accepted)), context_of(*self_signed(tmp_path)),
        server_side=True, https_compatible=True,
    )  # fmt: skip
    secured = trio.SSLStream(client, trusting("http/1.1"), https_compatible=True)
    async with stream, secured:
        transport = Watched(Stream(stream, ledger), ledger)
        array, reply = await exchanged(transport, transport.close, secured)
    require_in_place(array, ledger)
    assert reply.endswith(TENSOR.tobytes())
