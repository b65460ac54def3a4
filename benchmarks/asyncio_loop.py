"""What a step costs that runs on asyncio, per call, beside a trip to a thread and beside anyio's blocking portal.

    python benchmarks/asyncio_loop.py

The same async function in one interleaved run: on our loop; through a portal with asyncio as its backend, its future
awaited on trio; through the same portal from a worker thread that waits; from a worker thread that enters our loop; and
a synchronous one in a worker thread. Then one item of a generator. Prints wall microseconds per call, one after
another, and the ratios.
"""

from __future__ import annotations

import asyncio
import statistics
import time
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import aclosing
from functools import partial

import trio
from anyio.from_thread import BlockingPortal, start_blocking_portal

from pipeline.engine.asyncio_loop import AsyncioLoop, asyncio_loop

CALLS = 1000
ROUNDS = 15


async def work(number: int) -> int:
    await asyncio.sleep(0)
    return number


async def numbers() -> AsyncIterator[int]:
    number = 0
    while True:
        yield await work(number)
        number += 1


async def through(portal: BlockingPortal, number: int) -> int:
    """As little as it takes from trio: the future's callback wakes the task."""
    token, done = trio.lowlevel.current_trio_token(), trio.Event()
    future = portal.start_task_soon(work, number)
    future.add_done_callback(lambda _: token.run_sync_soon(done.set))
    await done.wait()
    return future.result()


def entering(loop: AsyncioLoop, number: int) -> int:
    with loop.from_threads.running():
        return asyncio.get_running_loop().run_until_complete(work(number))


async def per_call(call: Callable[[int], Awaitable[object]]) -> float:
    start = time.perf_counter()
    for number in range(CALLS):
        await call(number)
    return (time.perf_counter() - start) / CALLS * 1e6


async def per_item(loop: AsyncioLoop) -> float:
    async with aclosing(loop.iterate(numbers())) as items:

        async def item(_: int) -> object:
            return await anext(items)

        return await per_call(item)


async def measure() -> None:
    async with asyncio_loop() as loop:
        with start_blocking_portal("asyncio") as portal:
            ways: dict[str, Callable[[], Awaitable[float]]] = {
                "our loop": partial(per_call, partial(loop.run, work)),
                "a portal": partial(per_call, partial(through, portal)),
                "a portal in a thread": partial(
                    per_call, lambda number: trio.to_thread.run_sync(portal.call, work, number)
                ),
                "a thread that enters": partial(
                    per_call, lambda number: trio.to_thread.run_sync(entering, loop, number, abandon_on_cancel=True)
                ),
                "a thread": partial(per_call, lambda number: trio.to_thread.run_sync(abs, number)),
                "an item": partial(per_item, loop),
            }
            rounds = [{name: await way() for name, way in ways.items()} for _ in range(ROUNDS)]
    for name in ways:
        ratio = statistics.median(own[name] / own["our loop"] for own in rounds)
        print(f"{name:22} {statistics.median(own[name] for own in rounds):7.1f} µs  {ratio:5.2f} × our loop")


if __name__ == "__main__":
    trio.run(measure)
