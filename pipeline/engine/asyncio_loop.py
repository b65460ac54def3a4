"""The asyncio loop of a trio run: in a thread of its own, for code and libraries that need one.

It is one of Python's own loops, which libraries may patch, and all who hold it share it: the first starts it, the last
stops it, or who keeps it.
"""

from __future__ import annotations

import asyncio
import functools
import logging
import threading
from collections.abc import AsyncGenerator, AsyncIterable, AsyncIterator, Awaitable, Callable, Collection
from contextlib import asynccontextmanager
from contextvars import Context
from typing import Any, Generic, TypeVar, TypeVarTuple

import trio

from pipeline.engine.asyncio_from_threads import LoopFromThreads, SharedLoop
from pipeline.engine.asyncio_kept import KEEPER
from pipeline.engine.asyncio_task import AsyncioTask
from pipeline.engine.asyncio_threads import AsyncioThreads
from pipeline.engine.limit import Limit
from pipeline.engine.soon import in_trio
from pipeline.tensors.own import owned_part

T = TypeVar("T")
Ts = TypeVarTuple("Ts")
_LOG = logging.getLogger("pipeline_serve")
# What is left when the last one lets go gets to end, all together: as long as a step's `close`.
_STOP_SECONDS = 5.0
_SHARED: trio.lowlevel.RunVar[_Shared | None] = trio.lowlevel.RunVar("the asyncio loop", default=None)


class AsyncioLoop:
    """The loop, from trio's side. To be had of ``asyncio_loop``."""

    def __init__(self) -> None:
        """Begins its thread. Raises OSError where the process has no file descriptors left."""
        # Not what a policy makes: nobody can patch uvloop.
        self._loop = SharedLoop()
        self._threads = AsyncioThreads()
        self._loop.set_default_executor(self._threads)
        self.from_threads = LoopFromThreads(self._loop)  # type: ignore[abstract]
        """The loop, for code that blocks in a thread."""
        self._token = trio.lowlevel.current_trio_token()
        self._stopped = False
        self._over = trio.Event()
        # From Python 3.14 on, a thread may inherit a context that says which loop runs.
        self._thread = threading.Thread(target=Context().run, args=(self._serve,), name="asyncio", daemon=True)
        try:
            self._thread.start()
        except RuntimeError:
            self._loop.close()
            raise

    async def run(
        self, function: Callable[[*Ts], Awaitable[T]], *args: *Ts, what: str | None = None, limit: Limit | None = None
    ) -> T:
        """What the async function gives, awaited in a task of its own on the asyncio loop.

        Raises what it raises; what is no Exception, as a CancelledError that nobody here sent, as WrongAnswer.
        Cancelled, its task is cancelled, once, and may clean up: it is waited for, and what it gives or raises then is
        what came of it. What has not ended within seconds is left to end by itself, and keeps the token of ``limit``,
        which the caller holds, until then. ``what``: the log's word for it, else the function's name.
        """
        await trio.lowlevel.checkpoint_if_cancelled()
        work = functools.partial(function, *args)
        return await AsyncioTask(self._loop, work, what or _name(function), limit).result()

    async def iterate(self, source: AsyncIterable[T]) -> AsyncGenerator[T, None]:
        """The items of an asyncio generator, each made when it is asked for, all of them in one task of the loop.

        Raises what the generator raises. Closed between two items, it is closed; cancelled in the middle of one, it is
        cancelled. Either way its clean-up is waited for, as that of ``run``.
        """
        await trio.lowlevel.checkpoint_if_cancelled()
        turns = _Turns(self._loop, source)
        task = AsyncioTask(self._loop, turns.take, _name(source), ended=turns.tell)
        try:
            while await turns.next():
                yield turns.item()
                turns.ask()
        except trio.Cancelled:
            task.cancel()
            raise
        finally:
            turns.leave()
            await task.result(leaving=True)

    async def stop(self) -> None:
        """Cancels the tasks that are left, closes generators, waits for threads, all within seconds, and ends.

        Cancelled, it does that all the same. Code that blocks the loop is left to itself: the thread ends no later than
        the process.
        """
        self._loop.call_soon_threadsafe(self._begin_to_end)
        with trio.move_on_after(_STOP_SECONDS + 1, shield=True):
            await self._over.wait()
        if self._over.is_set():
            self._thread.join()
        else:
            _LOG.warning(
                "the asyncio loop is left: something holds it up that has not returned for %g s", _STOP_SECONDS
            )

    # ---- in its thread

    def _serve(self) -> None:
        asyncio.set_event_loop(self._loop)
        try:
            while not self._stopped:
                try:
                    self._loop.run_forever()
                except (SystemExit, KeyboardInterrupt) as error:
                    # No signal reaches a thread: some task that nobody here waits for raised it.
                    _LOG.error("asyncio code raised %s, which ends nothing here", type(error).__name__, exc_info=error)
        finally:
            asyncio.set_event_loop(None)
            self._loop.close()
            in_trio(self._token, self._over.set)

    def _begin_to_end(self) -> None:
        self._ending = self._loop.create_task(self._end(), name="the end of the loop")

    async def _end(self) -> None:
        by = self._loop.time() + _STOP_SECONDS
        try:
            tasks = asyncio.all_tasks() - {self._ending}
            for task in tasks:
                task.cancel()
            await self._ended("tasks", tasks, by)
            generators = self._loop.create_task(self._loop.shutdown_asyncgens(), name="generators that nobody closed")
            await self._ended("generators", {generators}, by)
            working = self._threads.closed()
            await self._ended("threads", {asyncio.wrap_future(future) for future in working}, by)
        finally:
            self._stopped = True
            self._loop.stop()

    async def _ended(self, what: str, left: Collection[asyncio.Future[Any]], by: float) -> None:
        """Waits for these until then."""
        if not left:
            return
        _, running = await asyncio.wait(left, timeout=max(0.0, by - self._loop.time()))
        if running:
            _LOG.warning("%s of asyncio have not ended within %g s and are left: %d", what, _STOP_SECONDS, len(running))


class _Turns(Generic[T]):
    """The items of a generator, one per turn: ``next`` on trio, ``take`` on asyncio, where one task has all turns.

    An own task for each would be another task to every ``timeout`` and cancel scope that is open across a ``yield``.
    """

    def __init__(self, loop: asyncio.AbstractEventLoop, source: AsyncIterable[T]) -> None:
        self._loop = loop
        self._source = source
        self._token = trio.lowlevel.current_trio_token()
        self._items: list[T] = []
        self._told = trio.Event()
        self._asked = asyncio.Event()
        self._left = False

    # ---- on trio

    async def next(self) -> bool:
        """Whether there is another item. Cancelled, it still comes."""
        await self._told.wait()
        self._told = trio.Event()
        return bool(self._items)

    def item(self) -> T:
        return self._items.pop()

    def ask(self) -> None:
        self._loop.call_soon_threadsafe(self._asked.set)

    def leave(self) -> None:
        """The generator is closed where it yields, now or when it does."""
        self._left = True
        self.ask()

    def tell(self, *items: T) -> None:
        """That there is an item, or that there is none any more."""
        self._items += items
        self._told.set()

    # ---- in the loop's thread

    async def take(self) -> None:
        items = aiter(self._source)
        try:
            async for item in items:
                self._token.run_sync_soon(self.tell, owned_part(item))
                del item
                await self._asked.wait()
                self._asked.clear()
                if self._left:
                    break
        finally:
            if (close := getattr(items, "aclose", None)) is not None:
                await close()


@asynccontextmanager
async def asyncio_loop() -> AsyncIterator[AsyncioLoop]:
    """The one asyncio loop of this trio run, good until the context ends; the last to leave stops it.

    Who comes while it stops waits for that, and begins another one. Raises OSError where none can be made. Cancelled,
    or left by an error, it is stopped all the same, within seconds.
    """
    while (shared := _SHARED.get()) is not None and shared.is_stopping:
        await shared.stopped.wait()
    if shared is None:
        shared = _Shared(AsyncioLoop())
        _SHARED.set(shared)
        if (keeper := KEEPER.get()) is not None:
            await keeper.enter_async_context(shared.held())
    async with shared.held() as loop:
        yield loop


class _Shared:
    def __init__(self, loop: AsyncioLoop) -> None:
        self._loop = loop
        self._holders = 0
        self.stopped = trio.Event()

    @property
    def is_stopping(self) -> bool:
        return not self._holders

    @asynccontextmanager
    async def held(self) -> AsyncIterator[AsyncioLoop]:
        self._holders += 1
        try:
            yield self._loop
        finally:
            self._holders -= 1
            if not self._holders:
                try:
                    await self._loop.stop()
                finally:
                    _SHARED.set(None)
                    self.stopped.set()


def _name(code: object) -> str:
    """What a log line calls it: the name of a function, a method or a generator."""
    while isinstance(code, functools.partial):
        code = code.func
    return f"asyncio code {getattr(code, '__qualname__', type(code).__qualname__)}"
