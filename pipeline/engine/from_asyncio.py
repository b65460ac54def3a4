"""Code on an asyncio loop that calls back into trio."""

from __future__ import annotations

import asyncio
import contextvars
from collections.abc import Awaitable, Callable
from typing import Generic, TypeVar, TypeVarTuple

import trio

T = TypeVar("T")
Ts = TypeVarTuple("Ts")


async def run(token: trio.lowlevel.TrioToken, function: Callable[[*Ts], Awaitable[T]], *args: *Ts) -> T:
    """What trio's async function gives, awaited by a task of asyncio. Raises what it raises.

    It runs in a task of trio's own, which no scope but this call's cancels: cancelled, it is, and has ended before the
    cancellation goes on. Raises trio.RunFinishedError where there is no trio any more.
    """

    async def work() -> T:
        return await function(*args)

    call = _Call(work)
    token.run_sync_soon(call.begin, contextvars.copy_context())
    try:
        await call.over()
    except asyncio.CancelledError:
        token.run_sync_soon(call.scope.cancel)
        # asyncio's code hears of one cancellation: another one now would leave the trio task alone.
        while not call.is_over:
            try:
                await call.over()
            except asyncio.CancelledError:
                continue
        raise
    return call.taken()


class _Call(Generic[T]):
    def __init__(self, work: Callable[[], Awaitable[T]]) -> None:
        self.scope = trio.CancelScope()
        self._work = work
        self._loop = asyncio.get_running_loop()
        self._over = self._loop.create_future()
        self._value: list[T] = []
        self._error: BaseException | None = None

    # ---- on asyncio

    @property
    def is_over(self) -> bool:
        return self._over.done()

    async def over(self) -> None:
        await asyncio.shield(self._over)

    def taken(self) -> T:
        if self._value:
            return self._value.pop()
        error, self._error = self._error, None
        try:
            # Without an error trio is at its end, which cancels what is left.
            raise asyncio.CancelledError if error is None else error
        finally:
            # Or the error's traceback and this frame hold each other, and every tensor on the way.
            del error

    # ---- on trio

    def begin(self, context: contextvars.Context) -> None:
        trio.lowlevel.spawn_system_task(self._run, context=context)

    async def _run(self) -> None:
        """Raises nothing but trio's own end: an error of a system task is one of trio."""
        try:
            with self.scope:
                self._value.append(await self._work())
        except trio.Cancelled:
            raise
        except BaseException as error:  # noqa: BLE001  # who awaits it raises it
            self._error = error
        finally:
            try:
                self._loop.call_soon_threadsafe(self._over.set_result, None)
            except RuntimeError:
                pass  # the loop is closed: nobody waits
