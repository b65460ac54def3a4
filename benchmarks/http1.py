"""What HTTP/1.1 costs around `handle()`, and how soon a client that leaves is noticed.

    python benchmarks/http1.py

The first: CPU per request of reading a head, framing the body and making the reply's head, over a connection in memory
that waits for nothing, so without the kernel and without trio's wait for it; least of the rounds. The second: from a
client's close to the cancelled request, over loopback, with nothing behind the request or 500 more.
"""

from __future__ import annotations

import functools
import multiprocessing
import socket
import statistics
import time
from collections.abc import Sequence

import trio

from pipeline.wire.codec import Reply
from pipeline.wire.statuses import error_reply
from server.accept import accept, unbounded
from server.body import Body
from server.company import Company
from server.connected import Connected
from server.conversation import Conversations
from server.head import Head, Refused
from server.http1 import Http1
from server.leaving import leaving
from server.listen import listen
from server.outgoing import Outgoing
from server.reply_head import Today
from server.transport import Part

ROUNDS, REQUESTS, CLIENTS = 20, 3000, 40
GET = b"GET /x HTTP/1.1\r\nhost: h\r\n\r\n"
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


def leaves(port: int, behind: bytes, left: multiprocessing.Queue[float]) -> None:
    """Clients one after the other; when each closed."""
    for _ in range(CLIENTS):
        with socket.create_connection(("127.0.0.1", port)) as client:
            client.sendall(GET + behind)
            time.sleep(0.03)
            left.put(time.perf_counter())
        time.sleep(0.03)


async def noticed(behind: bytes) -> list[float]:
    """Seconds from each client's close to its cancelled request, the shortest first."""
    times: list[float] = []

    async def never(_: Head, __: Body, ___: Outgoing) -> Reply:
        try:
            await trio.sleep_forever()
        finally:
            times.append(time.perf_counter())
        return REPLY

    async def no_http2(*_: object) -> None:
        return

    listening = listen("127.0.0.1", 0, secure=False)
    left: multiprocessing.Queue[float] = multiprocessing.Queue()
    process = multiprocessing.Process(target=leaves, args=(listening.socket.getsockname()[1], behind, left))
    with listening.socket, leaving() as clients:
        conversations = Conversations(lambda *_: never, refusal, no_http2, clients, most=1, secure=None)
        async with trio.open_nursery() as nursery:
            nursery.start_soon(clients.watch)
            take = functools.partial(nursery.start_soon, conversations.serve)
            nursery.start_soon(accept, listening.socket, take, unbounded, conversations.make_room)
            process.start()
            await trio.to_thread.run_sync(process.join)
            nursery.cancel_scope.cancel()
    return sorted(end - left.get() for end in times)


async def main() -> None:
    print(f"the loop: {1e6 * await loop():.2f} µs of CPU per request")
    for name, behind in (("nothing", b""), ("500 requests", GET * 500)):
        times = [1000 * own for own in await noticed(behind)]
        print(
            f"a client that leaves, {name} behind its request: {statistics.median(times):.2f} ms "
            f"(95 %: {times[int(0.95 * len(times))]:.2f}; {len(times)} clients)"
        )


if __name__ == "__main__":
    trio.run(main)
