"""The Quart-Trio app: HTTP as Hypercorn brings it, in and out of ``handle``, which answers everything.

Quart-Trio runs each request in a nursery beside a watcher of the client; a client that leaves cancels the handler.
Quart's own routing is never reached: the routes are ours.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import TYPE_CHECKING, cast

from quart import Response, request
from quart_trio import QuartTrio
from werkzeug.exceptions import RequestEntityTooLarge

from pipeline.errors import Code, InferError
from pipeline.wire.codec import Reply
from server.handle import Service, handle

if TYPE_CHECKING:
    from hypercorn.typing import ASGIFramework, ASGIReceiveCallable, ASGISendCallable, Scope

_NOT_MODIFIED = 304


def make_app(service: Service) -> QuartTrio:
    """The ASGI app of a server."""
    app = QuartTrio("server", static_folder=None)
    # Quart's own limits would cut what ours allow: bodies follow --max-body, time follows the request's deadline.
    app.config.update(MAX_CONTENT_LENGTH=service.max_body, BODY_TIMEOUT=None, RESPONSE_TIMEOUT=None)

    async def read_body() -> bytes:
        try:
            # Without Quart's own copy, which would live until the next collection of cycles.
            return cast("bytes", await request.get_data(cache=False))
        except RequestEntityTooLarge:
            raise InferError(Code.TOO_LARGE, f"the body is larger than {service.max_body} bytes (--max-body)") from None

    async def answer() -> Response:
        # As they came: Quart's own headers have one more, with the caller's address.
        headers = _joined(request.scope["headers"])
        return _response(await handle(service, request.method, request.path, headers, read_body), request.method)

    app.before_request(answer)
    app.asgi_app = _rooted(app.asgi_app)  # type: ignore[method-assign,assignment]  # as Quart documents it
    return app


def _joined(fields: Iterable[tuple[bytes, bytes]]) -> dict[str, str]:
    """Lines of one name are one value (RFC 9110, 5.3); names are in lower case, as ASGI has them."""
    headers: dict[str, str] = {}
    for name, value in fields:
        key, text = name.decode("latin-1"), value.decode("latin-1")
        headers[key] = f"{headers[key]}, {text}" if key in headers else text
    return headers


def path_of(target: str) -> str:
    """The path that a request target, decoded and without its query, means (RFC 9112, 3.2); pure.

    One without a path of its own (``*``, ``host:port``) is a path that nothing is found under.
    """
    if target.startswith("/"):
        return target
    _, absolute, rest = target.partition("://")
    return f"/{rest.partition('/')[2]}" if absolute else f"/{target}"


def _rooted(app: ASGIFramework) -> ASGIFramework:
    """The app, given paths that start with a slash: Quart fails at an empty one and at ``http://[``."""

    async def rooted(scope: Scope, receive: ASGIReceiveCallable, send: ASGISendCallable) -> None:
        match scope["type"]:
            case "http" | "websocket":
                scope["path"] = path_of(scope["path"])
        await app(scope, receive, send)

    return rooted


def _response(reply: Reply, method: str) -> Response:
    body = b"".join(reply.body)
    response = Response(b"" if method == "HEAD" else body, status=reply.status, headers=dict(reply.headers))
    if reply.status == _NOT_MODIFIED:
        # Its length would be that of the body it stands for (RFC 9110, 8.6), and its type too.
        del response.headers["content-length"], response.headers["content-type"]
    else:
        response.headers["content-length"] = str(len(body))
    return response
