"""Where ``asyncio.to_thread`` and ``run_in_executor(None, …)`` run: threads that hold up no exit of the process.

Those of Python's own executor are joined when the interpreter ends, so one that is stuck keeps the process for ever.
"""

from __future__ import annotations

import functools
import os
import threading
from collections import deque
from collections.abc import Callable, Collection
from concurrent.futures import Future, ThreadPoolExecutor
from typing import Any, NamedTuple, ParamSpec, TypeVar

import trio

P = ParamSpec("P")
T = TypeVar("T")


class AsyncioThreads(ThreadPoolExecutor):
    """Daemon threads, as many at once as Python's own executor has. A loop takes nothing that is no such executor."""

    def __init__(self) -> None:
        super().__init__()
        self._most = min(32, (os.cpu_count() or 1) + 4)
        self._jobs: deque[_Job] = deque()
        self._running: set[Future[Any]] = set()
        self._busy = 0
        self._closed = False
        self._guard = threading.Lock()

    def submit(self, fn: Callable[P, T], /, *args: P.args, **kwargs: P.kwargs) -> Future[T]:
        """Raises RuntimeError once it is closed."""
        future: Future[T] = Future()
        with self._guard:
            if self._closed:
                raise RuntimeError("cannot schedule new futures after shutdown")
            self._jobs.append(_Job(future, functools.partial(fn, *args, **kwargs)))
            if self._busy < self._most:
                trio.lowlevel.start_thread_soon(self._work, _delivered, "asyncio worker")
                self._busy += 1
        return future

    def closed(self) -> Collection[Future[Any]]:
        """Takes no more work, and drops what has not begun; the work that runs on."""
        with self._guard:
            self._closed = True
            dropped = [job.future for job in self._jobs]
            self._jobs.clear()
            running = set(self._running)
        for future in dropped:
            future.cancel()
        return running

    def shutdown(self, wait: bool = True, *, cancel_futures: bool = False) -> None:
        """What ``loop.close`` calls. Waits for nobody."""
        self.closed()

    def _work(self) -> None:
        while True:
            with self._guard:
                if not self._jobs:
                    self._busy -= 1
                    return
                future, call = self._jobs.popleft()
                if not future.set_running_or_notify_cancel():
                    continue
                self._running.add(future)
            try:
                future.set_result(call())
            except BaseException as error:  # noqa: BLE001  # who waits for the future raises it
                future.set_exception(error)
            finally:
                with self._guard:
                    self._running.discard(future)
            del future, call


class _Job(NamedTuple):
    future: Future[Any]
    call: Callable[[], Any]


def _delivered(_: object) -> None:
    """There is nobody to tell: each job has told its future."""
