"""A task beside what an open step does, owned by its context."""

from __future__ import annotations

from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager

import trio


@asynccontextmanager
async def meanwhile(task: Callable[[], Awaitable[object]]) -> AsyncIterator[None]:
    """Runs the task until the context ends, which cancels it and waits for that. What is raised inside stays as it is.

    Cancelled, the task has ended too.
    """
    raised: BaseException | None = None
    async with trio.open_nursery() as nursery:
        nursery.start_soon(task)
        try:
            yield
        except BaseException as error:  # noqa: BLE001  # raised below: the nursery would put it into a group
            raised = error
        # Its own cancellation is all that this nursery's end is to hear of.
        nursery.cancel_scope.shield = True
        nursery.cancel_scope.cancel()
    if raised is not None:
        raise raised
