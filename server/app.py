"""The Quart-Trio app, for HTTP/2 and for what a script puts around it: in and out of ``handle``, which answers all.

Quart-Trio runs each request in a nursery beside a watcher of the client; a client that leaves cancels the handler.
Quart's own routing is never reached: the routes are ours.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from functools import partial
from typing import TYPE_CHECKING, cast

from quart_trio import QuartTrio
from quart_trio.asgi import TrioASGIHTTPConnection
from werkzeug.exceptions import RequestEntityTooLarge

from pipeline.errors import Code, InferError
from pipeline.wire.codec import Reply
from server.handle import handle
from server.head import rooted
from server.service import Service

if TYPE_CHECKING:
    import trio
    from hypercorn.typing import (
        ASGIFramework,
        ASGIReceiveCallable,
        ASGISendCallable,
        HTTPResponseBodyEvent,
        HTTPResponseStartEvent,
        HTTPScope,
        Scope,
    )
    from quart.wrappers import Request

_NOT_MODIFIED = 304


def make_app(service: Service) -> QuartTrio:
    """The ASGI app of a server."""
    app = QuartTrio("server", static_folder=None)
    # Quart's own limit would cut what ours allows: bodies follow --max-body, time follows the request's deadline.
    app.config.update(MAX_CONTENT_LENGTH=service.max_body, BODY_TIMEOUT=None)
    app.asgi_http_class = partial(_Exchange, service)  # type: ignore[assignment]  # whatever makes one of app and scope
    app.asgi_app = _rooted(app.asgi_app)  # type: ignore[method-assign,assignment]  # as Quart documents it
    return app


class _Exchange(TrioASGIHTTPConnection):
    """One request and its reply, beside a watcher of the client that cancels it when the client has left."""

    def __init__(self, service: Service, app: QuartTrio, scope: HTTPScope) -> None:
        super().__init__(app, scope)
        self._service = service

    async def handle_request(  # type: ignore[override]  # as Quart-Trio has it
        self, nursery: trio.Nursery, request: Request, send: ASGISendCallable
    ) -> None:
        async def read_body() -> bytes:
            try:
                # Without Quart's own copy, which would live until the next collection of cycles.
                return cast("bytes", await request.get_data(cache=False))
            except RequestEntityTooLarge:
                told = f"the body is larger than {self._service.max_body} bytes (--max-body)"
                raise InferError(Code.TOO_LARGE, told) from None

        # As they came: Quart's own headers have one more, with the caller's address.
        headers = _joined(self.scope["headers"])
        # Where the end of the connection is the end of the reply, nobody could tell that it broke off.
        wire = None if request.http_version == "1.0" else _Wire(send)
        reply = await handle(self._service, self.scope["method"], self.scope["path"], headers, read_body, wire)
        if wire is None or not wire.begun:
            body = b"".join(reply.body)
            await send(_head(reply.status, _sized(reply, len(body))))
            if body and self.scope["method"] != "HEAD":
                # Apart from its end, which waits for a request that is still coming.
                await send(_part(body, last=False))
            await send(_part(b"", last=True))
        # With the watcher.
        nursery.cancel_scope.cancel()


class _Wire:
    """The way to the client while its request lasts. Without an end Hypercorn cuts the connection, or the stream."""

    def __init__(self, send: ASGISendCallable) -> None:
        self._send = send
        self.begun = False

    async def begin(self, status: int, headers: Mapping[str, str], /) -> None:
        self.begun = True
        await self._send(_head(status, headers))

    async def send(self, part: bytes, /) -> None:
        await self._send(_part(part, last=False))

    async def end(self) -> None:
        await self._send(_part(b"", last=True))


def _sized(reply: Reply, size: int) -> Mapping[str, str]:
    if reply.status == _NOT_MODIFIED:
        # Its length would be that of the body it stands for (RFC 9110, 8.6), and its type too.
        return {name: text for name, text in reply.headers.items() if name != "content-type"}
    return {**reply.headers, "content-length": str(size)}


def _head(status: int, headers: Mapping[str, str]) -> HTTPResponseStartEvent:
    fields = [(name.encode(), text.encode("latin-1")) for name, text in headers.items()]
    return {"type": "http.response.start", "status": status, "headers": fields, "trailers": False}


def _part(data: bytes, *, last: bool) -> HTTPResponseBodyEvent:
    return {"type": "http.response.body", "body": data, "more_body": not last}


def _joined(fields: Iterable[tuple[bytes, bytes]]) -> dict[str, str]:
    """Lines of one name are one value (RFC 9110, 5.3); names are in lower case, as ASGI has them."""
    headers: dict[str, str] = {}
    for name, value in fields:
        key, text = name.decode("latin-1"), value.decode("latin-1")
        headers[key] = f"{headers[key]}, {text}" if key in headers else text
    return headers


def _rooted(app: ASGIFramework) -> ASGIFramework:
    """The app, given paths that start with a slash: Quart fails at an empty one and at ``http://[``."""

    async def started(scope: Scope, receive: ASGIReceiveCallable, send: ASGISendCallable) -> None:
        match scope["type"]:
            case "http" | "websocket":
                scope["path"] = rooted(scope["path"])
        await app(scope, receive, send)

    return started
