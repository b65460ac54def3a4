"""Where a step runs: on the loop, or in a worker thread that several steps in a row may share.

A thread that computes cannot be stopped. When its request is cancelled it is left to end by itself, keeps its limit's
token until then, and starts no further step.
"""

from __future__ import annotations

import math
import threading
import time
from collections.abc import Sequence

import trio

from pipeline.engine.run import Run
from pipeline.engine.step import Context, LoopStep, ThreadStep
from pipeline.errors import DeadlineExceeded
from pipeline.graph.units import format_duration


async def on_loop(run: Run, number: int, step: LoopStep, context: Context) -> None:
    """Runs one step here and puts its outputs into ``run``.

    Raises Overloaded, DeadlineExceeded, or what the step raises. Cancelled, the step is cancelled and its limit's token
    is back.
    """
    inputs = run.inputs(number)
    run.release(number)
    start = time.perf_counter()
    if step.timeout is None and step.limit is None:
        outputs = await step.call(inputs, context)
    else:
        with trio.move_on_after(math.inf if step.timeout is None else step.timeout) as scope:
            if step.limit is not None:
                await step.limit.acquire()
            try:
                outputs = await step.call(inputs, context)
            finally:
                if step.limit is not None:
                    step.limit.release()
        if scope.cancelled_caught:
            raise _too_slow(step)
    run.put(number, outputs)
    run.spans.append((number, start, time.perf_counter()))


async def in_thread(
    run: Run, hop: Sequence[int], steps: Sequence[ThreadStep], context: Context, threads: trio.CapacityLimiter
) -> None:
    """Runs the steps of a hop one after the other in one thread (more, where a limit makes one of them wait).

    Raises Overloaded, DeadlineExceeded, or what a step raises. Cancelled, it returns at once; the thread ends with the
    step it is in, and gives that step's token back then.
    """
    timeout = steps[0].timeout
    with trio.move_on_after(math.inf if timeout is None else timeout) as scope:
        done = 0
        while done < len(hop):
            first = steps[done]
            if first.limit is not None:
                await first.limit.acquire()
            work = _Work(run, hop[done:], steps[done:], context)
            try:
                ended = await trio.to_thread.run_sync(work, abandon_on_cancel=True, limiter=threads)
            except BaseException:
                if work.withdraw() and first.limit is not None:
                    first.limit.release()
                raise
            for number in hop[done : done + ended]:
                run.release(number)
            done += ended
    if scope.cancelled_caught:
        raise _too_slow(steps[0])


class _Work:
    """What one thread does: the first step, whose token is held already, and those after it that need not wait.

    Thread and loop may both want it at the moment of a cancellation; whoever takes ``_claim`` first has it, so that the
    token is given back exactly once.
    """

    __slots__ = ("_claim", "_context", "_hop", "_run", "_steps")

    def __init__(self, run: Run, hop: Sequence[int], steps: Sequence[ThreadStep], context: Context) -> None:
        self._run = run
        self._hop = hop
        self._steps = steps
        self._context = context
        self._claim = threading.Lock()

    def withdraw(self) -> bool:
        """True where no thread has begun, and then none will."""
        return self._claim.acquire(blocking=False)

    def __call__(self) -> int:
        """How many steps were run."""
        if not self._claim.acquire(blocking=False):
            return 0
        self._one(0)
        for position in range(1, len(self._hop)):
            limit = self._steps[position].limit
            trio.from_thread.check_cancelled()
            if limit is not None and not limit.try_acquire():
                return position
            self._one(position)
        return len(self._hop)

    def _one(self, position: int) -> None:
        step, number = self._steps[position], self._hop[position]
        try:
            start = time.perf_counter()
            outputs = step.call(self._run.inputs(number), self._context)
            self._run.put(number, outputs)
            self._run.spans.append((number, start, time.perf_counter()))
        except Exception as error:
            name_step(error, step.name)
            raise
        finally:
            if step.limit is not None:
                step.limit.release()


def name_step(error: Exception, step: str) -> None:
    """Notes on the error which step it came from; an error object that is raised again is noted once."""
    note = f'in step "{step}"'
    if note not in getattr(error, "__notes__", ()):
        error.add_note(note)


def _too_slow(step: LoopStep | ThreadStep) -> DeadlineExceeded:
    return DeadlineExceeded(f'step "{step.name}" took longer than its timeout of {format_duration(step.timeout or 0)}')
