"""Where a step runs: on the loop, or in a worker thread that several steps in a row may share; and one by itself, or a
part of one.

A thread that computes cannot be stopped. When its request is cancelled it is left to end by itself, keeps its limit's
token until then, and starts no further step.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from time import perf_counter
from typing import Protocol, TypeVar

import trio

from pipeline.engine.failure import contained, failure
from pipeline.engine.limit import Limit
from pipeline.engine.step import Context, LoopStep, OpenStep, ThreadStep, asks
from pipeline.engine.thread_pool import ThreadPool
from pipeline.errors import DeadlineExceeded
from pipeline.graph.units import format_duration
from pipeline.tensors.forms import Bound
from pipeline.tensors.tensor import Value

T = TypeVar("T")


class Ledger(Protocol):
    """Where the steps of a hop find what they read and leave what they give: a run, but for a step by itself."""

    def inputs(self, step: int, /) -> Mapping[str, Bound]: ...
    def put(self, step: int, outputs: Mapping[str, Value], start: float, end: float, /) -> None: ...
    def ended(self, step: int, start: float, end: float, /) -> None: ...


async def in_place(
    run: Ledger, hop: Sequence[int], steps: Sequence[OpenStep], context: Context, threads: ThreadPool
) -> None:
    """Runs the steps of a hop where they belong, under the timeout and with the handles of the first.

    Steps that have either are alone in their hop. Raises Overloaded, DeadlineExceeded, or what a step raises.
    Cancelled, as ``on_loop`` and ``in_thread``; what its handles still run is cancelled too.
    """
    timeout = steps[0].timeout
    if timeout is None:
        await _lent(run, hop, steps, context, threads)
        return
    with trio.move_on_after(timeout) as scope:
        await _lent(run, hop, steps, context, threads)
    if scope.cancelled_caught:
        raise too_slow(steps[0], timeout)


async def alone(
    step: OpenStep, inputs: Mapping[str, Bound], context: Context, threads: ThreadPool
) -> Mapping[str, Value]:
    """What one step gives to these inputs, outside of any plan; raises and is cancelled as ``in_place``."""
    own = _Alone(inputs)
    await in_place(own, (0,), (step,), context, threads)
    return own.outputs


class _Alone:
    """The ledger of one step by itself."""

    __slots__ = ("_inputs", "outputs")

    outputs: Mapping[str, Value]

    def __init__(self, inputs: Mapping[str, Bound]) -> None:
        self._inputs = inputs

    def inputs(self, step: int, /) -> Mapping[str, Bound]:
        return self._inputs

    def put(self, step: int, outputs: Mapping[str, Value], start: float, end: float, /) -> None:
        self.outputs = outputs

    def ended(self, step: int, start: float, end: float, /) -> None:
        """Who runs it takes the time."""


async def _lent(
    run: Ledger, hop: Sequence[int], steps: Sequence[OpenStep], context: Context, threads: ThreadPool
) -> None:
    handles = steps[0].handles
    if handles is None:
        await _placed(run, hop, steps, context, threads)
    else:
        with handles.lent(context) as own:
            await _placed(run, hop, steps, own, threads)


async def _placed(
    run: Ledger, hop: Sequence[int], steps: Sequence[OpenStep], context: Context, threads: ThreadPool
) -> None:
    match steps[0]:
        case LoopStep() as step:
            await on_loop(run, hop[0], step, context)
        case ThreadStep():
            await in_thread(run, hop, [step for step in steps if isinstance(step, ThreadStep)], context, threads)


async def on_loop(run: Ledger, number: int, step: LoopStep, context: Context) -> None:
    """Runs one step here and puts its outputs into ``run``.

    Raises Overloaded, or what the step raises. Cancelled, the step is cancelled and its limit's token is back.
    """
    if step.limit is not None:
        await step.limit.acquire()
    start = perf_counter()
    try:
        outputs = await step.call(run.inputs(number), context)
        run.put(number, outputs, start, perf_counter())
    except BaseException as error:  # noqa: BLE001  # judged, and raised
        run.ended(number, start, perf_counter())
        raise stopped(error, step.name)  # noqa: B904
    finally:
        if step.limit is not None:
            step.limit.release()


async def in_thread(
    run: Ledger, hop: Sequence[int], steps: Sequence[ThreadStep], context: Context, threads: ThreadPool
) -> None:
    """Runs the steps of a hop one after the other in one thread (more, where a limit makes one of them wait).

    Raises Overloaded, or what a step raises. Cancelled, it returns at once; the thread ends with the step it is in, and
    gives that step's token back then.
    """
    own = _Hop(run, hop, steps, context)
    while own.done < len(hop):
        await threads.run(own, steps[own.done].limit)


async def part_in_thread(step: str, work: Callable[[], T], limit: Limit, threads: ThreadPool) -> T:
    """What a part of the step of that name gives, in a thread, once the limit has a place for it.

    Raises Overloaded, or what the work raises, as a step's. Cancelled, as ``in_thread``.
    """

    def part(last: Callable[[Limit], None]) -> T:
        try:
            return work()
        except BaseException as error:  # noqa: BLE001  # judged, and raised
            raise contained(error, step)  # noqa: B904
        finally:
            last(limit)

    return await threads.run(part, limit)


def stopped(error: BaseException, step: str) -> BaseException:
    """What to raise for an ``error`` that has just left the step of that name, here on the loop."""
    return failure(error, step, cancelled=trio.current_effective_deadline() == -math.inf)


def too_slow(step: OpenStep, timeout: float) -> DeadlineExceeded:
    """The error of a step that took longer than its ``timeout`` (seconds), waiting for its limit included."""
    told = f'step "{step.name}" took longer than its timeout of {format_duration(timeout)}'
    return DeadlineExceeded(told, internals=asks(step))


class _Hop:
    """What one thread does: the first step, whose token is held already, and those after it that need not wait."""

    __slots__ = ("_context", "_hop", "_run", "_steps", "done")

    def __init__(self, run: Ledger, hop: Sequence[int], steps: Sequence[ThreadStep], context: Context) -> None:
        self.done = 0
        """How many steps were run."""
        self._run = run
        self._hop = hop
        self._steps = steps
        self._context = context

    def __call__(self, last: Callable[[Limit], None]) -> None:
        """Raises what the last of them raises."""
        end = len(self._hop) - 1
        while self.done < end:
            self._one(Limit.release)
            limit = self._steps[self.done].limit
            trio.from_thread.check_cancelled()
            if limit is not None and not limit.try_acquire():
                return
        self._one(last)

    def _one(self, release: Callable[[Limit], None]) -> None:
        step, number = self._steps[self.done], self._hop[self.done]
        start = perf_counter()
        try:
            outputs = step.call(self._run.inputs(number), self._context)
            self._run.put(number, outputs, start, perf_counter())
            self.done += 1
        except BaseException as error:  # noqa: BLE001  # judged, and raised
            self._run.ended(number, start, perf_counter())
            # No signal reaches a thread: even a KeyboardInterrupt is the step's own here.
            raise contained(error, step.name)  # noqa: B904
        finally:
            if step.limit is not None:
                release(step.limit)
