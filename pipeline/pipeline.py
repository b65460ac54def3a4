"""A pipeline: a checked graph, its steps opened, its plans compiled; ask it with ``infer``.

async with Pipeline.from_file("graph.yaml") as iris:
    response = await iris.infer({"rows": rows})
"""

from __future__ import annotations

import enum
import functools
import math
import time
from collections.abc import Mapping, Sequence
from contextlib import AsyncExitStack
from pathlib import Path
from typing import TYPE_CHECKING, Any, Self

import trio

from pipeline import blueprint
from pipeline.asking import asked_in_process, budget_of
from pipeline.contract import Contract
from pipeline.engine.admission import Allowance, whereabouts
from pipeline.engine.deadlines import Timer
from pipeline.engine.detached import Detached
from pipeline.engine.detached import log as log_detached
from pipeline.engine.execute import execute
from pipeline.engine.failure import code_of
from pipeline.engine.limit import Limit
from pipeline.engine.opening import Opening
from pipeline.engine.run import Run
from pipeline.engine.step import Context, OpenStep
from pipeline.engine.stream import parts_of, watched, whole
from pipeline.engine.thread_pool import ThreadPool
from pipeline.engine.visits import Visits
from pipeline.errors import Code, ModelNotReady
from pipeline.graph.edges import sees_all
from pipeline.loading import Loading
from pipeline.observe import DetachedDone, Event, LimitReached, ModelFailed, ModelLoaded, Observer, RequestDone
from pipeline.reason import reason_of
from pipeline.steps.catalog import Storage, harmless
from pipeline.steps.readiness import Readiness, Standing
from pipeline.tensors.message import InferRequest, InferResponse, Verb
from pipeline.tensors.signature import Signature
from pipeline.ways import Ways

if TYPE_CHECKING:
    import networkx as nx


class State(enum.Enum):
    NEW = "new"
    LOADING = "loading"
    READY = "ready"
    CLOSED = "closed"
    FAILED = "failed"


class Pipeline:
    """One graph under one name and version. ``async with`` opens its steps and closes them."""

    def __init__(
        self,
        name: str,
        dag: nx.DiGraph[str],
        *,
        storage: Storage,
        folder: str | Path = ".",
        **top: Any,
    ) -> None:
        """A graph written in Python; ``top`` takes the graph file's other top-level keys.

        Raises GraphFaults, which names nodes where a file's would name lines.
        """
        self._set_up(blueprint.from_dag(name, dag, top, Path(folder), storage))

    @classmethod
    def from_file(cls, path: str | Path, *, environment: Mapping[str, str], storage: Storage) -> Self:
        """The pipeline of a graph file. Raises GraphFaults with every fault of the file."""
        return cls.from_blueprint(blueprint.from_file(Path(path), environment, storage))

    @classmethod
    def from_blueprint(cls, drawn: blueprint.Blueprint) -> Self:
        self = cls.__new__(cls)
        self._set_up(drawn)
        return self

    def _set_up(self, drawn: blueprint.Blueprint) -> None:
        spec = drawn.spec
        self.blueprint = drawn
        self._graph = drawn.graph
        self.name = spec.name
        self.version = spec.version
        self.deadlines = {verb: math.inf if own is None else own for verb, own in spec.deadline.items()}
        self.visits = Visits()
        self.admission = Limit(f"Model {spec.name}", spec.limit, spec.queue)
        self.state = State.NEW
        self.failure: str | None = None
        self.loaded_once = False
        self._closing = False
        self.observers: list[Observer] = []
        self._contract = Contract(spec.name, drawn.graph, drawn.interfaces)
        self.expectation = self._contract.expectation({})
        """What a codec may know before it reads a request; opening the models adds what they tell of themselves."""
        self._opened: dict[str, OpenStep] = {}
        self._standing = Standing()
        self._threads = ThreadPool()
        self._ways = Ways(drawn, self._opened)
        self._told_waiting: set[str] = set()
        self._opening = Opening(drawn.graph, drawn.interfaces, self._opened, self._threads, self._waits)
        see_all = {step.name for step in drawn.graph.steps if sees_all(step, drawn.interfaces[step.name])}
        self._detached = Detached(spec.name, spec.limit, self._detached_done, self._threads, see_all)

    def __repr__(self) -> str:
        return f"<Pipeline {self.name} version {self.version}, {self.state.value}>"

    @property
    def dag(self) -> nx.DiGraph[str]:
        """The graph: a node per step with its ``step`` attribute, an edge per reading."""
        return self._graph.dag

    @property
    def signature(self) -> Signature:
        """Inputs and outputs as far as they are known: declared in the schema, annotated, or told by a loaded model."""
        return self.expectation.signature

    # ---- opening and closing

    async def __aenter__(self) -> Self:
        """Opens every step. Raises what the first step that cannot be opened raises, with those before it closed.

        RuntimeError where it is open already. Cancelled, the steps opened so far are closed.
        """
        if self.state in (State.LOADING, State.READY):
            raise RuntimeError(
                f'model "{self.name}" is {self.state.value} already: open it once, close it, open it again'
            )
        self.state, self.failure, self._standing = State.LOADING, None, Standing()
        start = time.perf_counter()
        loading = Loading(self.blueprint, self._opening, self._opened, self._standing)
        async with AsyncExitStack() as stack:
            try:
                await loading.load(stack, self._threads, self.tell)
            except Exception as error:
                self._opened.clear()
                self._fail(error)
                raise
            except BaseException:
                self._opened.clear()
                self.state = State.CLOSED
                raise
            if any(step.detached for step in self._graph.steps):
                # Entered last, it ends first: what runs in it needs the steps.
                self._detached.opened(await stack.enter_async_context(trio.open_nursery()))
            self._stack = stack.pop_all()
        self.expectation = self._contract.expectation(loading.learned)
        self._ways.forget()
        self.state = State.READY
        self.loaded_once = self.loaded_once or self._standing.is_there
        self.tell(ModelLoaded(self.name, self.version, time.perf_counter() - start))
        self._standing.heard(self._turned)
        return self

    async def __aexit__(self, kind: type[BaseException] | None, *exc_info: object) -> None:
        """Waits for the detached steps that run, and closes every step, the last one opened first.

        A step gets a few seconds to close, cancelled or not. Detached steps are cancelled with it, and by Ctrl-C.
        """
        self.state = State.CLOSED
        self._detached.closed(cancel=kind is not None and not issubclass(kind, Exception))
        self._closing = True
        try:
            with harmless(f'closing model "{self.name}"'):
                await self._stack.aclose()
        finally:
            self._closing = False
        self._opened.clear()
        self._ways.forget()

    def _fail(self, error: Exception) -> None:
        self.state = State.FAILED
        # Of a model that says no by itself there is no more to tell.
        self.failure = "" if isinstance(error, ModelNotReady) else reason_of(error)
        self.tell(ModelFailed(self.name, self.version, error))

    def own_interrupts(self) -> None:
        """From now on Ctrl-C is heard elsewhere: a KeyboardInterrupt of a detached step is its own failure."""
        self._detached.owns_interrupts = True

    @property
    def is_busy(self) -> bool:
        """Whether a stop waits for it: it is being opened or closed, or requests are inside."""
        return self.state is State.LOADING or self._closing or len(self.visits) > 0

    async def drained(self) -> None:
        """Returns once it has no visits, and no detached step runs. Cancelled, they go on."""
        await self.visits.idle()
        await self._detached.idle()

    def _detached_done(self, step: str, request: str, seconds: float, error: BaseException | None) -> None:
        done = DetachedDone(self.name, self.version, step, request, seconds, error)
        if self.observers:
            self.tell(done)
        else:
            # In a script nobody else would say so: Python writes warnings and errors to stderr where nothing is set up.
            log_detached(done)

    def _waits(self, step: str) -> None:
        if step not in self._told_waiting:
            self._told_waiting.add(step)
            self.tell(LimitReached(self.name, step, 1))

    def _turned(self, step: str, readiness: Readiness) -> None:
        self.loaded_once = self.loaded_once or self._standing.is_there
        self.tell(readiness.turned(self.name, self.version, step, readiness.reason))

    def tell(self, event: Event) -> None:
        """Hands an event to every observer."""
        for observer in self.observers:
            observer(event)

    # ---- asking

    async def infer(  # noqa: PLR0913  # graph.md: the contract of the Python API
        self,
        inputs: Mapping[str, Any],
        *,
        outputs: Sequence[str] | None = None,
        parameters: Mapping[str, Any] | None = None,
        headers: Mapping[str, str] | None = None,
        timeout: float | str | None = None,
        verb: Verb = "predict",
        id: str | int | None = None,
    ) -> InferResponse:
        """One request, in process: arrays (or lists, numbers, text, JSON) by input name. ``timeout`` in seconds,
        or with a unit (``"300ms"``). An array has its own datatype; a list or a number has the one that is expected, as
        far as its values fit that without loss.

        Raises InvalidInput and its siblings as a caller on the wire would see them, InferError (UNIMPLEMENTED) where no
        step answers the ``verb``, DeadlineExceeded when time is up, and what a step raised, as it was raised.
        Cancelled, every step below is cancelled.
        """
        self._contract.require_in_process(verb)
        budget = math.inf if timeout is None else budget_of(timeout)
        seconds, specs = (None if timeout is None else budget), self.signature.inputs
        request = asked_in_process(self.name, self.version, specs, inputs, outputs, parameters, headers, seconds, id)
        async with self.admitted(verb, budget) as allowance:
            return await whole(await self.answer(request, verb, allowance))

    def admitted(self, verb: Verb, budget: float, timer: Timer | None = None) -> Allowance:
        """A visit, and a place inside the graph within ``limit`` and ``queue``, once models that answer for themselves
        say that they are ready; all of it for the verb's deadline or ``budget`` (seconds), by the ``timer`` where the
        caller has one.

        Raises ModelNotReady, then InferError (UNIMPLEMENTED) as ``require``, Overloaded, and DeadlineExceeded when time
        is up, before the queue, in it or inside. Cancelled, the place is given up.
        """
        look, standing = None, self._standing
        if standing.asks:
            look = functools.partial(self._look_able, verb)
        elif self.state is not State.READY or standing.depends or verb not in self._contract.verbs:
            self.require_ready()
            self.require(verb)
        return Allowance(self.visits, self.admission, min(self.deadlines[verb], budget), look, timer)

    async def _look_able(self, verb: Verb) -> None:
        await self.look_ready()
        self.require(verb)

    @property
    def is_ready(self) -> bool:
        """Whether it takes requests: its steps are open, and the servers are ready that it counts on."""
        return self.state is State.READY and self._standing.ready

    def require_ready(self) -> None:
        if self.state is not State.READY:
            raise ModelNotReady(self.name, self.failure or None)
        if not self._standing.ready:
            raise ModelNotReady(self.name, self._standing.told)

    async def look_ready(self) -> None:
        """As ``require_ready``, once models that answer for themselves are asked, beside each other, for two seconds.

        Raises ModelNotReady. Cancelled, an async ``healthy`` is cancelled, one in a thread ends by itself, and what was
        known of the model is known on.
        """
        if self.state is State.READY:
            await self._standing.look()
        self.require_ready()

    def require(self, verb: Verb) -> None:
        """Raises InferError (UNIMPLEMENTED, in KServe's words) where the graph has no output for that verb."""
        self._contract.require(verb)

    async def answer(self, request: InferRequest, verb: Verb, allowance: Allowance) -> InferResponse:
        """The answer to a request that is admitted. Steps are told the deadline of its ``allowance``.

        A stream is the caller's to iterate and close, while the request is still admitted. Raises InferError or what a
        step raised. Cancelled, every step below is cancelled, and the allowance says which they were.
        """
        if self.state is not State.READY:
            raise ModelNotReady(self.name, "It was closed while the request waited.")
        self._contract.check(request)
        way = self._ways.to(verb, self._contract.steps_for(verb, request.outputs))
        run, context = Run(way.plan, request), Context(request, allowance.deadline, verb, allowance.clock)
        start = time.perf_counter()
        try:
            await execute(way.plan, way.steps, run, context, self._threads, self._detached.start)
            outputs = self._contract.answer(verb, run.result(), request.outputs)
            stream = parts_of(outputs)
            if stream is not None:
                outputs = watched(*stream, functools.partial(self._ended, context, allowance, run, start))
        except BaseException as error:
            if isinstance(error, trio.Cancelled):
                allowance.where = whereabouts(run, way.steps)
            self._ended(context, allowance, run, start, code_of(error))
            raise
        if stream is not None:
            allowance.where = "while its answer was sent"
        else:
            allowance.where = "after its last step"
            self._ended(context, allowance, run, start, None)
        return context.answer.response(self.name, self.version, request, outputs)

    def _ended(  # what a summary is made of
        self, context: Context, allowance: Allowance, run: Run, start: float, code: Code | None
    ) -> None:
        """Tells the observers of a request that has left the graph, its last part sent where its answer is a stream."""
        if not self.observers:
            return
        if code is Code.CANCELLED and trio.current_time() >= allowance.deadline:
            code = Code.DEADLINE_EXCEEDED
        seconds, tally = time.perf_counter() - start, context.tally
        took = tally.told(run.spans) if tally.hooks else run.spans
        calls = tally.told_calls() if tally.calls else ()
        self.tell(RequestDone(self.name, self.version, context.verb, context.request.id, seconds, code, took, calls))
