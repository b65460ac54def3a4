"""How a reply ends over HTTP/2, between Quart and Hypercorn: it is sent whole, and its request is waited for.

Knows ASGI events and nothing of what is in them.
"""

from __future__ import annotations

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


def finishing(app: ASGIFramework) -> ASGIFramework:
    """The app, with replies that reach their client.

    Hypercorn ends a stream where a reply ends before its request does. So the end of such a reply waits, for a time,
    until the request has come whole.

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
            if event["type"] == "http.response.body" and not event.get("more_body", False):
                with trio.move_on_after(_LINGER_SECONDS):
                    # A middleware that answers by itself leaves nobody who reads.
                    while not (readers or whole.is_set()):
                        await receive_counting()
                    await whole.wait()
            with trio.CancelScope(shield=sized or not event.get("more_body", False)):
                await send(event)
            if event["type"] == "http.response.body" and event.get("more_body", False):
                # To a stream that is gone it takes no time at all: who sends on and on is cancelled here.
                await trio.lowlevel.checkpoint()

        await app(scope, receive_counting, send_whole)

    return finished
