"""The trio driver of a run: chains in line, a nursery only where the plan forks.

The task that ends the last predecessor of a stage goes on with it, so a fork of n costs n - 1 tasks and a join costs
none.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
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
from pipeline.tensors.tensor import Value

Detach = Callable[[OpenStep, Callable[[], Mapping[str, Bound]], Context], None]
"""Starts a step that nobody waits for: the step, what it reads (to be asked at once), and the request's context."""


async def execute(  # a request is all of this
    plan: Plan,
    steps: Sequence[OpenStep],
    run: Run,
    context: Context,
    threads: ThreadPool,
    detach: Detach | None = None,
) -> Mapping[str, Value]:
    """The outputs of the plan; ``steps`` are its steps, opened, in its order.

    The first failure cancels the steps beside it and is raised, never in a group; of two at once, that of the stage
    earlier in the plan. Cancelled, every step below is cancelled; a thread that is computing ends by itself and starts
    nothing more. Whatever happens, the detached steps whose inputs exist by then have been started.
    """
    driver = _Driver(plan, steps, run, context, threads, detach)
    driver.detach()
    try:
        if plan.forks:
            await driver.fork()
        else:
            # One path, in the plan's order.
            for stage in range(len(plan.stages)):
                await driver.stage(stage)
    finally:
        driver.detach()
    return run.result()


class _Driver:
    """The tasks of one request over one run."""

    __slots__ = ("_context", "_detach", "_detached", "_plan", "_run", "_steps", "_threads")

    def __init__(  # as execute
        self,
        plan: Plan,
        steps: Sequence[OpenStep],
        run: Run,
        context: Context,
        threads: ThreadPool,
        detach: Detach | None,
    ) -> None:
        self._plan = plan
        self._steps = steps
        self._run = run
        self._context = context
        self._threads = threads
        self._detach = detach
        self._detached = list(plan.detached) if detach else []

    async def fork(self) -> None:
        siblings = Siblings()
        await siblings.run(partial(self._branches, siblings, self._run.start()))

    async def _branches(self, siblings: Siblings, stages: Sequence[int]) -> None:
        """The first of these stages and what follows it, in this task; the others in tasks of their own."""
        while stages:
            stage, *others = stages
            for other in others:
                siblings.nursery.start_soon(self._branches, siblings, (other,))
            try:
                await self.stage(stage, siblings)
            except trio.Cancelled:
                raise
            except BaseException as error:  # noqa: BLE001  # fork raises it, once the siblings have ended
                await siblings.fail(stage, error)
                return
            stages = self._run.done(stage)

    async def stage(self, stage: int, siblings: Siblings | None = None) -> None:
        """``siblings``: what runs beside it, where the plan forks."""
        for hop in self._plan.stages[stage].hops:
            # No step starts once the request is cancelled or a stage before this one has failed.
            if siblings is not None and siblings.bars(stage):
                await trio.sleep_forever()
            if siblings is None or not siblings.has_failed:
                await trio.lowlevel.checkpoint_if_cancelled()
            number = hop[0]
            step = self._steps[number]
            if type(step) is LoopStep and step.is_bare:
                # What on_loop does, in line: one more coroutine would be a fifth of what a step costs.
                start = perf_counter()
                try:
                    outputs = await step.call(self._run.inputs(number), self._context)
                    self._run.put(number, outputs, start, perf_counter())
                    # This frame lives on, and would keep them past their last use.
                    del outputs
                except BaseException as error:  # noqa: BLE001  # judged, and raised
                    self._run.ended(number, start, perf_counter())
                    raise stopped(error, step.name)  # noqa: B904
            else:
                steps = [self._steps[number] for number in hop]
                await in_place(self._run, hop, steps, self._context, self._threads)
            if self._detached:
                self.detach()

    def detach(self) -> None:
        """Starts the detached steps whose inputs exist, and which have not been started."""
        if self._detach is None or not self._detached:
            return
        for number in tuple(self._detached):
            if self._run.has(self._plan.sources[number]):
                self._detached.remove(number)
                self._detach(self._steps[number], partial(self._run.inputs, number), self._context)
