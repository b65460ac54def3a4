"""The trio driver of a run: chains in line, a nursery only where the plan forks.

The task that ends the last predecessor of a stage goes on with it, so a fork of n costs n - 1 tasks and a join costs
none.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Mapping, Sequence
from functools import partial
from time import perf_counter

import trio

from pipeline.engine.place import in_place, stopped
from pipeline.engine.run import Run
from pipeline.engine.siblings import Siblings
from pipeline.engine.step import Context, LoopStep, OpenStep
from pipeline.engine.thread_pool import ThreadPool
from pipeline.graph.plan import Plan
from pipeline.tensors.forms import Bound

Detach = Callable[[OpenStep, Callable[[], Mapping[str, Bound]], Context], None]
"""Starts a step that nobody waits for: the step, what it reads (to be asked at once), and the request's context."""


def execute(  # a request is all of this
    plan: Plan,
    steps: Sequence[OpenStep],
    run: Run,
    context: Context,
    threads: ThreadPool,
    detach: Detach | None = None,
) -> Awaitable[None]:
    """Runs the plan; ``steps`` are its steps, opened, in its order. To be awaited: then ``run`` has the result.

    The first failure cancels the steps beside it and is raised, never in a group; of two at once, that of the stage
    earlier in the plan. Cancelled, every step below is cancelled; a thread that is computing ends by itself and starts
    nothing more. Whatever happens, the detached steps whose inputs exist by then have been started.
    """
    detached = _Detached(plan, steps, run, context, detach) if detach is not None and plan.detached else None
    if plan.forks:
        work: Awaitable[None] = _Fork(plan, steps, run, context, threads, detached).all()
    else:
        work = _row(plan.line, steps, run, context, threads, detached)
    return work if detached is None else detached.beside(work)


async def _row(  # noqa: PLR0913, PLR0917  # as execute
    hops: Sequence[Sequence[int]],
    steps: Sequence[OpenStep],
    run: Run,
    context: Context,
    threads: ThreadPool,
    detached: _Detached | None,
    may_begin: Callable[[], Awaitable[None]] = trio.lowlevel.checkpoint_if_cancelled,
) -> None:
    """Hops one after the other. Each waits for ``may_begin``: nothing starts once the request is cancelled."""
    for hop in hops:
        await may_begin()
        number = hop[0]
        step = steps[number]
        if type(step) is LoopStep and step.is_bare:
            # What on_loop does, in line: one more coroutine would be a fifth of what a step costs.
            start = perf_counter()
            try:
                outputs = await step.call(run.inputs(number), context)
                run.put(number, outputs, start, perf_counter())
                # This frame lives on, and would keep them past their last use.
                del outputs
            except BaseException as error:  # noqa: BLE001  # judged, and raised
                run.ended(number, start, perf_counter())
                raise stopped(error, step.name)  # noqa: B904
        else:
            await in_place(run, hop, [steps[own] for own in hop], context, threads)
        if detached is not None:
            detached.start()


class _Fork:
    """The tasks of one request whose plan forks."""

    __slots__ = ("_context", "_detached", "_plan", "_run", "_siblings", "_steps", "_threads")

    def __init__(  # as execute
        self,
        plan: Plan,
        steps: Sequence[OpenStep],
        run: Run,
        context: Context,
        threads: ThreadPool,
        detached: _Detached | None,
    ) -> None:
        self._plan = plan
        self._steps = steps
        self._run = run
        self._context = context
        self._threads = threads
        self._detached = detached
        self._siblings = Siblings()

    async def all(self) -> None:
        await self._siblings.run(partial(self._branches, self._run.start()))

    async def _branches(self, stages: Sequence[int]) -> None:
        """The first of these stages and what follows it, in this task; the others in tasks of their own."""
        siblings = self._siblings
        while stages:
            stage, *others = stages
            for other in others:
                siblings.nursery.start_soon(self._branches, (other,))
            hops, may_begin = self._plan.stages[stage].hops, partial(self._may_begin, stage)
            try:
                await _row(hops, self._steps, self._run, self._context, self._threads, self._detached, may_begin)
            except trio.Cancelled:
                raise
            except BaseException as error:  # noqa: BLE001  # Siblings.run raises it, once the others have ended
                await siblings.fail(stage, error)
                return
            stages = self._run.done(stage)

    async def _may_begin(self, stage: int) -> None:
        """Waits to be cancelled where a stage before this one has failed."""
        if self._siblings.bars(stage):
            await trio.sleep_forever()
        if not self._siblings.has_failed:
            await trio.lowlevel.checkpoint_if_cancelled()


class _Detached:
    """The detached steps of one request that have not been started."""

    __slots__ = ("_context", "_detach", "_left", "_plan", "_run", "_steps")

    def __init__(self, plan: Plan, steps: Sequence[OpenStep], run: Run, context: Context, detach: Detach) -> None:
        self._plan = plan
        self._steps = steps
        self._run = run
        self._context = context
        self._detach = detach
        self._left = list(plan.detached)

    async def beside(self, work: Awaitable[None]) -> None:
        """Does the work, and has started all whose inputs exist at its beginning and at its end, however it ends."""
        try:
            self.start()
            await work
        finally:
            self.start()

    def start(self) -> None:
        """Starts those whose inputs exist."""
        for number in tuple(self._left):
            if self._run.has(self._plan.sources[number]):
                self._left.remove(number)
                self._detach(self._steps[number], partial(self._run.inputs, number), self._context)
