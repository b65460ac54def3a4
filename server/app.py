"""The Quart-Trio app: every protocol route goes to ``handle``; ``/metrics`` is its own.

Quart-Trio runs each request in a nursery beside a watcher of the client; a client that leaves cancels the handler.
"""

from __future__ import annotations

from collections.abc import Mapping

from quart import Response, request
from quart_trio import QuartTrio
from werkzeug.exceptions import HTTPException, RequestEntityTooLarge

from pipeline.errors import Code, InferError
from pipeline.wire.codec import Reply
from pipeline.wire.statuses import error_reply
from server.handle import Service, handle
from server.metrics import Metrics

_METHODS = ("GET", "HEAD", "POST", "PUT", "PATCH", "DELETE", "OPTIONS", "TRACE")


def make_app(service: Service, metrics: Metrics, max_body: int) -> QuartTrio:
    """The ASGI app of a server. ``max_body`` in bytes."""
    app = QuartTrio("server", static_folder=None)
    # Quart's own limits would cut what ours allow: bodies follow --max-body, time follows the request's deadline.
    app.config.update(MAX_CONTENT_LENGTH=max_body, BODY_TIMEOUT=None, RESPONSE_TIMEOUT=None)

    async def read_body() -> bytes:
        try:
            return bytes(await request.body)
        except RequestEntityTooLarge:
            raise InferError(Code.TOO_LARGE, f"the body is larger than {max_body} bytes (--max-body)") from None

    async def call(path: str = "") -> Response:
        headers = {name.lower(): value for name, value in request.headers.items()}
        return _response(await handle(service, request.method, request.path, headers, read_body), request.method)

    async def show_metrics() -> Response:
        body, content_type = metrics.exposition(request.headers.get("accept", ""))
        return Response(body, content_type=content_type)

    async def refused(error: HTTPException) -> Response:
        code = Code.NOT_FOUND if error.code == _STATUS_NOT_FOUND else Code.INVALID_ARGUMENT
        return _response(error_reply(InferError(code, error.name, status=error.code)), request.method)

    app.add_url_rule("/metrics", view_func=show_metrics, methods=["GET"])
    options: Mapping[str, object] = {"methods": _METHODS, "provide_automatic_options": False}
    app.add_url_rule("/", view_func=call, **options)  # type: ignore[arg-type]
    app.add_url_rule("/<path:path>", view_func=call, **options)  # type: ignore[arg-type]
    app.register_error_handler(HTTPException, refused)
    return app


_STATUS_NOT_FOUND = 404


def _response(reply: Reply, method: str) -> Response:
    body = b"".join(reply.body)
    response = Response(b"" if method == "HEAD" else body, status=reply.status, headers=dict(reply.headers))
    response.headers["content-length"] = str(len(body))
    return response
