"""Async code for callers that block: a trio loop in a thread of its own, and calls into it that Ctrl-C cancels.

Nothing runs in a loop of the caller's, so it works in a script, in a notebook and under a running asyncio loop.
"""

from __future__ import annotations

import functools
from collections.abc import Awaitable, Callable
from concurrent.futures import CancelledError, Future
from contextlib import AbstractAsyncContextManager, ExitStack
from typing import Any, Concatenate, Generic, ParamSpec, Protocol, TypeVar

from anyio.from_thread import BlockingPortal, start_blocking_portal

from pipeline.errors import Code, InferError

T = TypeVar("T")
P = ParamSpec("P")
Subject = TypeVar("Subject", bound=AbstractAsyncContextManager[Any])


class Held(Generic[Subject]):
    """An async context manager, held open in a loop of its own while any thread calls into it."""

    def __init__(self, subject: Subject, what: str) -> None:
        self.subject = subject
        self._what = what
        self._portal: BlockingPortal | None = None
        self._stack = ExitStack()
        self._calls: set[Future[Any]] = set()

    def open(self) -> None:
        """Raises what opening raises, and RuntimeError where it is open. Ctrl-C cancels the opening."""
        if self._portal is not None:
            raise RuntimeError(f"{self._what} is open already; close it first")
        with ExitStack() as stack:
            portal = stack.enter_context(start_blocking_portal("trio"))
            stack.enter_context(portal.wrap_async_context_manager(self.subject))
            self._portal, self._stack = portal, stack.pop_all()

    def close(self) -> None:
        """Ends the loop and its thread; nothing where it is closed. Calls of other threads end, as cancelled."""
        self._portal = None
        for future in list(self._calls):
            future.cancel()
        self._stack.close()

    def call(self, function: Callable[[], Awaitable[T]]) -> T:
        """What the function returns or raises. Whatever ends the waiting, as Ctrl-C does, cancels it.

        Raises RuntimeError where nothing is open, InferError (CANCELLED) where another thread closes it meanwhile.
        """
        portal = self._portal
        if portal is None:
            raise RuntimeError(f"{self._what} is not open; use it in a with block, or open() it")
        # Not portal.call: interrupted, that leaves the work running to its end.
        future = portal.start_task_soon(function)
        self._calls.add(future)
        try:
            return future.result()
        except CancelledError:
            raise InferError(Code.CANCELLED, f"{self._what} was closed while the call ran") from None
        except BaseException:
            future.cancel()
            raise
        finally:
            self._calls.discard(future)


class Holder(Protocol[Subject]):
    """What has a blocking face; ``blocking`` makes its methods."""

    held: Held[Subject]


def blocking(method: Callable[Concatenate[Subject, P], Awaitable[T]]) -> Callable[Concatenate[Holder[Subject], P], T]:
    """The blocking twin of an async method, signature and docstring kept: ``infer = blocking(Client.infer)``."""

    @functools.wraps(method)
    def call(holder: Holder[Subject], /, *args: P.args, **kwargs: P.kwargs) -> T:
        return holder.held.call(functools.partial(method, holder.held.subject, *args, **kwargs))

    return call
