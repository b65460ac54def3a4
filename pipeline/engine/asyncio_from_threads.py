"""The asyncio loop as code that blocks in a thread of trio's sees it.

It is for code that was written to run on the loop's own thread: that asks ``asyncio.get_running_loop`` for it, and
enters it again with ``run_until_complete``. Here that waits, in its own thread, for a task over there.
"""

from __future__ import annotations

import asyncio
import functools
import logging
import threading
from asyncio import _get_running_loop, _set_running_loop
from collections.abc import Awaitable, Callable, Coroutine, Generator, Iterator
from concurrent.futures import Executor
from contextlib import contextmanager
from contextvars import Context
from typing import Any, Generic, TypeVar, TypeVarTuple, cast

import trio

from pipeline.engine.asyncio_task import CLEANUP_SECONDS, Outcome, outcome_of
from pipeline.engine.soon import in_asyncio

T = TypeVar("T")
Ts = TypeVarTuple("Ts")
_LOG = logging.getLogger("pipeline_serve")
# Seconds between two looks at whether the request is cancelled, which trio tells a thread only when it asks.
_LOOK_UP = 0.05
_ENDS_IT = frozenset({"run_forever", "stop", "close", "shutdown_asyncgens", "shutdown_default_executor"})


def _stands_in(kind: type[T]) -> type[T]:
    """Every method of a loop that the class has not is called in the loop's thread, but those that would end it."""
    for name in vars(asyncio.AbstractEventLoop):
        if name not in vars(kind) and not name.startswith("_"):
            setattr(kind, name, _refused(name) if name in _ENDS_IT else _called_there(name))
    return kind


def _called_there(name: str) -> Callable[..., Any]:
    def method(self: LoopFromThreads, *args: Any, **options: Any) -> Any:
        return self.call_there(name, *args, **options)

    return method


def _refused(name: str) -> Callable[..., Any]:
    def method(self: LoopFromThreads, *args: Any, **options: Any) -> Any:
        raise RuntimeError(f"{name}: the asyncio loop is everybody's here, and ends with the last who holds it")

    return method


@_stands_in
class LoopFromThreads(asyncio.AbstractEventLoop):
    """Stands in for ``loop`` in the threads that run code within ``running``. On the loop's own thread it is the loop.

    There is one for all threads, so what was made with it under one request may be used under the next.
    """

    _nest_patched = True
    """What nest_asyncio looks for: a wait in a thread nests by itself."""

    def __init__(self, loop: asyncio.AbstractEventLoop) -> None:
        self._loop = loop
        self._own = threading.local()

    def __repr__(self) -> str:
        return f"<{self._loop!r}, seen from a thread>"

    def stands_for(self, loop: asyncio.AbstractEventLoop) -> bool:
        return self._loop is loop

    def __eq__(self, other: object) -> bool:
        """Over there it is equal to the loop: what was made with it asks ``asyncio.current_task`` for its task."""
        return other is self or (other is self._loop and self._is_here)

    def __hash__(self) -> int:
        return hash(self._loop)

    @contextmanager
    def running(self) -> Iterator[None]:
        """Within it ``asyncio.get_running_loop`` answers with this, in this thread, which is one of trio's."""
        before = _get_running_loop()
        _set_running_loop(self)
        try:
            yield
        finally:
            # Threads are used again, and for anything.
            _set_running_loop(before)
            self._give_way()

    def run_until_complete(self, future: Generator[Any, None, T] | Awaitable[T]) -> T:
        """What it gives, awaited in a task over there. Raises what it raises, as it is.

        Once the request is cancelled, or out of time, raises trio.Cancelled: the task has been cancelled, once, and has
        ended, or a few seconds are over; then the log tells of it, and it ends by itself.
        """
        if self._is_here:
            return self._loop.run_until_complete(future)
        self._check("run_until_complete", future)
        self._give_way()
        crossing, tasks = _Crossing[T](), list[asyncio.Task[Outcome]]()

        def begin() -> None:
            task = self._loop.create_task(outcome_of(lambda: cast(Awaitable[T], future)))
            task.add_done_callback(end)
            tasks.append(task)

        def end(task: asyncio.Task[Outcome]) -> None:
            tasks.clear()
            _close(future)
            crossing.tell(_of(task))

        self._loop.call_soon_threadsafe(begin)
        try:
            return crossing.taken()
        except trio.Cancelled:
            in_asyncio(self._loop, lambda: [task.cancel() for task in tasks])
            if not crossing.ended_within(CLEANUP_SECONDS):
                what = getattr(future, "__qualname__", type(future).__qualname__)
                _LOG.warning("asyncio code %s runs on: it has not ended within %g s", what, CLEANUP_SECONDS)
            raise

    def create_task(self, coro: Generator[Any, None, T] | Coroutine[Any, Any, T], **options: Any) -> asyncio.Task[T]:
        """A task of the loop. As on the loop's own thread, it begins when this code waits, or has ended."""
        if self._is_here:
            return self._loop.create_task(coro, **options)
        if not asyncio.iscoroutine(coro):
            raise TypeError(f"a coroutine was expected, got {coro!r}")
        self._check("create_task", coro)
        begun: asyncio.Event = vars(self._own).setdefault("begun", asyncio.Event())

        def make() -> asyncio.Task[T]:
            task = self._loop.create_task(_after(begun, coro), **options)
            task.add_done_callback(lambda _: _close(coro))
            return task

        return self._called_there("create_task", make)

    def run_in_executor(self, executor: Executor | None, func: Callable[[*Ts], T], *args: *Ts) -> asyncio.Future[T]:
        """The function begins at once; the loop hears of its end when this code waits, or has ended."""
        begun: asyncio.Future[T] = self.call_there("run_in_executor", executor, func, *args)
        return begun if self._is_here else self.create_task(_awaited(begun))

    def call_soon(
        self, callback: Callable[[*Ts], object], *args: *Ts, context: Context | None = None
    ) -> asyncio.Handle:
        call = self._loop.call_soon if self._is_here else self._loop.call_soon_threadsafe
        return call(callback, *args, context=context)

    # ---- what may be called in any thread

    def call_soon_threadsafe(
        self, callback: Callable[[*Ts], object], *args: *Ts, context: Context | None = None
    ) -> asyncio.Handle:
        return self._loop.call_soon_threadsafe(callback, *args, context=context)

    def create_future(self) -> asyncio.Future[Any]:
        return self._loop.create_future()

    def time(self) -> float:
        return self._loop.time()

    def is_running(self) -> bool:
        return self._loop.is_running()

    def is_closed(self) -> bool:
        return self._loop.is_closed()

    def get_debug(self) -> bool:
        return self._loop.get_debug()

    # ---- all else

    def call_there(self, name: str, *args: Any, **options: Any) -> Any:
        """What that method of the loop gives, called in the loop's thread. Raises what it raises.

        Once the request is cancelled, raises trio.Cancelled, and the call is made all the same, or has been.
        """
        call = functools.partial(getattr(self._loop, name), *args, **options)
        return call() if self._is_here else self._called_there(name, call)

    def _called_there(self, name: str, call: Callable[[], T]) -> T:
        self._check(name)
        crossing = _Crossing[T]()
        self._loop.call_soon_threadsafe(lambda: crossing.tell(_called(call)))
        return crossing.taken()

    @property
    def _is_here(self) -> bool:
        """Whether this thread is the loop's."""
        return _get_running_loop() is self._loop

    def _check(self, name: str, work: object = None) -> None:
        """Raises where this is not the place or the time for it; the coroutine that is not awaited then is closed."""
        try:
            if _get_running_loop() is not self:
                raise RuntimeError(
                    f"{name}: this loop is for the thread of synchronous code that is called with it, while that runs;"
                    " from elsewhere use asyncio.run_coroutine_threadsafe"
                )
            trio.from_thread.check_cancelled()
        except BaseException:
            _close(work)
            raise

    def _give_way(self) -> None:
        """What this thread has made begins."""
        begun: asyncio.Event | None = vars(self._own).pop("begun", None)
        if begun is not None:
            in_asyncio(self._loop, begun.set)


class SharedLoop(asyncio.SelectorEventLoop):
    """Python's own, that knows the threads to which it is lent.

    ``asyncio.gather`` asks its first task for the loop, and makes all others with that.
    """

    def create_task(self, coro: Generator[Any, None, T] | Coroutine[Any, Any, T], **options: Any) -> asyncio.Task[T]:
        match _get_running_loop():
            case LoopFromThreads() as seen if seen.stands_for(self):
                return seen.create_task(coro, **options)
        return super().create_task(coro, **options)


class _Crossing(Generic[T]):
    """What comes of something over there, for the thread that waits for it."""

    def __init__(self) -> None:
        self._over = threading.Event()
        self._outcome = Outcome(None, None)

    def tell(self, outcome: Outcome) -> None:
        self._outcome = outcome
        self._over.set()

    def taken(self) -> T:
        """Raises what was raised, or trio.Cancelled where the request is cancelled first."""
        while not self._over.wait(_LOOK_UP):
            trio.from_thread.check_cancelled()
        value, error = self._outcome
        self._outcome = Outcome(None, None)
        if error is None:
            return cast(T, value)
        try:
            raise error
        finally:
            # Or the error's traceback and this frame hold each other, and every tensor on the way.
            del error

    def ended_within(self, seconds: float) -> bool:
        return self._over.wait(seconds)


def _called(call: Callable[[], Any]) -> Outcome:
    try:
        return Outcome(call(), None)
    except BaseException as error:  # noqa: BLE001  # who waits raises it
        return Outcome(None, error)


def _of(task: asyncio.Task[Outcome]) -> Outcome:
    # Cancelled before its first step, nothing has run in it.
    return Outcome(None, asyncio.CancelledError()) if task.cancelled() else task.result()


def _close(work: object) -> None:
    """A coroutine that never began, so that Python warns of none."""
    if asyncio.iscoroutine(work):
        work.close()


async def _after(begun: asyncio.Event, work: Awaitable[T]) -> T:
    await begun.wait()
    return await work


async def _awaited(future: asyncio.Future[T]) -> T:
    return await future
