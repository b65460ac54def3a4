"""The lifespan of an ASGI application, by Hypercorn: it is told that the server begins, and that it ends."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import TYPE_CHECKING, Any

import hypercorn
import trio
from hypercorn.trio.lifespan import Lifespan
from hypercorn.utils import wrap_app

if TYPE_CHECKING:
    from hypercorn.typing import ASGIFramework


@asynccontextmanager
async def living(app: ASGIFramework) -> AsyncIterator[dict[str, Any]]:
    """The state that its requests share with its lifespan, while it lives. Cancelled, it is not told of its end."""
    state: dict[str, Any] = {}
    config = hypercorn.Config()
    lifespan = Lifespan(wrap_app(app, config.wsgi_max_body_size, "asgi"), config, state)
    async with trio.open_nursery() as nursery:
        await nursery.start(lifespan.handle_lifespan)
        await lifespan.wait_for_startup()
        yield state
        await lifespan.wait_for_shutdown()
        nursery.cancel_scope.cancel()
