"""Threads for the steps of a pipeline, which stay a while when their work is done, for more.

A thread of trio's costs several times what most steps do: it is handed over, and back, for every call. Here one of
trio's threads serves call after call, and where its work ends while other work waits for the same limit, it goes on
with that at once. It stays one of trio's, so that ``trio.from_thread`` means in it what it means in any.

A thread that computes cannot be stopped. Where nobody waits for its work any more, it alone is told so
(``trio.from_thread.check_cancelled``), and ends with that work.
"""

from __future__ import annotations

import contextvars
from collections.abc import Callable
from queue import Empty, SimpleQueue
from threading import Lock
from typing import Any, Generic, Protocol, TypeVar, cast

import trio
from sniffio import current_async_library_cvar

from pipeline.engine.limit import Limit, Waiter
from pipeline.engine.soon import in_trio

T = TypeVar("T")
T_co = TypeVar("T_co", covariant=True)
# As long as trio keeps a thread without work.
_IDLE_SECONDS = 10


class Work(Protocol[T_co]):
    """What a thread does. Where it was given a limit's token, it gives that back, whatever happens.

    ``last``: gives back a token at the end of the work, after which the thread goes on with what waits for it.
    """

    def __call__(self, last: Callable[[Limit], None], /) -> T_co: ...


class ThreadPool:
    """As many threads as there is work at once: how much that is others bound.

    Its threads are carried by system tasks of trio's run, and end with it; or with ``idle_seconds`` without work.
    """

    def __init__(self, idle_seconds: float = _IDLE_SECONDS) -> None:
        self.idle_seconds = idle_seconds
        self._idle: list[_Worker] = []
        self._lock = Lock()
        self._threads = 0
        self._home: _Home | None = None

    def __repr__(self) -> str:
        return f"<ThreadPool: {self.busy} threads busy, {len(self._idle)} idle>"

    @property
    def busy(self) -> int:
        """Threads with work in them, be it work that nobody waits for any more."""
        with self._lock:
            return self._threads - len(self._idle)

    async def run(self, work: Work[T], limit: Limit | None = None) -> T:
        """What the work gives, in a thread, once the ``limit`` has a token for it.

        Raises Overloaded, or what the work raises. Cancelled, it returns at once: work that waits leaves the queue, and
        work that runs ends by itself, and gives the token back then.
        """
        await trio.lowlevel.checkpoint_if_cancelled()
        token = trio.lowlevel.current_trio_token()
        if self._home is None or self._home.token is not token:
            self._home = _Home(token)
        job = Job(self, self._home, work, limit)
        if limit is None or limit.stand(job):
            self.start(job)
        else:
            try:
                limit.tell_of_waiting()
            except BaseException:
                job.abandon()
                raise
        await trio.lowlevel.wait_task_rescheduled(job.aborted)
        return job.result()

    def start(self, job: Job[Any]) -> None:
        """Begins with it, in a thread that is idle or a new one. In any thread."""
        with self._lock:
            worker = self._idle.pop() if self._idle else None
        if worker is not None:
            worker.inbox.put(job)
        else:
            in_trio(job.home.token, self._hire, job)

    def _hire(self, job: Job[Any]) -> None:
        worker = _Worker(self, job)
        try:
            trio.lowlevel.spawn_system_task(worker.carry)
        except RuntimeError as error:  # the run is ending
            job.refuse(error)

    def counts(self, change: int) -> None:
        """One thread more, or less."""
        with self._lock:
            self._threads += change

    def rests(self, worker: _Worker) -> bool:
        """Whether that thread is among the idle ones from now on; it is not where it is dismissed."""
        with self._lock:
            if worker.dismissed:
                return False
            self._idle.append(worker)
            return True

    def leaves(self, worker: _Worker) -> bool:
        """Whether that thread was idle, and gets no work any more; else some is in it, or on its way."""
        with self._lock:
            if worker not in self._idle:
                return False
            self._idle.remove(worker)
            return True


class Job(Generic[T]):
    """Work, its way to a thread, and the way of what it gives back to the task that waits.

    Thread and loop may both want it at the moment of a cancellation: whoever has ``_lock`` first has it, so that a
    token is given back exactly once.
    """

    __slots__ = (
        "_began", "_context", "_error", "_limit", "_lock", "_pool", "_task", "_value", "_work", "_worker",
        "following", "given", "home"
    )  # fmt: skip

    def __init__(self, pool: ThreadPool, home: _Home, work: Work[T], limit: Limit | None) -> None:
        """In the task that waits for it."""
        self.given = False
        self.following: Waiter | None = None
        """What its thread is to go on with."""
        self.home = home
        self._pool = pool
        self._work = work
        self._limit = limit
        self._lock = Lock()
        self._began = False
        self._worker: _Worker | None = None
        self._task: trio.lowlevel.Task | None = trio.lowlevel.current_task()
        self._context = contextvars.copy_context()
        if self._context.get(current_async_library_cvar) is not None:
            # In the thread no library runs.
            self._context.run(current_async_library_cvar.set, None)
        self._value: T | None = None
        self._error: BaseException | None = None

    # ---- in the loop's thread

    def aborted(self, _: Callable[[], object]) -> trio.lowlevel.Abort:
        self.abandon()
        return trio.lowlevel.Abort.SUCCEEDED

    def abandon(self) -> None:
        """Nobody waits for it any more."""
        self._task = None
        if self._limit is not None and not self.given and self._limit.leave(self):
            return
        with self._lock:
            began, self._began = self._began, True
            worker = self._worker
            if worker is not None:
                worker.dismissed = True
        if worker is not None:
            worker.scope.cancel()
        elif not began and self._limit is not None:
            self._limit.release()

    def result(self) -> T:
        if self._error is None:
            value, self._value = self._value, None
            return cast(T, value)
        try:
            raise self._error
        finally:
            # Or the error's traceback and the job hold each other, and every tensor on the way.
            self._error = None

    def back(self) -> None:
        """Its task goes on, where that waits."""
        if self._task is not None:
            trio.lowlevel.reschedule(self._task)
        else:
            # Or its traceback and the job hold each other.
            self._error = None

    # ---- in any thread

    def wake(self) -> None:
        """It has its token."""
        self._pool.start(self)

    # ---- in a thread of the pool

    def do(self, worker: _Worker) -> None:
        with self._lock:
            if self._began:
                return
            self._began, self._worker = True, worker
        try:
            self._value = self._context.run(self._work, self._last)
        except BaseException as error:  # noqa: BLE001  # who waits raises it
            self._error = error
        # The thread holds the job for a moment longer than its task does, and tensors must not be in it then.
        del self._work, self._context
        with self._lock:
            self._worker = None
        # Where nobody waits, what it gave has nobody either.
        self.home.tell(self)

    def refuse(self, error: BaseException) -> None:
        """There is no thread for it."""
        with self._lock:
            began, self._began = self._began, True
        if not began:
            if self._limit is not None:
                self._limit.release()
            self._error = error
            self.back()

    def _last(self, limit: Limit) -> None:
        self.following = limit.hand_on()


class _Home:
    """The loop of a run, which is woken once for all answers that come together."""

    __slots__ = ("_arrived", "_lock", "token")

    def __init__(self, token: trio.lowlevel.TrioToken) -> None:
        self.token = token
        self._arrived: list[Job[Any]] = []
        self._lock = Lock()

    def tell(self, job: Job[Any]) -> None:
        """It is done. In any thread."""
        with self._lock:
            self._arrived.append(job)
            wakes = len(self._arrived) == 1
        if wakes:
            # The loop may have ended before an abandoned thread did.
            in_trio(self.token, self._answer)

    def _answer(self) -> None:
        with self._lock:
            arrived, self._arrived = self._arrived, []
        for job in arrived:
            job.back()


class _Worker:
    """One thread, and the task that carries it."""

    __slots__ = ("_pool", "dismissed", "inbox", "scope")

    def __init__(self, pool: ThreadPool, first: Job[Any]) -> None:
        self.inbox: SimpleQueue[Job[Any] | None] = SimpleQueue()
        self.inbox.put(first)
        self.scope = trio.CancelScope()
        self.dismissed = False
        """Whether it ends with the work that is in it."""
        self._pool = pool

    async def carry(self) -> None:
        """Until the thread has ended. Cancelled, that ends by itself, with the work that is in it."""
        with self.scope:
            try:
                await trio.to_thread.run_sync(
                    self._serve, thread_name="pipeline step", abandon_on_cancel=True, limiter=trio.CapacityLimiter(1)
                )
            except Exception as error:  # noqa: BLE001  # the system has no thread for us
                self._refuse(error)
            finally:
                self.dismissed = True
                self._pool.leaves(self)
                self.inbox.put(None)

    def _refuse(self, error: Exception) -> None:
        first = self.inbox.get_nowait()
        if first is not None:
            first.refuse(error)

    def _serve(self) -> None:
        self._pool.counts(1)
        try:
            job = self.inbox.get()
            while job is not None:
                job.do(self)
                # What is done is forgotten here, before the thread idles.
                job = self._on_with(job.following)
                if job is None:
                    job = self._next()
        finally:
            self._pool.counts(-1)

    def _on_with(self, following: Waiter | None) -> Job[Any] | None:
        match following:
            case Job() if not self.dismissed:
                return following
            case None:
                return None
            case _:
                following.wake()
                return None

    def _next(self) -> Job[Any] | None:
        if not self._pool.rests(self):
            return None
        try:
            return self.inbox.get(timeout=self._pool.idle_seconds)
        except Empty:
            return None if self._pool.leaves(self) else self.inbox.get()
