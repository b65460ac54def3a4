"""A step as the engine sees it, opened and ready to be called, and the context it is called with."""

from __future__ import annotations

import math
import threading
from collections.abc import Awaitable, Callable, Collection, Mapping, Sequence
from contextlib import AbstractContextManager
from dataclasses import dataclass
from types import MappingProxyType
from typing import Any, Literal, NamedTuple, Protocol

import msgspec
import trio

from pipeline.engine.limit import Limit
from pipeline.graph.words import listed
from pipeline.observe import HandleCalls, Span
from pipeline.tensors.forms import Bound
from pipeline.tensors.message import InferRequest, InferResponse, Verb
from pipeline.tensors.tensor import Value

Place = Literal["loop", "thread", "asyncio"]
"""Where a step's own code runs: on trio's loop, in a worker thread, or on the loop of asyncio."""
_NONE: Mapping[str, Callable[..., Any]] = MappingProxyType({})


class Answering(msgspec.Struct, eq=False):
    """What the steps of a request add to its reply, beside the outputs; of two under one name the later stays.

    ``headers`` are the transport's, names in lower case; ``output_parameters`` are by the name of their output. ``id``
    stands in the place of the request's, where it is not empty.
    """

    id: str = ""
    headers: dict[str, str] = {}
    parameters: dict[str, Any] = {}
    output_parameters: dict[str, Mapping[str, Any]] = {}

    def response(self, model: str, version: str, request: InferRequest, outputs: Mapping[str, Value]) -> InferResponse:
        """The answer of that model to the request."""
        return InferResponse(
            model=model,
            outputs=outputs,
            id=self.id or request.id,
            version=version,
            headers=self.headers,
            parameters=self.parameters,
            output_parameters=self.output_parameters,
        )


class Context:
    """What a step may know of its request besides the tensors; ask for it with a parameter of this type."""

    __slots__ = ("_clock", "answer", "caller", "deadline", "handles", "request", "tally", "term", "verb", "whole")

    def __init__(self, request: InferRequest, deadline: float, verb: Verb = "predict") -> None:
        """``deadline`` in seconds of the loop's clock, ``math.inf`` for none; with one, this is made on the loop."""
        self.request = request
        self.verb: Verb = verb
        """What the model is asked for."""
        self.answer = Answering()
        """What goes into the reply beside the outputs: headers, and parameters."""
        self.deadline = deadline
        # The clock itself can be read in any thread, be it abandoned or the user's own; trio.current_time cannot.
        self._clock = None if deadline == math.inf else trio.lowlevel.current_clock()
        self.handles: Mapping[str, Callable[..., Any]] = _NONE
        """The steps that this one may call, under the names that its ``handles`` give them."""
        self.caller: str | None = None
        """The step that called this one through a handle; None where the graph did."""
        self.term: Term | None = None
        """How long the step that called this one lasts; None where the graph called it."""
        self.whole: Whole | None = None
        """What the step loops over, for who is called with one item of it."""
        self.tally = Tally()

    @property
    def headers(self) -> Mapping[str, str]:
        """The request's headers, names in lower case."""
        return self.request.headers

    @property
    def parameters(self) -> Mapping[str, Any]:
        """The request's parameters, as JSON values."""
        return self.request.parameters

    @property
    def id(self) -> str:
        """The request's id: the caller's, or one that was made for it."""
        return self.request.id

    def remaining(self) -> float:
        """Seconds until the request's deadline: negative past it, ``math.inf`` without one. In any thread."""
        return math.inf if self._clock is None else self.deadline - self._clock.current_time()

    def having(self, handles: Mapping[str, Callable[..., Any]]) -> Context:
        """The same, for a step with these handles."""
        own = self._same()
        own.handles = handles
        return own

    def looping(self, name: str, value: Bound) -> Context:
        """The same, for the items of that value, which each call reads as its input ``name``."""
        own = self._same()
        own.whole = Whole(name, value)
        return own

    def called_by(self, step: str, term: Term | None = None) -> Context:
        """The same, for what that step calls through a handle, for so long as ``term`` says."""
        own = self._same()
        own.caller, own.term, own.handles, own.whole = step, term, _NONE, None
        return own

    def _same(self) -> Context:
        own = object.__new__(Context)
        own.request, own.deadline, own._clock, own.tally = self.request, self.deadline, self._clock, self.tally
        own.verb, own.answer = self.verb, self.answer
        own.caller, own.term, own.handles, own.whole = self.caller, self.term, self.handles, self.whole
        return own


class Term(Protocol):
    """The time of a call that others hang on. For code in a thread, be it trio's or the user's own."""

    def check(self) -> object:
        """Raises once that is over: trio.Cancelled in a thread of trio's, InferError (CANCELLED) in any other."""
        ...


class Whole(NamedTuple):
    """The input that a step loops over, and under which name each call reads an item of it."""

    name: str
    value: Bound


class Tally:
    """What one request made steps do: which they called through handles, and the hooks of those that have such."""

    __slots__ = ("_calls", "_hooks", "_lock")

    def __init__(self) -> None:
        self._calls: dict[tuple[str, str], tuple[int, float]] = {}
        self._hooks: dict[str, list[Span]] = {}
        self._lock = threading.Lock()

    def add(self, owner: str, target: str, seconds: float) -> None:
        """One more call that took so long. In any thread."""
        with self._lock:
            count, total = self._calls.get((owner, target), (0, 0.0))
            self._calls[owner, target] = count + 1, total + seconds

    def ran(self, step: str, hook: str, start: float, end: float) -> None:
        """A hook of the step ran, which is a phase of its own. In any thread."""
        self._hooks.setdefault(step, []).append(Span(f"{step}.{hook}", hook, start, end))

    def told(self, spans: Sequence[Span]) -> Sequence[Span]:
        """The spans of steps; of one in which hooks ran, the hooks."""
        if not self._hooks:
            return spans
        return [own for span in spans for own in self._hooks.get(span.step, (span,))]

    def calls(self) -> Sequence[HandleCalls]:
        if not self._calls:
            return ()
        with self._lock:
            return [HandleCalls(*who, *how_often) for who, how_often in self._calls.items()]


class AsyncCall(Protocol):
    """A step on the loop. Cancelled, it stops at its own next checkpoint and leaves nothing running."""

    def __call__(self, inputs: Mapping[str, Bound], context: Context, /) -> Awaitable[Mapping[str, Value]]: ...


BlockingCall = Callable[[Mapping[str, Bound], Context], Mapping[str, Value]]


class Lends(Protocol):
    """The handles of a step, which are good while one of its calls lasts."""

    def lent(self, context: Context, /) -> AbstractContextManager[Context]:
        """The context of one call, with the handles in it. On the loop; at the end what they still run is cancelled."""
        ...

    @property
    def asks(self) -> Collection[str]:
        """What the steps behind the handles ask, as their ``where``."""
        ...


@dataclass(frozen=True, slots=True)
class LoopStep:
    """Awaited in the request's own task. ``timeout`` (seconds) covers waiting for the limit and the call.

    ``where``: what it asks, for the log, without a secret in it.
    """

    name: str
    call: AsyncCall
    timeout: float | None
    limit: Limit | None
    handles: Lends | None = None
    where: str | None = None

    @property
    def is_bare(self) -> bool:
        """Whether there is nothing to it but its call."""
        return self.limit is None and self.timeout is None and self.handles is None


@dataclass(frozen=True, slots=True)
class ThreadStep:
    """Called in a worker thread, so that it delays nobody else."""

    name: str
    call: BlockingCall
    timeout: float | None
    limit: Limit | None
    handles: Lends | None = None
    where: str | None = None


OpenStep = LoopStep | ThreadStep


def asks(step: OpenStep) -> str | None:
    """What a step asks, by itself or by its handles, for the log; None where that is nobody."""
    behind = step.handles.asks if step.handles else ()
    return step.where or (f"it calls {listed(behind)}" if behind else None)
