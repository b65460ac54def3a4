"""A connection in memory for who reads and writes HTTP/1.1: what a client sends, and what it is sent."""

from __future__ import annotations

from collections.abc import Sequence

import trio

from pipeline.wire.codec import Reply
from pipeline.wire.statuses import error_reply
from server.head import Refused
from server.transport import Part


def refusal(refused: Refused, _method: str, _path: str) -> Reply:
    return error_reply(refused)


class Memory:
    """A Transport. ``out``: the parts of each send, as they are; ``buffers``: what was received into."""

    def __init__(self, *pieces: bytes, ends: bool = True) -> None:
        self.received = 0
        self.sent = 0
        self.out: list[Sequence[Part]] = []
        self.hints: list[bytes] = []
        self.buffers: list[memoryview] = []
        self.ended = False
        self.shut = trio.Event()
        """Once it is set, what is sent is taken; it is at first."""
        self.shut.set()
        self._send, self._receive = trio.open_memory_channel[bytes](1000)
        self._piece = b""
        for piece in pieces:
            self._send.send_nowait(piece)
        if ends:
            self._send.close()

    def comes(self, piece: bytes) -> None:
        self._send.send_nowait(piece)

    def client_ends(self) -> None:
        self._send.close()

    @property
    def text(self) -> bytes:
        """All that was sent."""
        return b"".join(bytes(part) for parts in self.out for part in parts)

    def has_more(self) -> bool:
        return bool(self._piece)

    async def receive(self) -> bytes:
        if self._piece:
            await trio.lowlevel.checkpoint()
            piece, self._piece = self._piece, b""
        else:
            try:
                piece = await self._receive.receive()
            except trio.EndOfChannel:
                return b""
        self.received += len(piece)
        return piece

    async def receive_into(self, buffer: memoryview, /) -> int:
        self.buffers.append(buffer)
        piece = await self.receive()
        size = min(len(piece), len(buffer))
        buffer[:size], self._piece = piece[:size], piece[size:]
        self.received -= len(self._piece)
        return size

    def send_now(self, parts: Sequence[Part], /) -> int:
        return 0

    async def send(self, parts: Sequence[Part], gone: int = 0, /) -> None:
        await self.shut.wait()
        self.out.append(list(parts))
        self.sent += sum(map(len, parts))

    def hint(self, data: bytes, /) -> None:
        self.hints.append(data)

    async def end(self) -> None:
        self.ended = True
