"""Steps that nobody waits for: jobs of a pipeline's own nursery, begun by requests that may be answered long before."""

from __future__ import annotations

import itertools
import logging
import math
import threading
from collections.abc import Callable, Collection, Mapping
from time import perf_counter

import msgspec
import trio

from pipeline.engine.failure import contained
from pipeline.engine.place import alone
from pipeline.engine.step import Context, OpenStep
from pipeline.engine.thread_pool import ThreadPool
from pipeline.errors import Code, InferError, ModelNotReady, Overloaded, told
from pipeline.observe import DetachedDone
from pipeline.tensors.forms import Bound
from pipeline.tensors.message import InferRequest

_LOG = logging.getLogger("pipeline_serve")
Told = Callable[[str, str, float, BaseException | None], None]
"""Hears of the end of each job: step, request id, seconds, and why it failed."""


class Detached:
    """The jobs of one pipeline, at most so many at once. ``opened`` gives them a nursery, ``closed`` begins no more.

    ``sees_all``: the steps that may look at the whole of their request, by name.
    """

    def __init__(self, model: str, most: int, told: Told, threads: ThreadPool, sees_all: Collection[str]) -> None:
        self._model = model
        self._most = most
        self._told = told
        self._threads = threads
        self._sees_all = sees_all
        self._nursery: trio.Nursery | None = None
        self._running = 0
        self.owns_interrupts = False
        """Whether Ctrl-C is heard elsewhere: then a KeyboardInterrupt of a job is its own, and ends nothing else."""
        self._none_left = trio.lowlevel.ParkingLot()

    def opened(self, nursery: trio.Nursery) -> None:
        """Jobs are tasks of this nursery from now on; who owns it waits for them, or cancels them."""
        self._nursery = nursery

    def closed(self, *, cancel: bool) -> None:
        """No job begins any more; those that run are cancelled, or are left to end."""
        nursery, self._nursery = self._nursery, None
        if cancel and nursery is not None:
            nursery.cancel_scope.cancel()

    def start(self, step: OpenStep, read: Callable[[], Mapping[str, Bound]], context: Context) -> None:
        """Begins the step; what it reads is read now. Never raises.

        Of its request it keeps that, the headers, the parameters and the id; all of it where it may look at all of it.
        Its time is its own.
        """
        try:
            if self._nursery is None:
                raise ModelNotReady(self._model, "It is being closed.")
            if self._running >= self._most:
                # Async code has no limit of its own, and whoever waits for one is a task here too.
                raise Overloaded(f"Model {self._model}, in detached steps,")
            inputs = read()
        except InferError as error:
            self._told(step.name, context.id, 0.0, error)
            return
        seconds = math.inf if step.timeout is None else step.timeout
        request = context.request if step.name in self._sees_all else _kept(context.request, inputs)
        own = Context(request, trio.current_time() + seconds, context.verb, trio.lowlevel.current_clock())
        self._running += 1
        self._nursery.start_soon(self._run, step, inputs, own, name=f"detached step {step.name}")

    async def idle(self) -> None:
        """Returns once no job runs. Cancelled, they run on."""
        await trio.lowlevel.checkpoint()
        while self._running:
            await self._none_left.park()

    async def _run(self, step: OpenStep, inputs: Mapping[str, Bound], context: Context) -> None:
        start = perf_counter()
        failed: BaseException | None = None
        try:
            await alone(step, inputs, context, self._threads)
        except trio.Cancelled:
            failed = InferError(Code.CANCELLED, "there was no more time to wait for it")
            raise
        except Exception as error:  # noqa: BLE001  # its request is answered: it has nobody to fail but the log
            failed = error
        except KeyboardInterrupt as error:
            # No signal reaches another thread than the main one.
            if not self.owns_interrupts and threading.current_thread() is threading.main_thread():
                raise
            failed = contained(error, step.name)
        finally:
            self._told(step.name, context.id, perf_counter() - start, failed)
            self._running -= 1
            if not self._running:
                self._none_left.unpark_all()


def _kept(request: InferRequest, inputs: Mapping[str, Bound]) -> InferRequest:
    """The request with those of its inputs that are read, for the names they were sent under."""
    if inputs is request.inputs:
        kept = request.inputs
    else:
        values = [own.values() if isinstance(own, Mapping) else (own,) for own in inputs.values()]
        read = set(map(id, itertools.chain.from_iterable(values)))
        kept = {name: own for name, own in request.inputs.items() if id(own) in read}
    return msgspec.structs.replace(request, inputs=kept, body=None)


def log(done: DetachedDone) -> None:
    """A line where it failed, with the traceback where its own code did."""
    what = (done.step, done.model)
    match done.error:
        case None:
            return
        case Overloaded() as error:
            _LOG.warning('detached step "%s" of model "%s" is dropped: %s', *what, told(error))
        case InferError(internals=str() as internals) as error:
            _LOG.warning('detached step "%s" of model "%s" failed: %s (%s)', *what, error.message, internals)
        case error:
            _LOG.error('detached step "%s" of model "%s" failed: %s', *what, told(error), exc_info=error)
