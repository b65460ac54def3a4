"""Threads for the steps of a pipeline, which stay a while when their work is done, for more.

A thread of trio's costs several times what most steps do: it is handed over, and back, for every call. Here one of
trio's threads serves call after call, and where its work ends while other work waits for the same limit, it goes on
with that at once. It stays one of trio's, so that ``trio.from_thread`` means in it what it means in any.

A thread that computes cannot be stopped. Where nobody waits for its work any more, it alone is told so
(``trio.from_thread.check_cancelled``), and ends with that work.
"""

from __future__ import annotations

from typing import TypeVar

import trio

from pipeline.engine.crew import Crew
from pipeline.engine.job import Job, Work
from pipeline.engine.limit import Limit

T = TypeVar("T")
# As long as trio keeps a thread without work.
_IDLE_SECONDS = 10


class ThreadPool:
    """As many threads as there is work at once: how much that is others bound.

    Its threads are carried by system tasks of trio's run, and end with it; or with ``idle_seconds`` without work.
    """

    def __init__(self, idle_seconds: float = _IDLE_SECONDS) -> None:
        self.idle_seconds = idle_seconds
        self._crew: Crew | None = None

    def __repr__(self) -> str:
        idle = 0 if self._crew is None else self._crew.idle
        return f"<ThreadPool: {self.busy} threads busy, {idle} idle>"

    @property
    def busy(self) -> int:
        """Threads with work in them, be it work that nobody waits for any more."""
        return 0 if self._crew is None else self._crew.busy

    async def run(self, work: Work[T], limit: Limit | None = None) -> T:
        """What the work gives, in a thread, once the ``limit`` has a token for it.

        Raises Overloaded, or what the work raises. Cancelled, it returns at once: work that waits leaves the queue, and
        work that runs ends by itself, and gives the token back then.
        """
        await trio.lowlevel.checkpoint_if_cancelled()
        token = trio.lowlevel.current_trio_token()
        crew = self._crew
        if crew is None or crew.token is not token:
            crew = self._crew = Crew(token, self.idle_seconds)
        job = Job(crew, work, limit)
        crew.waiting += 1
        try:
            if limit is None or limit.stand(job):
                await crew.hand_over(job)
            else:
                try:
                    limit.tell_of_waiting()
                except BaseException:
                    job.abandon()
                    raise
            await trio.lowlevel.wait_task_rescheduled(job.aborted)
        finally:
            crew.waiting -= 1
        return job.result()
