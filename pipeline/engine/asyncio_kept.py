"""Who keeps the asyncio loop of a trio run, once there is one. Knows nothing of asyncio, which few graphs import."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager

import trio

KEEPER: trio.lowlevel.RunVar[AsyncExitStack | None] = trio.lowlevel.RunVar("who keeps it", default=None)


@asynccontextmanager
async def asyncio_kept() -> AsyncIterator[None]:
    """Within it the loop, once somebody has started it, goes on when the last one lets go.

    What is bound to a loop, as a pool of connections is that a module keeps, is good for the next one to hold it.
    Cancelled, or left by an error, the loop is stopped all the same, within seconds.
    """
    async with AsyncExitStack() as keeper:
        outer = KEEPER.get()
        KEEPER.set(keeper)
        try:
            yield
        finally:
            KEEPER.set(outer)
