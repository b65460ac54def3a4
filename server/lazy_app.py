"""The ASGI app, made when it is first called: Quart is half of the import time, and most servers never need it."""

from __future__ import annotations

from functools import partial
from typing import TYPE_CHECKING

from server.late import Late
from server.service import Service

if TYPE_CHECKING:
    from hypercorn.typing import ASGIFramework, ASGIReceiveCallable, ASGISendCallable, Scope


def lazy_app(service: Service) -> ASGIFramework:
    """The app of ``make_app``, which others may wrap before it is there."""
    late = Late(partial(_make, service))

    async def app(scope: Scope, receive: ASGIReceiveCallable, send: ASGISendCallable) -> None:
        own = await late.get()
        await own(scope, receive, send)

    return app


def _make(service: Service) -> ASGIFramework:
    from server.app import make_app  # noqa: PLC0415  # see above

    return make_app(service).asgi_app
