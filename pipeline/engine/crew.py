"""The threads of one run, who is awake of them, and what wakes the loop.

Where threads and the loop are awake at the same time they take the interpreter from each other at every system call,
which costs more than what most steps do. So work that comes together is handed over together, once the loop has read
all of it. One thread is woken, and goes on until there is nothing left; as long as more is left when it begins with
something, one other is on its way, which cannot run while the first computes, and does as soon as that blocks. And the
loop is woken once for what was done until it comes.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Iterable
from threading import Lock
from typing import Any

import trio

from pipeline.engine.job import Job
from pipeline.engine.soon import in_trio


class Crew:
    """The threads of one run, what waits for one of them, and what they gave.

    One lock is for all that the threads and the loop both look at: a job that is cancelled while a thread takes it is
    either's, and its token is given back once.
    """

    __slots__ = (
        "_coming", "_done", "_gathered", "_idle", "_idle_seconds", "_in_company", "_jobs", "_lock", "_threads", "token",
        "waiting"
    )  # fmt: skip

    def __init__(self, token: trio.lowlevel.TrioToken, idle_seconds: float) -> None:
        self.token = token
        self._idle_seconds = idle_seconds
        self._lock = Lock()
        self._threads = 0
        self._idle: list[_Worker] = []
        self._jobs: deque[Job[Any]] = deque()
        self._done: list[Job[Any]] = []
        self._coming: _Worker | None = None
        """Who was called for the first of the jobs, and has not taken one yet."""
        self.waiting = 0
        """Tasks that wait for work of theirs, or for its limit. The loop's, as what follows."""
        self._gathered: list[Job[Any]] = []
        """What came in this turn of the loop."""
        self._in_company = False
        """Whether others were there when something was handed over last."""

    @property
    def busy(self) -> int:
        with self._lock:
            return self._threads - len(self._idle)

    @property
    def idle(self) -> int:
        return len(self._idle)

    # ---- in the loop's thread

    async def hand_over(self, job: Job[Any]) -> None:
        """Starts it: at once where it is alone, else a turn of the loop later, with what has come until then.

        That cannot be cancelled: the first to come does it for the others.
        """
        if self.waiting == 1 and not self._in_company:
            self.start((job,))
            return
        self._gathered.append(job)
        if len(self._gathered) == 1:
            await trio.lowlevel.cancel_shielded_checkpoint()
            gathered, self._gathered = self._gathered, []
            self._in_company = self.waiting > 1
            self.start(gathered)

    def gives_up(self, job: Job[Any]) -> bool:
        """Whether no thread has begun with the job; none does any more. One that is in it is told and dismissed."""
        with self._lock:
            fresh, job.begun = not job.begun, True
            if job.stop is not None:
                job.stop()
        return fresh

    def _hire(self, worker: _Worker) -> None:
        try:
            trio.lowlevel.spawn_system_task(worker.carry)
        except RuntimeError as error:  # the run is ending
            self.lacks(worker, error)

    def lacks(self, worker: _Worker, error: BaseException) -> None:
        """There is no such thread, for that reason: the work it was called for fails."""
        with self._lock:
            job = self._taken() if self._coming is worker else None
        if job is not None:
            job.refuse(error)
        self.dismisses(worker)

    def dismisses(self, worker: _Worker) -> None:
        """It takes no work any more, and ends with what is in it."""
        with self._lock:
            worker.dismissed = True
            idles = worker in self._idle
            if idles:
                self._idle.remove(worker)
            if self._coming is worker:
                self._coming = None
            other = self._called()
        if idles:
            worker.gate.release()
        self._send_for(other)

    def _answer(self) -> None:
        with self._lock:
            done, self._done = self._done, []
        for job in done:
            job.back()

    # ---- in any thread

    def start(self, jobs: Iterable[Job[Any]]) -> None:
        """They have their tokens."""
        with self._lock:
            self._jobs.extend(jobs)
            worker = self._called()
        self._send_for(worker)

    def _called(self) -> _Worker | None:
        """Under the lock: who is to come for the first job. One at a time: who comes calls the next."""
        if not self._jobs or self._coming is not None:
            return None
        self._coming = self._idle.pop() if self._idle else _Worker(self)
        return self._coming

    def _send_for(self, worker: _Worker | None) -> None:
        if worker is None:
            return
        if worker.works:
            worker.gate.release()
        else:
            in_trio(self.token, self._hire, worker)

    def _taken(self) -> Job[Any] | None:
        """Under the lock: the first job that somebody waits for."""
        while self._jobs:
            job = self._jobs.popleft()
            if not job.begun:
                job.begun = True
                return job
        return None

    # ---- in a thread of the crew

    def counts(self, change: int) -> None:
        """One thread more, or less."""
        with self._lock:
            self._threads += change

    def next_for(self, worker: _Worker, done: Job[Any] | None) -> Job[Any] | None:
        """Takes what that thread has ``done``, and gives it more to do; else it idles, or has been dismissed."""
        following = None if done is None else done.following
        if following is not None and not (type(following) is Job and following.crew is self):
            following.wake()
            following = None
        with self._lock:
            if done is not None:
                done.stop = None
                # Where nobody waits, what it gave has nobody either.
                self._done.append(done)
            is_first = done is not None and len(self._done) == 1
            if following is not None:
                self._jobs.append(following)
            if self._coming is worker:
                self._coming = None
            job = None
            if not worker.dismissed:
                job = self._taken()
                if job is None:
                    self._idle.append(worker)
                else:
                    job.stop = worker.stop
            other = self._called()
        if is_first:
            # The loop may have ended before an abandoned thread did.
            in_trio(self.token, self._answer)
        self._send_for(other)
        return job

    def waits(self, worker: _Worker) -> bool:
        """Whether there is work for that idle thread, at last; else it is dismissed."""
        if worker.gate.acquire(timeout=self._idle_seconds):
            return True
        with self._lock:
            if worker in self._idle:
                self._idle.remove(worker)
                return False
        # Somebody has called it at this moment.
        return worker.gate.acquire()


class _Worker:
    """One thread, and the task that carries it."""

    __slots__ = ("_crew", "_scope", "dismissed", "gate", "works")

    def __init__(self, crew: Crew) -> None:
        self._crew = crew
        self._scope = trio.CancelScope()
        self.works = False
        """Whether there is a thread, which waits at the ``gate`` when it idles."""
        self.dismissed = False
        """Whether it ends with the work that is in it."""
        self.gate = Lock()
        self.gate.acquire()

    def stop(self) -> None:
        """Nobody waits any more for what is in it. In the loop's thread."""
        self.dismissed = True
        self._scope.cancel()

    async def carry(self) -> None:
        """Until the thread has ended. Cancelled, that ends by itself, with the work that is in it."""
        with self._scope:
            try:
                await trio.to_thread.run_sync(
                    self._serve, thread_name="pipeline step", abandon_on_cancel=True, limiter=trio.CapacityLimiter(1)
                )
            except Exception as error:  # noqa: BLE001  # the system has no thread for us
                self._crew.lacks(self, error)
            finally:
                self._crew.dismisses(self)

    def _serve(self) -> None:
        self.works = True
        crew = self._crew
        crew.counts(1)
        try:
            job = None
            while True:
                # What is done is forgotten here, before the thread idles.
                job = crew.next_for(self, job)
                if job is not None:
                    job.do()
                elif self.dismissed or not crew.waits(self):
                    return
        finally:
            crew.counts(-1)
