"""A request over HTTP/1.1 as an ASGI application sees it: what a script puts around the server is written for that.

Source: the ASGI specification, HTTP 2.3. A client that leaves cancels the application, which hears nothing of it.
"""

from __future__ import annotations

import logging
import re
import socket
from collections.abc import Iterable
from typing import TYPE_CHECKING, Any
from urllib.parse import unquote

import trio

from pipeline.errors import Code, InferError
from pipeline.wire.codec import Reply
from pipeline.wire.reply_headers import TOKEN
from pipeline.wire.statuses import error_reply
from server.body import Body
from server.head import VALUE, Head
from server.outgoing import Outgoing

if TYPE_CHECKING:
    from hypercorn.typing import ASGIFramework

_LOG = logging.getLogger("pipeline_serve")
_NAME, _TEXT = re.compile(TOKEN), re.compile(VALUE)
# They have no body, whose length could be told (RFC 9110, 8.6).
_BODILESS = (204, 304)
# They are about the connection, which is not the application's.
_OURS = frozenset({"connection", "date", "keep-alive", "transfer-encoding"})


def addresses(own: socket.socket) -> dict[str, tuple[str, int] | None]:
    """``client`` and ``server`` of a scope; None where it has no address, or its client is gone."""
    try:
        if own.family in (socket.AF_INET, socket.AF_INET6):
            return {"client": own.getpeername()[:2], "server": own.getsockname()[:2]}
    except OSError:
        pass
    return {"client": None, "server": None}


async def ask(app: ASGIFramework, head: Head, body: Body, outgoing: Outgoing, about: dict[str, Any]) -> Reply | None:
    """The reply where the application gave none, which is an error; None once it has sent its own.

    ``about``: what its scope tells of the connection, and the state of the lifespan. Cancelled, the application is.
    """
    exchange = _Exchange(body, outgoing, is_head=head.method == "HEAD")
    try:
        await app(_scope(head, about), exchange.receive, exchange.send)  # type: ignore[arg-type]  # plain dicts
    except Exception:  # noqa: BLE001  # it is others' code, and its reply says by its end that it failed
        _LOG.exception("the application failed")
    if exchange.failure is not None:
        return error_reply(exchange.failure)
    return None if outgoing.begun else error_reply(InferError(Code.INTERNAL, "there was no answer"))


def _scope(head: Head, about: dict[str, Any]) -> dict[str, Any]:
    path, _, query = head.target.partition("?")
    return {
        "type": "http",
        "asgi": {"version": "3.0", "spec_version": "2.3"},
        "http_version": f"1.{head.minor}",
        "method": head.method,
        "path": unquote(path),
        "raw_path": path.encode(),
        "query_string": query.encode(),
        "root_path": "",
        "headers": [(name.encode(), text.encode("latin-1")) for name, text in head.headers.items()],
        "extensions": {},
        **about,
        # A copy for each request (ASGI, lifespan state).
        "state": about["state"].copy(),
    }


class _Exchange:
    """``receive`` and ``send`` of one request. ``failure``: why its body could not be had."""

    def __init__(self, body: Body, outgoing: Outgoing, *, is_head: bool) -> None:
        self.failure: InferError | None = None
        self._body = body
        self._outgoing = outgoing
        self._is_head = is_head
        self._read = False
        self._answered = trio.Event()
        self._status = 0
        self._fields: list[tuple[str, str]] = []
        self._missing: int | None = None
        """Bytes that the reply still has to have, where it said how many it has."""

    async def receive(self) -> dict[str, Any]:
        if not self._read:
            try:
                piece = await self._body.piece()
            except InferError as error:
                self.failure, self._read = error, True
                return {"type": "http.disconnect"}
            self._read = self._body.ended
            return {"type": "http.request", "body": piece, "more_body": not self._read}
        if self.failure is None:
            await self._answered.wait()
        return {"type": "http.disconnect"}

    async def send(self, event: dict[str, Any]) -> None:
        """Raises ValueError for a header that is none, RuntimeError for what comes out of turn."""
        if self._answered.is_set() or self.failure is not None:
            return  # as the specification has it of a client that has left
        match event["type"], self._status:
            case "http.response.start", 0:
                self._status, self._fields = event["status"], self._own(event.get("headers", ()))
            case "http.response.body", status if status:
                await self._part(event.get("body", b""), more=event.get("more_body", False))
            case kind, _:
                raise RuntimeError(f"an application cannot send {kind} now")

    def _own(self, fields: Iterable[tuple[bytes, bytes]]) -> list[tuple[str, str]]:
        own = []
        for name, value in fields:
            key, text = name.decode("latin-1").lower(), value.decode("latin-1")
            if _NAME.fullmatch(key) is None or _TEXT.fullmatch(text) is None:
                raise ValueError(f"the header {key!r} of the application is none")
            if key == "content-length":
                self._missing = int(text)
            if key == "connection" and text.lower() == "close":
                self._outgoing.closes = True
            if key not in _OURS:
                own.append((key, text))
        return own

    async def _part(self, data: bytes, *, more: bool) -> None:
        outgoing = self._outgoing
        if not outgoing.begun:
            if self._status in _BODILESS:
                self._missing = 0
            elif self._missing is None and not more:
                self._fields.append(("content-length", str(len(data))))
                self._missing = len(data)
            outgoing.start(self._status, self._fields, sized=self._missing is not None)
        if self._status in _BODILESS:
            data = b""
        elif self._missing is not None:
            if len(data) > self._missing:
                raise RuntimeError("the body is longer than the content-length of the application says")
            self._missing -= len(data)
        if data:
            await outgoing.send(data)
        if not more:
            if self._is_head or not self._missing:
                await outgoing.end()
            self._answered.set()
