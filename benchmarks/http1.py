"""What HTTP/1.1 costs around `handle()`.

    python benchmarks/http1.py

CPU per request of reading a head, framing the body and making the reply's head, over a connection in memory that waits
for nothing, so without the kernel and without trio's wait for it; least of the rounds.
"""

from __future__ import annotations

import time
from collections.abc import Sequence

import trio

from pipeline.wire.codec import Reply
from pipeline.wire.statuses import error_reply
from server.body import Body
from server.company import Company
from server.connected import Connected
from server.head import Head, Refused
from server.http1 import Http1
from server.outgoing import Outgoing
from server.reply_head import Today
from server.transport import Part

ROUNDS, REQUESTS = 20, 3000
POST = (
    b"POST /v2/models/m/infer HTTP/1.1\r\nHost: 127.0.0.1:8080\r\nContent-Type: application/json\r\n"
    b"Content-Length: 100\r\n\r\n" + b"x" * 100
)
REPLY = Reply(
    200, {"content-type": "application/json", "x-request-id": "e1282260-f261-46ce-964d-8c0ed587b3b7"}, (b"x" * 200,)
)


class Endless:
    """A client that has always asked already, and takes everything."""

    received = sent = 0

    def __init__(self, requests: int) -> None:
        self._left = requests

    def has_more(self) -> bool:
        return True

    async def receive(self) -> bytes:
        self._left -= 1
        return POST if self._left >= 0 else b""

    async def receive_into(self, _: memoryview, /) -> int:
        return 0

    def send_now(self, parts: Sequence[Part], /) -> int:
        return sum(map(len, parts))

    async def send(self, parts: Sequence[Part], gone: int = 0, /) -> None:
        return

    def hint(self, data: bytes, /) -> None:
        return

    async def end(self) -> None:
        return


async def at_once(_: Head, body: Body, __: Outgoing) -> Reply:
    await body.whole()
    return REPLY


def refusal(refused: Refused, _: str, __: str) -> Reply:
    return error_reply(refused)


async def loop() -> float:
    """Seconds of CPU per request."""
    least, date = float("inf"), Today()
    for _ in range(ROUNDS):
        start = time.process_time()
        http1 = Http1(Endless(REQUESTS), Connected(), at_once, refusal, date.line, 1 << 20, Company())
        await http1.converse(may_upgrade=True)
        least = min(least, (time.process_time() - start) / REQUESTS)
    return least


if __name__ == "__main__":
    print(f"the loop: {1e6 * trio.run(loop):.2f} µs of CPU per request")
