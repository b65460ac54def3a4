"""ASGI middleware of the user's own around the app: what a script adds before it serves."""

from __future__ import annotations

import functools
import traceback
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any, NoReturn, cast

from pipeline.errors import text_of
from pipeline.steps.catalog import harmless
from pipeline.wire.statuses import error_reply
from server.failure import as_shown
from server.log import failed
from server.request_ids import RequestIds

if TYPE_CHECKING:
    from hypercorn.typing import ASGIFramework, ASGIReceiveCallable, ASGISendCallable, ASGISendEvent, Scope


class Middleware:
    """What a script adds: ``add_middleware(CORSMiddleware, allow_origins=["*"])``. What is added last is outermost."""

    def __init__(self) -> None:
        self._added: list[Callable[[ASGIFramework], ASGIFramework]] = []
        self._in_use = False

    def add_middleware(self, cls: Callable[..., ASGIFramework], *args: Any, **options: Any) -> None:
        """Requests and replies pass through ``cls(app, *args, **options)``, an ASGI 3 app that calls ``app``.

        It runs on trio: written with anyio or with neither, as Starlette's are. Raises RuntimeError while a server
        serves.
        """
        if self._in_use:
            raise RuntimeError("middleware is added before the server starts, and it serves already")
        self._added.append(lambda app: cls(app, *args, **options))

    def __getattr__(self, name: str) -> NoReturn:
        """KServe's app is FastAPI's, with routes and much else; asked for by scripts that were written for it."""
        raise AttributeError(
            f'the app has no "{name}": it takes add_middleware alone, and routes of one\'s own are not served',
            name=name,
            obj=self,
        )

    @contextmanager
    def around(self, app: ASGIFramework) -> Iterator[ASGIFramework]:
        """The app within all that was added, the app itself where nothing was; until then nothing more is added.

        Raises what a class raises.
        """
        self._in_use = True
        try:
            outermost: ASGIFramework = functools.partial(_once, app)
            for add in self._added:
                outermost = add(outermost)
            yield functools.partial(_answered, outermost, RequestIds()) if self._added else app
        finally:
            self._in_use = False


# Where a scope keeps, for as long as its request lasts, that the app was called with it.
_CALLED = "pipeline_serve.called"


async def _once(app: ASGIFramework, scope: Scope, receive: ASGIReceiveCallable, send: ASGISendCallable) -> None:
    """The app, once for each request: the second call would wait for a body that the first one has read."""
    called = cast("list[bool]", scope.get(_CALLED, []))
    if called:
        raise RuntimeError("a middleware calls the app twice for one request, which has one body and one reply")
    called.append(True)
    await app(scope, receive, send)


async def _answered(
    app: ASGIFramework, ids: RequestIds, scope: Scope, receive: ASGIReceiveCallable, send: ASGISendCallable
) -> None:
    """The app of others' making: what it raises before it has answered is a reply, as everything else is."""
    begun = False

    async def sending(event: ASGISendEvent) -> None:
        nonlocal begun
        begun = True
        await send(event)

    try:
        with harmless("a middleware"):
            await app({**scope, _CALLED: []}, receive, sending)  # type: ignore[arg-type]
    except Exception as error:  # the app within answers everything, so this is the middleware's
        if begun or scope["type"] != "http":
            raise
        headers = {name.decode("latin-1"): value.decode("latin-1") for name, value in scope["headers"]}
        request = ids.of(headers)
        if _wants_asyncio(error):
            error.add_note("a middleware is written for asyncio; here it runs on trio, so write it with anyio")
        reply = error_reply(as_shown(error, request))
        failed(request, f"middleware, at {scope['method']} {scope['path']}", error)
        fields = [(name.encode("latin-1"), text.encode("latin-1")) for name, text in reply.headers.items()]
        body = b"".join(reply.body)
        fields += [(b"content-length", b"%d" % len(body)), (b"x-request-id", request.encode())]
        await send({"type": "http.response.start", "status": reply.status, "headers": fields, "trailers": False})
        await send({"type": "http.response.body", "body": body, "more_body": False})


def _wants_asyncio(error: Exception) -> bool:
    """Whether it was raised by asyncio's code, in Python or in C, or by trio of what only asyncio can wait for."""
    match error:
        case RuntimeError() if text_of(error) == "no running event loop":
            return True
        case TypeError() if text_of(error).startswith("trio.run received unrecognized yield message"):
            return True
    *_, (last, _) = traceback.walk_tb(error.__traceback__)
    return str(last.f_globals.get("__name__")).partition(".")[0] == "asyncio"
