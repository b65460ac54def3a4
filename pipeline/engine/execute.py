"""The trio driver of a run: chains in line, a nursery only where the plan forks.

The task that ends the last predecessor of a stage goes on with it, so a fork of n costs n - 1 tasks and a join costs
none.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import trio

from pipeline.engine.place import in_thread, name_step, on_loop
from pipeline.engine.run import Run
from pipeline.engine.step import Context, LoopStep, OpenStep, ThreadStep
from pipeline.graph.plan import Plan
from pipeline.tensors.tensor import Value


async def execute(
    plan: Plan, steps: Sequence[OpenStep], run: Run, context: Context, threads: trio.CapacityLimiter
) -> Mapping[str, Value]:
    """The outputs of the plan; ``steps`` are its steps, opened, in its order.

    The first failure cancels the steps beside it and is raised; of two at once, that of the stage earlier in the plan.
    Cancelled, every step below is cancelled; a thread that is computing ends by itself and starts nothing more.
    """
    driver = _Driver(plan, steps, run, context, threads)
    if not plan.forks:
        await driver.follow(run.start()[0])
        return run.result()
    async with trio.open_nursery() as nursery:
        driver.nursery = nursery
        driver.spread(run.start())
    if driver.failures:
        raise min(driver.failures, key=_order)[1]
    return run.result()


class _Driver:
    """The tasks of one request over one run."""

    __slots__ = ("_context", "_plan", "_run", "_steps", "_threads", "failures", "nursery")

    def __init__(
        self, plan: Plan, steps: Sequence[OpenStep], run: Run, context: Context, threads: trio.CapacityLimiter
    ) -> None:
        self._plan = plan
        self._steps = steps
        self._run = run
        self._context = context
        self._threads = threads
        self.nursery: trio.Nursery | None = None
        self.failures: list[tuple[int, Exception]] = []

    def spread(self, stages: Sequence[int]) -> None:
        if self.nursery is None:
            raise AssertionError("a plan without forks started two stages")
        for stage in stages:
            self.nursery.start_soon(self._branch, stage)

    async def follow(self, stage: int) -> None:
        """This stage and what follows it, in this task; what can run beside it, in others."""
        while True:
            try:
                await self._stage(stage)
            except Exception as error:
                self.failures.append((stage, error))
                raise
            ready = self._run.done(stage)
            if not ready:
                return
            stage = ready[0]
            if len(ready) > 1:
                self.spread(ready[1:])

    async def _branch(self, stage: int) -> None:
        try:
            await self.follow(stage)
        except Exception:  # noqa: BLE001  # execute raises it, once the siblings have ended
            if self.nursery is not None:
                self.nursery.cancel_scope.cancel()

    async def _stage(self, stage: int) -> None:
        for hop in self._plan.stages[stage].hops:
            match self._steps[hop[0]]:
                case LoopStep() as step:
                    try:
                        await on_loop(self._run, hop[0], step, self._context)
                    except Exception as error:
                        name_step(error, step.name)
                        raise
                case ThreadStep():
                    threaded = [step for step in map(self._steps.__getitem__, hop) if isinstance(step, ThreadStep)]
                    await in_thread(self._run, hop, threaded, self._context, self._threads)


def _order(failure: tuple[int, Exception]) -> tuple[bool, int]:
    stage, error = failure
    return _after_cancellation(error), stage


def _after_cancellation(error: Exception) -> bool:
    """Whether the error was raised while a step cleaned up after being cancelled: an aftermath, not a cause."""
    cause: BaseException | None = error
    while cause is not None:
        if isinstance(cause, trio.Cancelled):
            return True
        cause = cause.__cause__ or cause.__context__
    return False
