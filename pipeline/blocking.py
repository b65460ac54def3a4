"""Async code for callers that block: a trio loop in a thread of its own, and calls into it that Ctrl-C cancels.

Nothing runs in a loop of the caller's, so it works in a script, in a notebook and under a running asyncio loop. (Under
one of trio's, whose threads cannot wait for each other's loops, it is refused.)
"""

from __future__ import annotations

import functools
import os
import sys
import threading
import weakref
from collections.abc import Awaitable, Callable
from concurrent.futures import Future, wait
from contextlib import AbstractAsyncContextManager, ExitStack
from contextvars import Context
from typing import TYPE_CHECKING, Any, Concatenate, Generic, ParamSpec, Protocol, TypeVar

import anyio
import trio
from anyio.from_thread import BlockingPortal

from pipeline.errors import Code, InferError

if TYPE_CHECKING:
    import asyncio

T = TypeVar("T")
P = ParamSpec("P")
F = TypeVar("F", bound="Face[Any]")
Subject = TypeVar("Subject", bound=AbstractAsyncContextManager[Any])
# Seconds between two looks at whether the task of asyncio that waits is cancelled: nobody notices a twentieth.
_LOOK_UP = 0.05
# And between two at whether there was a signal, which hardly ever comes unseen.
_LOOK_UP_FOR_SIGNALS = 1.0
_NOTHING_RAISED = (None, None, None)


class LoopThread(Generic[Subject]):
    """A thread that runs a loop, in which an async context manager is open while other threads call into it.

    One that nobody refers to any more closes by itself, as at the end of the process. In a process that was forked
    while it was open it is of no use: its thread is not there.
    """

    def __init__(self, subject: Subject, what: str) -> None:
        self.subject = subject
        self._what = what
        self._portal: BlockingPortal | None = None
        self._stack = ExitStack()
        self._calls: set[_Call[Any]] = set()
        self._process = os.getpid()
        self._end: weakref.finalize[..., Any] | None = None

    def open(self) -> None:
        """Raises what opening raises, and RuntimeError where it is open. Ctrl-C cancels the opening, as a call."""
        self._require_thread()
        self._require_process()
        if self._portal is not None:
            raise RuntimeError(f"{self._what} is open already; close it first")
        waiting = _Waiting()
        with ExitStack() as stack:
            portal = _started(stack)
            held = _Held(self.subject)
            task = portal.start_task_soon(held.run)
            waiting.result(held.opened)
            stack.push(functools.partial(_leave, portal, held, task))
            self._portal, self._stack, self._process = portal, stack.pop_all(), os.getpid()
        # Left open, it would be torn down with the interpreter, when its thread can answer no more.
        self._end = weakref.finalize(self, _left_open, weakref.ref(self), self._stack, self._process)

    def close(self, *exc_info: Any) -> None:
        """Ends the loop and its thread; nothing where it is closed. Calls of other threads end, as cancelled.

        What is open is told ``exc_info``, and waited for; Ctrl-C cancels its closing, and is raised. Nothing happens in
        a process that was forked meanwhile: what is open is the other's.
        """
        self._require_thread()
        if self._is_foreign:
            return
        if self._end is not None:
            self._end.detach()
        portal, self._portal = self._portal, None
        if portal is not None:
            for call in list(self._calls):
                portal.start_task_soon(call.give_up)
        self._stack.__exit__(*exc_info or _NOTHING_RAISED)

    def call(self, function: Callable[[], Awaitable[T]]) -> T:
        """What the function returns or raises. Whatever ends the waiting, as Ctrl-C does, cancels it.

        In a task of asyncio its cancelling does too, for ``asyncio.run`` makes no more than that of Ctrl-C. Raises
        RuntimeError where nothing is open or this thread runs a trio loop, InferError (CANCELLED) where another thread
        closes it meanwhile.
        """
        self._require_thread()
        self._require_process()
        waiting = _Waiting()
        call = _Call(function, self._what)
        self._calls.add(call)
        portal, future = self._portal, None
        try:
            if portal is None:
                raise RuntimeError(f"{self._what} is not open; use it in a with block, or open() it")
            future = portal.start_task_soon(call.run)
            return waiting.result(future)
        except BaseException:
            # Not portal.call, nor the future's own cancel: interrupted, the one leaves the work running to its end, and
            # the other is not there yet while the work is being started.
            if portal is not None and (future is None or not future.done()):
                portal.start_task_soon(call.give_up)
            raise
        finally:
            self._calls.discard(call)

    @property
    def _is_foreign(self) -> bool:
        return self._portal is not None and self._process != os.getpid()

    def _require_process(self) -> None:
        if self._is_foreign:
            told = f"{self._what} was opened in process {self._process}, and a fork takes no threads along"
            raise RuntimeError(f"{told}; make and open one in each process")

    def _require_thread(self) -> None:
        try:
            trio.lowlevel.current_trio_token()
        except RuntimeError:
            return
        raise RuntimeError(f"{self._what} would block the trio loop of this thread; use the async one, or a thread")


class _Waiting:
    """A wait that ends early where the task of asyncio, which this thread was in from the start, is cancelled."""

    def __init__(self) -> None:
        self._task = _task()
        # A task that is cancelled already may call, to clean up; one that is cancelled from here on may not go on.
        self._before = 0 if self._task is None else self._task.cancelling()

    def result(self, future: Future[T]) -> T:
        """Raises CancelledError then."""
        if self._task is None:
            return _result(future)
        while not wait([future], _LOOK_UP).done:
            # The signal's handler ran in this thread, in the middle of the waiting; nothing but a look tells.
            if self._task.cancelling() > self._before:
                from asyncio import CancelledError  # noqa: PLC0415  # see _task

                raise CancelledError
        return future.result()


def _result(future: Future[T]) -> T:
    """A signal that comes in the moment before this thread begins to wait does not wake it: it looks up for one."""
    while True:
        try:
            return future.result(_LOOK_UP_FOR_SIGNALS)
        except TimeoutError:
            if future.done():
                return future.result()


def _task() -> asyncio.Task[Any] | None:
    """The task of asyncio that this thread is in. Where nobody has imported asyncio, which takes a while, none is."""
    if "asyncio" not in sys.modules:
        return None
    import asyncio  # noqa: PLC0415  # see above

    try:
        return asyncio.current_task()
    except RuntimeError:  # no loop runs in this thread
        return None


def _started(stack: ExitStack) -> BlockingPortal:
    """Into a loop in a thread of its own, which ``stack`` ends.

    Not anyio's own: that is a generator, and one that a forked process collects waits for a thread that it has not.
    """
    ready: Future[BlockingPortal] = Future()
    # From Python 3.14 on, a thread may inherit a context that says which loop runs.
    thread = threading.Thread(target=Context().run, args=(_run, ready), name="blocking portal", daemon=True)

    def stop(kind: type[BaseException] | None, *_: object) -> None:
        if ready.cancel():
            return  # starting it was interrupted: it has not begun, and it will do nothing
        try:
            if ready.exception() is None:
                portal = ready.result()
                portal.call(portal.stop, kind is not None)
        finally:
            thread.join()

    stack.push(stop)
    thread.start()
    return ready.result()


def _run(ready: Future[BlockingPortal]) -> None:
    async def serve() -> None:
        async with BlockingPortal() as portal:
            ready.set_result(portal)
            await portal.sleep_until_stopped()

    if not ready.set_running_or_notify_cancel():
        return
    try:
        anyio.run(serve, backend="trio")
    except OSError as error:  # too many open files
        if ready.done():
            raise
        ready.set_exception(error)


class _Held:
    """What is open: one task of the loop enters and leaves it, as nurseries and cancel scopes require."""

    def __init__(self, subject: AbstractAsyncContextManager[Any]) -> None:
        self._subject = subject
        self._over = trio.Event()
        self._exc_info: tuple[Any, ...] = _NOTHING_RAISED
        self.opened: Future[None] = Future()

    async def run(self) -> None:
        """Cancelled, it is left, which is cancelled too."""
        try:
            await self._subject.__aenter__()
        except BaseException as error:
            self.opened.set_exception(error)
            raise
        self.opened.set_result(None)
        try:
            await self._over.wait()
        finally:
            await self._subject.__aexit__(*self._exc_info)

    def leave(self, exc_info: tuple[Any, ...]) -> None:
        """In the loop's own thread."""
        self._exc_info = exc_info
        self._over.set()


def _leave(portal: BlockingPortal, held: _Held, task: Future[None], *exc_info: Any) -> None:
    waiting = _Waiting()
    portal.start_task_soon(held.leave, exc_info)
    waiting.result(task)


def _left_open(loop: weakref.ref[LoopThread[Any]], stack: ExitStack, process: int) -> None:
    """The end of one that nobody closed: the process ends, or nobody can call it any more."""
    if os.getpid() != process:
        return
    if (alive := loop()) is not None:
        alive.close()
        return
    # Garbage is collected in any thread, as in one that runs a loop, this one's too, which must not wait for it.
    threading.Thread(target=stack.close, name="closing what was left open").start()


class _Call(Generic[T]):
    """One call in the loop, that whoever waits for it can give up, before it has begun too."""

    def __init__(self, function: Callable[[], Awaitable[T]], what: str) -> None:
        self._function = function
        self._what = what
        self._scope: anyio.CancelScope | None = None
        self._given_up = False

    async def run(self) -> T:
        """Raises InferError (CANCELLED) where it is given up."""
        with anyio.CancelScope() as self._scope:
            if self._given_up:
                self._scope.cancel()
            return await self._function()
        raise InferError(Code.CANCELLED, f"{self._what} was closed while the call ran")

    def give_up(self) -> None:
        """In the loop's own thread."""
        self._given_up = True
        if self._scope is not None:
            self._scope.cancel()


class Face(Protocol[Subject]):
    """What has a blocking face; ``blocking`` makes its methods, ``entered`` and ``left`` are its ``with`` block."""

    loop: LoopThread[Subject]


def entered(face: F) -> F:
    """Opens it. Raises what its ``open`` raises."""
    face.loop.open()
    return face


def left(face: Face[Any], *exc_info: object) -> None:
    """Closes it, and tells it how its block was left, as an async one is told."""
    face.loop.close(*exc_info)


def blocking(method: Callable[Concatenate[Subject, P], Awaitable[T]]) -> Callable[Concatenate[Face[Subject], P], T]:
    """The blocking twin of an async method, signature and docstring kept: ``infer = blocking(Client.infer)``."""

    @functools.wraps(method)
    def call(face: Face[Subject], /, *args: P.args, **kwargs: P.kwargs) -> T:
        return face.loop.call(functools.partial(method, face.loop.subject, *args, **kwargs))

    return call
