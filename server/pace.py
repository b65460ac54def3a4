"""The clock of requests over HTTP/2: to who watches the time each of them is as a connection of its own.

Knows ASGI events and nothing of what is in them.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, cast

from pipeline.wire.statuses import error_reply
from server.connected import Connected, Phase
from server.head import too_slow

if TYPE_CHECKING:
    from hypercorn.typing import (
        ASGIFramework,
        ASGIReceiveCallable,
        ASGIReceiveEvent,
        ASGISendCallable,
        ASGISendEvent,
        HTTPResponseBodyEvent,
        Scope,
    )

# A part of a reply that a slow reader takes in the time it has, so that it is seen to read.
_PIECE = 2**14


@dataclass(slots=True)
class _Moved:
    received: int = 0
    sent: int = 0

    def has_more(self) -> bool:
        return False


def paced(app: ASGIFramework, requests: set[Connected]) -> ASGIFramework:
    """The app, each of whose requests is among ``requests`` while it lasts, for who ends those that are overdue.

    A body that comes too slowly is answered with 408; a reply that is taken too slowly breaks off.
    """

    async def at_pace(scope: Scope, receive: ASGIReceiveCallable, send: ASGISendCallable) -> None:
        own, moved = Connected(), _Moved()
        own.moving, own.phase = moved, Phase.WORK
        whole = begun = False

        async def receive_paced() -> ASGIReceiveEvent:
            nonlocal whole
            if not whole and own.phase is Phase.WORK:
                own.enter(Phase.BODY)
            event = await receive()
            if event["type"] == "http.request" and event.get("more_body", False):
                moved.received += len(event["body"])
            else:
                whole = True
                if own.phase is Phase.BODY:
                    own.enter(Phase.WORK)
            return event

        async def send_paced(event: ASGISendEvent) -> None:
            nonlocal begun
            begun = True
            if own.overdue:
                return  # as to a client that has left
            own.enter(Phase.SEND)
            own.owed = len(event["body"]) if event["type"] == "http.response.body" else 0
            # Held by itself: the app shields it.
            with own.waiting() as wait:
                await _in_pieces(event, send, moved)
            if wait.cancelled_caught:
                own.expire()
            own.owed = 0
            own.enter(Phase.WORK)

        requests.add(own)
        try:
            with own.scope:
                await app(scope, receive_paced, send_paced)
            if own.overdue and not begun:
                await _too_slow(send)
        finally:
            requests.discard(own)

    return at_pace


async def _in_pieces(event: ASGISendEvent, send: ASGISendCallable, moved: _Moved) -> None:
    if event["type"] != "http.response.body":
        await send(event)
        return
    data = memoryview(event["body"])
    while len(data) > _PIECE:
        await send(cast("HTTPResponseBodyEvent", {**event, "body": data[:_PIECE], "more_body": True}))
        moved.sent += _PIECE
        data = data[_PIECE:]
    await send(cast("HTTPResponseBodyEvent", {**event, "body": data}))


async def _too_slow(send: ASGISendCallable) -> None:
    reply = error_reply(too_slow("body"))
    headers = [(name.encode(), text.encode()) for name, text in reply.headers.items()]
    await send({"type": "http.response.start", "status": reply.status, "headers": headers, "trailers": False})
    await send({"type": "http.response.body", "body": b"".join(reply.body), "more_body": False})
