"""A thread for code that is not ours: each call has one of its own, and takes the place of no other's.

trio's threads have 40 places for all who do not say otherwise, and a call that is given up keeps its own until it ends.
Code that hangs would take them one by one, and with them whatever else needs a thread. So nothing here is without a
limiter: steps have their pipeline's, the server's own work has its own, and what a user's code does beside requests
runs here. How many run at once is bounded by who calls.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import TypeVar, TypeVarTuple

import trio

T = TypeVar("T")
Given = TypeVarTuple("Given")

# A megabyte of JSON takes some 20 ms to read; a trip to a thread takes 0.05.
_LARGE = 2**20


async def in_own_thread(
    function: Callable[[*Given], T], *arguments: *Given, among: trio.CapacityLimiter | None = None
) -> T:
    """What the function returns or raises; ``among``: the calls that it shares so many threads with.

    Cancelled, one that has begun ends by itself, and what it made is dropped; one that has not never begins: who gave
    it up goes on as if it had not been, and stops what it would have started.
    """
    given_up = False

    def call() -> T:
        if given_up:
            raise RuntimeError("nobody waits for it any more")  # nor hears of this
        return function(*arguments)

    try:
        own = among or trio.CapacityLimiter(1)
        return await trio.to_thread.run_sync(call, abandon_on_cancel=True, limiter=own)
    except trio.Cancelled:
        given_up = True
        raise


async def in_thread_if_large(size: int, work: Callable[[], T]) -> T:
    """What ``work`` makes of so many bytes. Large ones are worked on in a thread: the loop's other tasks would notice.

    On trio or on asyncio. Cancelled, the thread ends by itself, and what it made is dropped.
    """
    if size < _LARGE:
        return work()
    import anyio.to_thread  # noqa: PLC0415  # who asks nobody for so much need not wait for it

    return await anyio.to_thread.run_sync(work, abandon_on_cancel=True, limiter=anyio.CapacityLimiter(1))
