"""The ASGI app, made when it is first called: Quart is half of the import time, and most servers never need it."""

from __future__ import annotations

from typing import TYPE_CHECKING

import trio

from server.service import Service

if TYPE_CHECKING:
    from hypercorn.typing import ASGIFramework, ASGIReceiveCallable, ASGISendCallable, Scope


def lazy_app(service: Service) -> ASGIFramework:
    """The app of ``make_app``, which others may wrap before it is there. Cancelled, it is made by the next call."""
    made: list[ASGIFramework] = []
    turn = trio.Lock()

    async def app(scope: Scope, receive: ASGIReceiveCallable, send: ASGISendCallable) -> None:
        if not made:
            async with turn:
                if not made:
                    made.append(await trio.to_thread.run_sync(_make, service, limiter=trio.CapacityLimiter(1)))
        await made[0](scope, receive, send)

    return app


def _make(service: Service) -> ASGIFramework:
    from server.app import make_app  # noqa: PLC0415  # see above

    return make_app(service).asgi_app
