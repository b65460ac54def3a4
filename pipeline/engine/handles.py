"""Handles: steps that another step calls, as a function, while it runs itself.

A handle is lent to one call of its owner. It runs its target alone, in this process: on the loop where the owner is
async, in the owner's own thread where it blocks and the target does too, else by a trip to the loop, as where the owner
runs on asyncio. When the owner's call ends, or its request is cancelled, the handle is over and what it still runs is
cancelled.
"""

from __future__ import annotations

import contextvars
import threading
from collections.abc import Callable, Collection, Iterator, Mapping
from contextlib import contextmanager
from time import perf_counter
from typing import Any

import trio

from pipeline.engine.breath import Breath
from pipeline.engine.failure import contained
from pipeline.engine.place import alone, stopped
from pipeline.engine.step import Context, LoopStep, OpenStep, Place, ThreadStep
from pipeline.engine.target import Target
from pipeline.engine.thread_pool import ThreadPool
from pipeline.errors import Code, InferError
from pipeline.tensors.forms import Bound
from pipeline.tensors.tensor import Value


class Handles:
    """The handles of one step. ``opened``: the steps of the pipeline by name, by the time of the first call."""

    def __init__(
        self,
        owner: str,
        targets: Mapping[str, Target],
        opened: Mapping[str, OpenStep],
        threads: ThreadPool,
        place: Place,
    ) -> None:
        self._owner = owner
        self._targets = targets
        self._opened = opened
        self._threads = threads
        self._kind = _KINDS[place]
        self._counting = threading.Lock()

    @contextmanager
    def lent(self, context: Context) -> Iterator[Context]:
        """The context of one call of the owner, whose handles are good until its end.

        Raises InferError (UNAVAILABLE) where the pipeline has been closed meanwhile.
        """
        lease = _Lease(self._owner, context, self._threads, self._counting)
        try:
            handles: dict[str, Callable[..., Any]] = {
                name: self._kind(lease, target, self._step(target)) for name, target in self._targets.items()
            }
            yield context.having(handles)
        finally:
            lease.end()

    @property
    def asks(self) -> Collection[str]:
        """What its targets ask, each once."""
        targets = [self._opened.get(target.name) for target in self._targets.values()]
        return dict.fromkeys(step.where for step in targets if step and step.where)

    def _step(self, target: Target) -> OpenStep:
        step = self._opened.get(target.name)
        if step is None:
            message = f'step "{self._owner}" calls step "{target.name}", which was closed while the request ran'
            raise InferError(Code.UNAVAILABLE, message)
        return step


class _Term:
    """Whether a call of the owner lasts: for its handles, and for what is called with their context."""

    __slots__ = ("_owner", "over")

    def __init__(self, owner: str) -> None:
        self._owner = owner
        self.over = False

    def ended(self) -> InferError:
        message = f'step "{self._owner}" has ended, and what its handles call with it; none can be called any more'
        return InferError(Code.CANCELLED, message)

    def check(self) -> bool:
        """Raises where the owner's call is over; whether this thread is one that trio did not start.

        trio's own threads are told of a cancellation themselves, with what no ``except Exception`` holds up.
        """
        foreign = False
        try:
            trio.from_thread.check_cancelled()
        except RuntimeError:
            foreign = True
        if self.over:
            raise self.ended()
        return foreign


class _Lease:
    """What the handles of one call of their owner share. Made, and ended, in the owner's task."""

    __slots__ = (
        "_counting",
        "_deadline",
        "_scopes",
        "_token",
        "breath",
        "context",
        "owner",
        "task",
        "term",
        "threads",
        "variables"
    )  # fmt: skip

    def __init__(self, owner: str, context: Context, threads: ThreadPool, counting: threading.Lock) -> None:
        self.owner = owner
        self._counting = counting
        self.term = _Term(owner)
        self.context = context.called_by(owner, self.term)
        self.threads = threads
        self.task = trio.lowlevel.current_task()
        self.variables = contextvars.copy_context()
        self.breath = Breath()
        # The owner's own timeout is a scope around this task, and what it calls from threads is outside of that.
        self._deadline = min(context.deadline, trio.current_effective_deadline())
        self._token = trio.lowlevel.current_trio_token()
        self._scopes: set[trio.CancelScope] = set()

    def end(self) -> None:
        self.term.over = True
        for scope in tuple(self._scopes):
            scope.cancel()

    def called(self, step: OpenStep, seconds: float) -> None:
        """The step has been called, which took so long. In any thread."""
        with self._counting:
            self.context.tally.add(self.owner, step.name, seconds)

    async def awaited(self, step: OpenStep, inputs: Mapping[str, Bound]) -> Mapping[str, Value]:
        """The step's outputs, for a task of asyncio that waits for them. Cancelled, the step has been and has ended."""
        from pipeline.engine import from_asyncio  # noqa: PLC0415  # whoever calls this has imported asyncio

        try:
            return await from_asyncio.run(self._token, self.watched, step, inputs)
        except trio.RunFinishedError:
            raise self.term.ended() from None

    async def watched(self, step: OpenStep, inputs: Mapping[str, Bound]) -> Mapping[str, Value]:
        """The step's outputs, in a task that is not the owner's; cancelled once the owner's call is over."""
        if self.term.over:
            raise self.term.ended()
        with trio.CancelScope(deadline=self._deadline) as scope:
            self._scopes.add(scope)
            try:
                return await alone(step, inputs, self.context, self.threads)
            finally:
                self._scopes.discard(scope)
        raise self.term.ended()

    def wait_for(self, step: OpenStep, inputs: Mapping[str, Bound]) -> Mapping[str, Value]:
        """The step's outputs, from a thread that waits for the loop."""
        try:
            # With the token it is a system task: nobody's scope but its own cancels it.
            return trio.from_thread.run(self.watched, step, inputs, trio_token=self._token)
        except trio.RunFinishedError:
            raise self.term.ended() from None
        except InferError:
            self.term.check()
            raise


class _Handle:
    __slots__ = ("_lease", "_step", "_target")

    def __init__(self, lease: _Lease, target: Target, step: OpenStep) -> None:
        self._lease = lease
        self._target = target
        self._step = step

    def __repr__(self) -> str:
        return f'<handle of step "{self._lease.owner}" to step "{self._target.name}">'


class _Awaited(_Handle):
    """A handle of an async step."""

    __slots__ = ()

    async def __call__(self, *positional: Any, **named: Any) -> Any:
        """What the target gives. Raises what it raises, TypeError for arguments it has not.

        Cancelled, it is cancelled.
        """
        lease, step = self._lease, self._step
        if lease.term.over:
            raise lease.term.ended()
        inputs = self._target.inputs(positional, named, lease.context.request)
        await lease.breath.take()
        start = perf_counter()
        try:
            if trio.lowlevel.current_task() is not lease.task:
                outputs = await lease.watched(step, inputs)
            elif type(step) is LoopStep and step.is_bare:
                try:
                    outputs = await step.call(inputs, lease.context)
                except BaseException as error:  # noqa: BLE001  # judged, and raised
                    raise stopped(error, step.name)  # noqa: B904
            else:
                outputs = await alone(step, inputs, lease.context, lease.threads)
        finally:
            lease.called(step, perf_counter() - start)
        return self._target.answer(outputs)


class _FromAsyncio(_Handle):
    """A handle of a step on asyncio: for its task, and for others of its loop."""

    __slots__ = ()

    async def __call__(self, *positional: Any, **named: Any) -> Any:
        """What the target gives. Raises what it raises, TypeError for arguments it has not.

        Cancelled, it is cancelled, and has ended.
        """
        lease, step = self._lease, self._step
        if lease.term.over:
            raise lease.term.ended()
        inputs = self._target.inputs(positional, named, lease.context.request)
        start = perf_counter()
        try:
            outputs = await lease.awaited(step, inputs)
        finally:
            lease.called(step, perf_counter() - start)
        return self._target.answer(outputs)


class _Blocking(_Handle):
    """A handle of a synchronous step: for its thread, and for threads of the user's own."""

    __slots__ = ()

    def __call__(self, *positional: Any, **named: Any) -> Any:
        """What the target gives. Raises what it raises, TypeError for arguments it has not.

        Once the request is cancelled: trio.Cancelled in the step's own thread, InferError (CANCELLED) in any other.
        """
        if self._lease.term.check():
            # Log lines and traces of what it calls belong to the request, in whatever thread.
            return self._lease.variables.copy().run(self._call, positional, named)
        return self._call(positional, named)

    def _call(self, positional: tuple[Any, ...], named: Mapping[str, Any]) -> Any:
        lease, step = self._lease, self._step
        inputs = self._target.inputs(positional, named, lease.context.request)
        start = perf_counter()
        try:
            if type(step) is ThreadStep and _is_free(step):
                outputs = _here(step, inputs, lease.context)
            else:
                outputs = lease.wait_for(step, inputs)
        finally:
            lease.called(step, perf_counter() - start)
        return self._target.answer(outputs)


_KINDS: Mapping[Place, type[_Awaited | _Blocking | _FromAsyncio]] = {
    "loop": _Awaited, "thread": _Blocking, "asyncio": _FromAsyncio
}  # fmt: skip


def _is_free(step: ThreadStep) -> bool:
    """Whether it can run in this thread now; then its token is taken. Timeouts and handles are the loop's business."""
    return step.timeout is None and step.handles is None and (step.limit is None or step.limit.try_acquire())


def _here(step: ThreadStep, inputs: Mapping[str, Bound], context: Context) -> Mapping[str, Value]:
    try:
        return step.call(inputs, context)
    except trio.Cancelled:
        raise
    except BaseException as error:  # noqa: BLE001  # judged, and raised
        raise contained(error, step.name)  # noqa: B904
    finally:
        if step.limit is not None:
            step.limit.release()
