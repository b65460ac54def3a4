"""How a reply ends, between Quart and Hypercorn: it is sent whole, and what its client still sends is waited for.

Knows ASGI events and nothing of what is in them.
"""

from __future__ import annotations

import math
from typing import TYPE_CHECKING

import trio

if TYPE_CHECKING:
    from hypercorn.typing import (
        ASGIFramework,
        ASGIReceiveCallable,
        ASGIReceiveEvent,
        ASGISendCallable,
        ASGISendEvent,
        Scope,
    )

# A reply may be made before the body is here: no such model, no place. nginx waits 5 s for each part, 30 s in all.
_LINGER_SECONDS = 5.0
# A body that is worth waiting for, so that its connection can be used again.
_SMALL = 2**20


def finishing(app: ASGIFramework) -> ASGIFramework:
    """The app, with replies that reach their client.

    Hypercorn closes the connection where a reply ends before its request does, and what the client is still sending
    then resets it: the reply is lost. So the end of such a reply waits, for a time, until the request has come whole,
    and says ``connection: close`` where that is too long to wait for.

    Hypercorn starts a connection's idle timer at the end of the last send, and tells the app in the middle of it that
    the stream is closed; Quart-Trio then cancels the request, and the timer with it: the connection would never be
    idle, neither for its timeout nor for a shutdown. So what is sent of a reply is not cancelled, but for the parts of
    one without a length, which are still being made: who takes no more of them must not outlast the request's deadline.
    """

    async def finished(scope: Scope, receive: ASGIReceiveCallable, send: ASGISendCallable) -> None:
        whole = trio.Event()
        answered = sized = False
        readers = 0

        async def receive_counting() -> ASGIReceiveEvent:
            nonlocal readers
            readers += 1
            try:
                event = await receive()
            finally:
                readers -= 1
            if event["type"] != "http.request" or not event.get("more_body", False):
                whole.set()
            elif answered:
                return {**event, "body": b""}  # nobody reads it any more, and it would be kept
            return event

        async def send_whole(event: ASGISendEvent) -> None:
            nonlocal answered, sized
            answered = True
            if event["type"] == "http.response.start":
                sized = any(name == b"content-length" for name, _ in event["headers"])
            if event["type"] == "http.response.start" and _must_close(scope, whole=whole.is_set()):
                event = {**event, "headers": [*event["headers"], (b"connection", b"close")]}
            if event["type"] == "http.response.body" and not event.get("more_body", False):
                with trio.move_on_after(_LINGER_SECONDS):
                    # A middleware that answers by itself leaves nobody who reads.
                    while not (readers or whole.is_set()):
                        await receive_counting()
                    await whole.wait()
            with trio.CancelScope(shield=sized or not event.get("more_body", False)):
                await send(event)

        await app(scope, receive_counting, send_whole)

    return finished


def _must_close(scope: Scope, *, whole: bool) -> bool:
    """What is left of a body may be long; and who is between may have read the other of two lengths (RFC 9112, 6.3)."""
    if scope["type"] == "http" and {b"content-length", b"transfer-encoding"} <= {name for name, _ in scope["headers"]}:
        return True
    return not whole and _declared(scope) > _SMALL


def _declared(scope: Scope) -> float:
    """The bytes of body that the head announces: no bound where it is chunked, 0 in HTTP/2, which has streams."""
    if scope["type"] != "http" or not scope["http_version"].startswith("1."):
        return 0
    headers = dict(scope["headers"])
    if b"transfer-encoding" in headers:
        return math.inf
    return int(headers.get(b"content-length", b"0"))
