"""A pipeline: a checked graph, its steps opened, its plans compiled; ask it with ``infer``.

async with Pipeline.from_file("graph.yaml") as iris:
    response = await iris.infer({"rows": rows})
"""

from __future__ import annotations

import enum
import functools
import math
import time
import uuid
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping, Sequence
from contextlib import AsyncExitStack, asynccontextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any, Self

import trio

from pipeline import blueprint
from pipeline.engine.execute import execute
from pipeline.engine.kinds import Call, Storage
from pipeline.engine.limit import Limit
from pipeline.engine.run import Run
from pipeline.engine.step import Context, LoopStep, OpenStep, ThreadStep
from pipeline.errors import Code, DeadlineExceeded, InferError, InvalidInput, ModelNotReady, WrongAnswer
from pipeline.graph.edges import request_reads
from pipeline.graph.phases import phases
from pipeline.graph.plan import Manner, Plan, compile_plan
from pipeline.graph.spec import REQUEST, StepSpec
from pipeline.graph.units import format_duration
from pipeline.graph.words import listed, meant
from pipeline.observe import LimitReached, ModelFailed, ModelLoaded, Observer, RequestDone, Span
from pipeline.tensors.message import InferRequest, InferResponse, Verb
from pipeline.tensors.nested import tensor_of
from pipeline.tensors.signature import Expectation, Signature, TensorSpec, check
from pipeline.tensors.tensor import Json, Tensor, Value, tensor

if TYPE_CHECKING:
    import networkx as nx

# A step's waiting room where the file does not say (graph.md, "Policy").
_STEP_QUEUE = 100
# Plans are compiled per set of outputs asked for; callers choose the sets, so the store of them is bounded.
_PLANS = 64


class State(enum.Enum):
    NEW = "new"
    LOADING = "loading"
    READY = "ready"
    DRAINING = "draining"
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
        self._blueprint = drawn
        self._graph = drawn.graph
        self.name = spec.name
        self.version = spec.version
        self.deadline = math.inf if spec.deadline is None else spec.deadline
        self.admission = Limit(f"Model {spec.name}", spec.limit, spec.queue)
        self.state = State.NEW
        self.failure: str | None = None
        self.observers: list[Observer] = []
        self._reads = request_reads(drawn.graph, drawn.interfaces)
        self._phases = phases(drawn.graph)
        self._opened: dict[str, OpenStep] = {}
        self._learned: dict[str, Signature] = {}
        self._threads = trio.CapacityLimiter(math.inf)
        self._plan = functools.lru_cache(maxsize=_PLANS)(self._compiled)
        self._told_waiting: set[str] = set()

    def __repr__(self) -> str:
        return f"<Pipeline {self.name} version {self.version}, {self.state.value}>"

    @property
    def dag(self) -> nx.DiGraph[str]:
        """The graph: a node per step with its ``step`` attribute, an edge per reading."""
        return self._graph.dag

    @property
    def blueprint(self) -> blueprint.Blueprint:
        return self._blueprint

    @property
    def signature(self) -> Signature:
        """Inputs and outputs as far as they are known: declared in the schema, annotated, or told by a loaded model."""
        return Signature(self._inputs(), self._outputs())

    @property
    def expectation(self) -> Expectation:
        """What a codec may know before it reads a request."""
        names = list(self._graph.spec.inputs)
        interfaces = [self._blueprint.interfaces[step.name] for step in self._readers()]
        return Expectation(
            signature=self.signature,
            only_input=names[0] if len(names) == 1 else None,
            takes_json=any(interface.takes_json for interface in interfaces),
            takes_tensors=any(interface.takes_tensors for interface in interfaces),
        )

    # ---- opening and closing

    async def __aenter__(self) -> Self:
        """Opens every step. Raises what the first step that cannot be opened raises, with those before it closed.

        Cancelled, the steps opened so far are closed.
        """
        self.state = State.LOADING
        start = time.perf_counter()
        async with AsyncExitStack() as stack:
            try:
                for step in self._graph.steps:
                    call = await stack.enter_async_context(
                        self._blueprint.kinds[step.action].open_step(step, self._blueprint.home)
                    )
                    self._opened[step.name] = self._open(step, call)
                    self._learned[step.name] = call.signature
            except Exception as error:
                error.add_note(f'while opening step "{step.name}" of model "{self.name}"')
                self._fail(error)
                raise
            self._stack = stack.pop_all()
        self.state = State.READY
        self._tell(ModelLoaded(self.name, self.version, time.perf_counter() - start))
        return self

    async def __aexit__(self, *exc_info: object) -> None:
        """Closes every step, the last one opened first. Each gets a few seconds, cancelled or not."""
        self.state = State.CLOSED
        await self._stack.aclose()
        self._opened.clear()

    def _fail(self, error: Exception) -> None:
        self.state = State.FAILED
        self.failure = f"{type(error).__name__}: {error}"
        self._tell(ModelFailed(self.name, self.version, error))

    def _open(self, step: StepSpec, call: Call) -> OpenStep:
        interface = self._blueprint.interfaces[step.name]
        total = step.limit or interface.limit
        queue = _STEP_QUEUE if step.queue is None else step.queue
        on_wait = functools.partial(self._waits, step.name) if total == 1 and step.limit is None else None
        limit = Limit(f"Step {step.name} of model {self.name}", total, queue, on_wait=on_wait) if total else None
        if call.blocking and step.where != "loop":
            return ThreadStep(step.name, call.function, step.timeout, limit)
        function = _on_loop(call.function) if call.blocking else call.function
        return LoopStep(step.name, function, step.timeout, limit)

    def _waits(self, step: str) -> None:
        if step not in self._told_waiting:
            self._told_waiting.add(step)
            self._tell(LimitReached(self.name, step, 1))

    def _tell(self, event: Any) -> None:
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
        timeout: float | None = None,
        verb: Verb = "predict",
        id: str | None = None,
    ) -> InferResponse:
        """One request, in process: arrays (or lists, numbers, text, JSON) by input name. ``timeout`` in seconds.

        Raises InvalidInput and its siblings as a caller on the wire would see them, DeadlineExceeded when time is up,
        and what a step raised, as it was raised. Cancelled, every step below is cancelled.
        """
        request = InferRequest(
            model=self.name,
            inputs={name: _value(name, given) for name, given in inputs.items()},
            id=id or str(uuid.uuid4()),
            version=self.version,
            outputs=tuple(outputs or ()),
            parameters=parameters or {},
            headers={name.lower(): text for name, text in (headers or {}).items()},
            timeout=timeout,
        )
        budget = min(self.deadline, math.inf if timeout is None else timeout)
        with trio.move_on_after(budget) as scope:
            async with self.admitted():
                return await self.answer(request, verb, scope.deadline)
        raise too_late(budget)

    @asynccontextmanager
    async def admitted(self) -> AsyncIterator[None]:
        """A place inside the graph, within ``limit`` and ``queue``. Raises Overloaded, ModelNotReady.

        Cancelled while waiting, the place in the queue is given up.
        """
        self.require_ready()
        await self.admission.acquire()
        try:
            yield
        finally:
            self.admission.release()

    def require_ready(self) -> None:
        if self.state is not State.READY:
            raise ModelNotReady(self.name, self.failure or None)

    def require(self, verb: Verb) -> None:
        """Raises InferError (UNIMPLEMENTED, in KServe's words) where the graph has no output for that verb."""
        if verb != "predict":
            raise InferError(Code.UNIMPLEMENTED, "Could not find explainer_host.")

    async def answer(self, request: InferRequest, verb: Verb, deadline: float) -> InferResponse:
        """The answer to a request that is admitted. ``deadline`` is what steps are told (trio's clock).

        The caller holds the cancel scope of the deadline. Raises InferError or what a step raised. Cancelled, every
        step below is cancelled.
        """
        self.require(verb)
        self._check(request)
        plan = self._plan(self._wanted(request.outputs))
        run = Run(plan, request)
        code: Code | None = Code.INTERNAL
        start = time.perf_counter()
        try:
            steps = [self._opened[step.name] for step in plan.steps]
            values = await execute(plan, steps, run, Context(request, deadline), self._threads)
            outputs = self._selected(self._named(values), request.outputs)
            code = None
        except InferError as error:
            code = error.code
            raise
        except trio.Cancelled:
            code = Code.DEADLINE_EXCEEDED
            raise
        finally:
            if self.observers:
                self._tell(self._summary(request, verb, plan, run, start, code))
        return InferResponse(model=self.name, outputs=outputs, id=request.id, version=self.version)

    def _compiled(self, outputs: frozenset[str]) -> Plan:
        manners = {
            name: Manner(threaded=isinstance(step, ThreadStep), timed=step.timeout is not None)
            for name, step in self._opened.items()
        }
        return compile_plan(self._graph, self._blueprint.interfaces, manners, outputs)

    def _summary(
        self, request: InferRequest, verb: Verb, plan: Plan, run: Run, start: float, code: Code | None
    ) -> RequestDone:
        names = [step.name for step in plan.steps]
        spans = [Span(names[number], self._phases[names[number]], began, ended) for number, began, ended in run.spans]
        return RequestDone(self.name, self.version, verb, request.id, time.perf_counter() - start, code, spans)

    # ---- what goes in and what comes out

    def _readers(self) -> list[StepSpec]:
        return [step for step in self._graph.steps if any(own.source == REQUEST for own in step.references)]

    def _check(self, request: InferRequest) -> None:
        if self._graph.spec.inputs:
            reason = check(self._graph.spec.inputs, request.inputs, "input")
            if reason is not None:
                raise InvalidInput(reason)
        for name in request.inputs:
            if not self._reads.covers(name, len(request.inputs)):
                known = [*self._graph.spec.inputs] or sorted(self._reads.names)
                raise InvalidInput(f'input "{name}" is read by no step of model "{self.name}"{meant(name, known)}')

    def _wanted(self, outputs: Sequence[str]) -> frozenset[str]:
        """The output steps that can give these tensors; all of them where that cannot be told."""
        steps = [reference.source for reference in self._graph.output]
        if len(steps) == 1 or not outputs:
            return frozenset(steps)
        found: set[str] = set()
        for name in outputs:
            givers = [step for step in steps if name == step or name in (self._blueprint.interfaces[step].gives or ())]
            if not givers:
                return frozenset(steps)
            found.update(givers)
        return frozenset(found)

    def _named(self, values: Mapping[str, Value]) -> Mapping[str, Value]:
        declared = self._graph.spec.outputs
        if not declared:
            return values
        if len(declared) == 1 and len(values) == 1:
            values = dict(zip(declared, values.values(), strict=True))
        reason = check({name: spec for name, spec in declared.items() if name in values}, values, "output")
        if reason is not None:
            raise WrongAnswer(f'model "{self.name}": {reason}')
        return values

    def _selected(self, values: Mapping[str, Value], outputs: Sequence[str]) -> Mapping[str, Value]:
        for name in outputs:
            if name not in values:
                raise InvalidInput(f"Unexpected inference output '{name}' for model '{self.name}'")
        return {name: values[name] for name in outputs} if outputs else values

    def _inputs(self) -> dict[str, TensorSpec]:
        found = dict(self._graph.spec.inputs)
        if found:
            return found
        for step in self._readers():
            learned = self._learned.get(step.name, Signature()).inputs
            declared = {
                own.name: own.spec for own in self._blueprint.interfaces[step.name].parameters if own.spec is not None
            }
            for name, spec in (declared or learned).items():
                found.setdefault(name, spec)
        return found

    def _outputs(self) -> dict[str, TensorSpec]:
        if self._graph.spec.outputs:
            return dict(self._graph.spec.outputs)
        found: dict[str, TensorSpec] = {}
        for reference in self._graph.output:
            known = self._blueprint.interfaces[reference.source].gives or {}
            specs = {name: spec for name, spec in known.items() if spec is not None}
            specs = specs or dict(self._learned.get(reference.source, Signature()).outputs)
            found |= {name: spec for name, spec in specs.items() if reference.name in (None, name)}
        return found


def too_late(budget: float) -> DeadlineExceeded:
    """The error of a request whose time is up; ``budget`` in seconds."""
    return DeadlineExceeded(f"the request took longer than its deadline of {format_duration(budget)}")


def _on_loop(function: Callable[..., Any]) -> Callable[..., Awaitable[Any]]:
    async def call(*arguments: Any) -> Any:
        return function(*arguments)

    return call


def _value(name: str, given: Any) -> Value:
    """What a Python caller passed for an input, as a value."""
    match given:
        case Tensor() | Json():
            return given
        case dict():
            return Json(given)
        case list() | tuple() | bool() | int() | float() | str() | bytes():
            try:
                return tensor_of(given)
            except ValueError as error:
                raise InvalidInput(f'input "{name}": {error}') from None
        case _ if hasattr(given, "__array__"):
            import numpy as np  # noqa: PLC0415

            try:
                return tensor(np.asarray(given))
            except TypeError as error:
                raise InvalidInput(f'input "{name}": {error}') from None
        case _:
            kinds = listed(("an array", "a list", "a number", "text", "bytes", "a dict"))
            raise InvalidInput(f'input "{name}" is a {type(given).__name__}; it is {kinds}')
